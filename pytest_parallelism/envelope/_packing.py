"""The functions of one pool as bytes, without packing the usual one again for each map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ._pickling import Elsewhere
from ._recording import Recording
from ._shipped import went
from ._tasks import pack

__all__ = ["Packer"]


class Packer:
    """`pack`, which keeps the bytes of the last function while they are right.

    They are for a function that refers to nothing that could change: it is mapped in many rounds, and to
    pack it costs 20 µs and more.
    """

    def __init__(self, by_value: Iterable[ModuleType]) -> None:
        self._by_value = by_value if isinstance(by_value, Elsewhere) else tuple(by_value)
        self._last: tuple[Callable[..., Any], FunctionType, CodeType, bytes] | None = None

    def __call__(self, fn: Callable[..., Any]) -> bytes:
        """See `pack`."""
        last = self._last  # read once, and replaced as a whole: other threads pack too
        if last is not None and last[0] is fn and last[2] is last[1].__code__ and not _refers(last[1]):
            went(len(last[3]))
            return last[3]
        blob = pack(fn, self._by_value)
        self._last = None
        plain = fn.fn if type(fn) is Recording else fn
        if isinstance(plain, FunctionType) and not _refers(plain):
            self._last = fn, plain, plain.__code__, blob
        return blob


def _refers(fn: FunctionType) -> bool:
    own = fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__ or fn.__dict__
    return bool(own) or not _names(fn.__code__).isdisjoint(fn.__globals__)


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))
