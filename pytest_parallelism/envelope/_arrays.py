"""Arrays that a worker reads where their parent has put them, instead of in its messages.

No numpy here: an array arrives as ``numpy.ndarray(shape, dtype, buffer=a read-only map of memory)``.
"""

from __future__ import annotations

import functools
import importlib
import mmap
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from ..errors import PoolError
from ._by_value import Pickler, dump
from ._parts import Parts
from ._pickling import plain
from ._shipped import went
from ._tasks import enclosed

__all__ = ["Place", "Reduced", "enclose_without", "open_memory", "remove_memory"]

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class Place:
    """Bytes in shared memory, or in a file where ``file`` is true; it arrives as their map.

    ``begin``: where they begin, a multiple of mmap.ALLOCATIONGRANULARITY.
    """

    def __init__(self, name: str, begin: int, size: int, *, file: bool) -> None:
        self.name = name
        self.begin = begin
        self.size = size
        self.file = file

    def __reduce__(self) -> Reduced:
        """A read-only map, made once for all arrays of a chunk, and gone with the last of them."""
        return _mapped, (self.name, self.begin, self.size, self.file)


def open_memory(name: str, flags: int) -> int:
    """A descriptor of shared memory, which the caller closes. Raises OSError.

    Not SharedMemory: before Python 3.13, its tracker takes what a worker opens for the worker's own.
    """
    fd: int = _posix_memory().shm_open(f"/{name}", flags, 0o600)
    return fd


def remove_memory(name: str) -> None:
    """Takes its name away; it is freed when nobody maps it any more. Raises OSError."""
    _posix_memory().shm_unlink(f"/{name}")


def _posix_memory() -> Any:
    return importlib.import_module("_posixshmem")  # what multiprocessing.shared_memory stands on; not typed


_maps: weakref.WeakValueDictionary[tuple[str, int], mmap.mmap] = weakref.WeakValueDictionary()


def _mapped(name: str, begin: int, size: int, file: bool) -> mmap.mmap:
    found = _maps.get((name, begin))
    if found is None:
        fd = os.open(name, os.O_RDONLY) if file else open_memory(name, os.O_RDONLY)
        try:
            found = mmap.mmap(fd, size, access=mmap.ACCESS_READ, offset=begin)
        finally:
            os.close(fd)
        _maps[name, begin] = found
    return found


class _Without(Pickler):
    def __init__(
        self,
        file: Parts,
        added: list[ModuleType],
        by_value: Iterable[ModuleType],
        *,
        place: Callable[[Any], Any],
    ) -> None:
        super().__init__(file, added, by_value)
        self._place = place

    def reducer_override(self, obj: Any) -> Any:
        """See `Pickler`."""
        reduced = self._place(obj)
        return super().reducer_override(obj) if reduced is None else reduced


def enclose_without(
    items: Sequence[Any],
    place: Callable[[Any], Reduced | None],
    by_value: Iterable[ModuleType] = (),
    start: int = 0,
) -> Parts:
    """`enclosed`, but what ``place`` gives for an object travels instead of it, wherever pickle meets it.

    Raises `NotTransferable`, and the `PoolError` that ``place`` raises.
    """
    sent = list(items)
    try:
        parts = plain(sent) or dump(sent, by_value, functools.partial(_Without, place=place))
    except PoolError:
        raise
    except Exception:  # noqa: BLE001  # whatever a user's __reduce__ raises: `enclosed` names the item
        return enclosed(items, by_value, start)
    went(parts.size)
    return parts
