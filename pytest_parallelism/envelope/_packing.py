"""The functions of one pool as bytes, without packing the usual one again for each map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ._shipped import went
from ._tasks import pack

__all__ = ["Packer"]


class Packer:
    """`pack`, which keeps the bytes of the last function while they are right.

    They are for a function that refers to nothing that could change: it is mapped in many rounds, and to
    pack it costs 20 µs and more.
    """

    def __init__(self, by_value: Iterable[ModuleType]) -> None:
        self._by_value = tuple(by_value)
        self._blob = b""
        self._fn: FunctionType | None = None
        self._code: CodeType | None = None

    def __call__(self, fn: Callable[..., Any]) -> bytes:
        """See `pack`."""
        if self._holds(fn):
            went(len(self._blob))
            return self._blob
        self._fn = None
        self._blob = pack(fn, self._by_value)
        if isinstance(fn, FunctionType) and not _refers(fn):
            self._fn, self._code = fn, fn.__code__
        return self._blob

    def _holds(self, fn: Callable[..., Any]) -> bool:
        known = self._fn
        return known is not None and known is fn and known.__code__ is self._code and not _refers(known)


def _refers(fn: FunctionType) -> bool:
    own = fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__ or fn.__dict__
    return bool(own) or not _names(fn.__code__).isdisjoint(fn.__globals__)


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))
