"""Pools on our own worker processes that read large numpy arrays where the parent has put them.

An array is written once for all chunks of a map, and once for each chunk of a stream, whose items may come
from a buffer that is filled again. A worker maps it as long as a chunk uses it: that takes 9 µs by our
measurement, so nothing is kept between chunks, and no idle worker holds memory that a map has freed.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..envelope import Parts, owned_folder
from ..envelope._arrays import Place, Reduced, enclose_without, open_memory, remove_memory
from ..errors import PoolError
from ..strategy import Chunk, StrategyOptions
from ._crew_pool import CrewPool, Enclosing

__all__ = ["ArrayPool", "MappedFilePool", "SharedMemoryPool"]

_SHARED_BYTES = 1 << 16
"""Here an array that one chunk uses costs as much as by its worker's line (104 and 108 µs by our measurement)
and one that two use costs half; 4 MB cost half in any case. Below, opening and mapping weigh more."""
_FILED_BYTES = 1_000_000
"""As joblib's ``max_nbytes``; disks may be slow."""

_KINDS = frozenset("biufcmMSUV")
"""Kinds of dtype (numpy.dtype.kind) whose arrays are bytes and no more, but for structured ones."""


class Region:
    """A place that is written from beginning to end, one array after another, and freed as a whole."""

    def __init__(self, fd: int, name: str, remove: Callable[[], object], *, file: bool) -> None:
        self._fd = fd
        self._name = name
        self._remove = remove
        self._file = file
        self._end = 0

    def put(self, data: memoryview) -> Place:
        """Writes the bytes of one array. Raises OSError where there is no room.

        A write is told so; an assignment to mapped memory is killed (SIGBUS), and took twice as long by our
        measurement.
        """
        begin, size = self._end, len(data)
        self._end += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        done = 0
        while done < size:
            done += os.pwrite(self._fd, data[done:], begin + done)
        return Place(self._name, begin, size, file=self._file)

    def seal(self) -> None:
        """Nothing more is put there."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def free(self) -> None:
        """Removes it; a worker that still reads it may do so."""
        self.seal()
        self._remove()


class Segments(Region):
    """For systems that can only map shared memory, not write to it (macOS): a segment for each array."""

    def __init__(self) -> None:
        super().__init__(-1, "", self._unlink, file=False)
        self._segments: list[Any] = []

    def put(self, data: memoryview) -> Place:
        """See `Region`."""
        from multiprocessing.shared_memory import SharedMemory

        segment: Any = SharedMemory(_new_name(), create=True, size=len(data))
        self._segments.append(segment)
        segment.buf[: len(data)] = data
        segment.close()  # or many arrays would take all descriptors
        return Place(segment.name, 0, len(data), file=False)

    def _unlink(self) -> None:
        for segment in self._segments:
            segment.unlink()


class ArrayPool(CrewPool):
    """Arrays of ``least`` bytes or more, however deep in the items, arrive as read-only views.

    That is so for what is a numpy.ndarray and no subclass, without Python objects. All others travel as
    they do in ``processes``, and so do all results.
    """

    least: int

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__([1] * workers, method, options)
        self.placings: set[_Placing] = set()

    def divided(self, items: Sequence[Any], chunk_size: int | None) -> Iterable[Chunk]:
        """See `ExecutorPool`: all at once, since each array of a map is placed once."""
        return list(super().divided(items, chunk_size))

    def enclosing(self, *, lasting: bool) -> Enclosing:
        """See `CrewPool`."""
        return _Placing(self, self._options, lasting)

    def region(self) -> Region:
        """A new place for arrays. Raises OSError."""
        raise NotImplementedError

    def room(self) -> str:
        """What there is no room in, and what to do then."""
        raise NotImplementedError

    def close(self) -> None:
        """See `CrewPool`."""
        super().close()
        self._free()

    def kill(self) -> None:
        """See `CrewPool`."""
        super().kill()
        self._free()

    def _free(self) -> None:
        for placing in tuple(self.placings):
            placing.close()


class SharedMemoryPool(ArrayPool):
    """Arrays travel through `multiprocessing.shared_memory`, one segment for those of a map."""

    least = _SHARED_BYTES

    def start(self) -> None:
        """See `CrewPool`."""
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # its start is no part of the first map
        super().start()

    def region(self) -> Region:
        """See `ArrayPool`."""
        return _memory() if sys.platform == "linux" else Segments()

    def room(self) -> str:
        """See `ArrayPool`."""
        return "shared memory (/dev/shm on Linux): make it larger, or use processes-memmap or processes"


class MappedFilePool(ArrayPool):
    """Arrays travel through files in a temporary folder of the pool, one for those of a map."""

    least = _FILED_BYTES

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__(workers, method, options)
        self._folder = ""
        self._written = 0

    def start(self) -> None:
        """See `CrewPool`."""
        self._folder = owned_folder()
        super().start()

    def region(self) -> Region:
        """See `ArrayPool`."""
        self._written += 1
        path = Path(self._folder, str(self._written))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return Region(fd, str(path), lambda: path.unlink(missing_ok=True), file=True)

    def room(self) -> str:
        """See `ArrayPool`."""
        return f"{self._folder}: set TMPDIR to a larger disk, or use processes"

    def _free(self) -> None:
        super()._free()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Placing(Enclosing):
    """The arrays of one stream, each kept until no chunk needs it."""

    def __init__(self, pool: ArrayPool, options: StrategyOptions, lasting: bool) -> None:
        super().__init__(options.by_value)
        self._pool = pool
        self._lasting = _Arrays(pool) if lasting else None
        self._by_chunk: dict[int, _Arrays] = {}

    def __call__(self, items: Sequence[Any], start: int) -> Parts:
        """See `Enclosing`."""
        self._pool.placings.add(self)
        if self._lasting:
            return enclose_without(items, self._lasting.reduced, self.by_value, start)
        arrays = self._by_chunk[start] = _Arrays(self._pool)
        data = enclose_without(items, arrays.reduced, self.by_value, start)
        arrays.seal()
        return data

    def answered(self, start: int) -> None:
        """See `Enclosing`."""
        if not self._lasting:
            self._by_chunk.pop(start).free()

    def close(self) -> None:
        """See `Enclosing`."""
        self._pool.placings.discard(self)
        if self._lasting:
            self._lasting.free()
        for start in list(self._by_chunk):
            self._by_chunk.pop(start).free()


class _Arrays:
    """Arrays in one region, each of them once."""

    def __init__(self, pool: ArrayPool) -> None:
        self._pool = pool
        self._region: Region | None = None
        self._held: dict[int, tuple[Any, Place]] = {}
        """By id; an array is kept so that no other gets its id."""

    def reduced(self, obj: Any) -> Reduced | None:
        """What travels instead of an array; None for what travels itself. Raises `PoolError`."""
        import numpy as np

        if type(obj) is not np.ndarray or obj.nbytes < self._pool.least:
            return None
        if obj.dtype.kind not in _KINDS or obj.dtype.hasobject:
            return None
        by_column = obj.flags.f_contiguous and not obj.flags.c_contiguous
        if id(obj) not in self._held:
            flat: Any = np.ascontiguousarray(obj.T if by_column else obj).reshape(-1)
            self._held[id(obj)] = obj, self._put(memoryview(flat.view(np.uint8)))
        place = self._held[id(obj)][1]
        return np.ndarray, (obj.shape, obj.dtype, place, 0, None, "F" if by_column else "C")

    def seal(self) -> None:
        """No more arrays come."""
        if self._region:
            self._region.seal()

    def free(self) -> None:
        """Frees the region, if there is one."""
        region, self._region = self._region, None
        self._held.clear()
        if region:
            region.free()

    def _put(self, data: memoryview) -> Place:
        try:
            if self._region is None:
                self._region = self._pool.region()
            return self._region.put(data)
        except OSError as exc:
            size, room = len(data) / 1e6, self._pool.room()
            raise PoolError(
                f"an array of {size:.1f} MB has no room ({exc.strerror or exc}) in {room}"
            ) from exc


def _memory() -> Region:
    """A region in POSIX shared memory, as multiprocessing.shared_memory makes it."""
    from multiprocessing import resource_tracker

    name = _new_name()
    fd = open_memory(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    resource_tracker.register(f"/{name}", "shared_memory")  # frees it if we are killed

    def remove() -> None:
        remove_memory(name)
        resource_tracker.unregister(f"/{name}", "shared_memory")

    return Region(fd, name, remove, file=False)


def _new_name() -> str:
    return f"parallelism_{os.getpid()}_{secrets.token_hex(4)}"  # macOS takes 30 characters
