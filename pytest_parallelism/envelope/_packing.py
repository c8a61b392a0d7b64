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
        self._last: _Packed | None = None

    def __call__(self, fn: Callable[..., Any]) -> bytes:
        """See `pack`."""
        last = self._last  # read once, and replaced as a whole: other threads pack too
        if last is not None and last.fn is fn and last.holds():
            went(len(last.blob))
            return last.blob
        blob = pack(fn, self._by_value)
        self._last = None
        plain = fn.fn if type(fn) is Recording else fn
        if isinstance(plain, FunctionType):
            packed = _Packed(fn, plain, blob)
            if packed.holds():
                self._last = packed
        return blob


class _Packed:
    """A function, and what it became."""

    def __init__(self, fn: Callable[..., Any], plain: FunctionType, blob: bytes) -> None:
        self.fn = fn
        self.blob = blob
        self._plain = plain
        self._code = plain.__code__
        self._names = _names(self._code)

    def holds(self) -> bool:
        """Whether the bytes are those of the function still: it has the same code and refers to nothing."""
        plain = self._plain
        own = plain.__closure__ or plain.__defaults__ or plain.__kwdefaults__ or plain.__dict__
        return not own and plain.__code__ is self._code and self._names.isdisjoint(plain.__globals__)


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))
