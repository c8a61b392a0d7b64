"""When tasks ran, noted by the worker that ran them: what a round would have taken alone is found from it.

Each thread that runs tasks has a file of its own in a folder of the parent's, mapped into memory, so that
nothing of it goes the way of the results. The parent reads the files between rounds.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ._locks import open_after_fork
from ._wrappers import Wrapper, is_async

__all__ = ["Recording", "ThreadDelays", "close_books", "delay_of_thread", "live_threads", "taken"]

_ROOM = 1 << 18
_USED = struct.Struct("<q")
_ENTRY = struct.Struct("<10q")
_SETTLED = 30_000
"""Nanoseconds within which a clock and a delay are read as one; beyond, something ran between them."""
_TRIES = 4

Thread = tuple[int, int]
"""Process and thread."""
Entry = tuple[int, int, int, int, int, int, int, int, int, int]
"""Chunk, tasks, nanoseconds: start and end (CLOCK_MONOTONIC, common to all processes), CPU before and
after, run-queue delay before and after, and that of the threads that dispatch, before and after (-1 where
the system does not tell)."""


class Recording(Wrapper):
    """A function whose calls are noted in ``folder``; ``by_chunk``: each chunk as one, for short tasks.

    ``dispatchers``: threads that hand out its items. A full note costs its task about 16 µs with one or two
    of them. Where the folder is gone, or full, nothing is noted.
    """

    notes_chunks = True

    def __init__(
        self,
        fn: Callable[..., Any],
        folder: str,
        *,
        by_chunk: bool = False,
        dispatchers: Sequence[Thread] = (),
    ) -> None:
        super().__init__(fn)
        self.folder = folder
        self.dispatchers = tuple(dispatchers)
        self.by_chunk = by_chunk
        self._async = is_async(fn)

    def __call__(self, item: Any) -> Any:
        """The result; a coroutine of it where the function is a coroutine function."""
        if self._async:
            return self._awaited(item)
        book = _book(self.folder, self.dispatchers)
        if book is None:
            return self.fn(item)
        began = book.begin()
        try:
            return self.fn(item)
        finally:
            book.end(began, 1)

    async def _awaited(self, item: Any) -> Any:
        book = _book(self.folder, self.dispatchers)
        if book is None:
            return await self.fn(item)
        began = book.begin()
        try:
            return await self.fn(item)
        finally:
            book.end(began, 1)

    @contextlib.contextmanager
    def chunk(self, size: int) -> Iterator[Callable[[Any], Any]]:
        """See `Wrapper`."""
        book = _book(self.folder, self.dispatchers)
        if book is None:
            yield self.fn
            return
        book.chunk += 1
        if not self.by_chunk:
            yield self
            return
        began = book.begin()
        try:
            yield self.fn
        finally:
            book.end(began, size)


class _Book:
    """What one thread notes."""

    def __init__(self, folder: str, dispatchers: Sequence[Thread]) -> None:
        self.folder = folder
        self.dispatchers = dispatchers
        self.pid = os.getpid()
        self.chunk = 0
        self._notes = _mapped(f"{folder}{os.sep}{self.pid}-{threading.get_native_id()}")
        self._delays = _open_delays()
        self._dispatchers = ThreadDelays(dispatchers)

    def __del__(self) -> None:
        """In other interpreters nobody else closes it."""
        with contextlib.suppress(Exception):
            self.close()

    def begin(self) -> tuple[int, int, int, int]:
        """Clock, delay, CPU and the dispatchers' delay, the last read first: what else runs here meanwhile
        then falls outside."""
        dispatchers = self._dispatchers.sum()
        cpu = time.thread_time_ns()
        now, delay = self._moment(last=True)
        return now, delay, cpu, dispatchers

    def end(self, began: tuple[int, int, int, int], tasks: int) -> None:
        """Notes what has begun then and ends now."""
        with contextlib.suppress(ValueError, OSError):  # closed: a thread that nobody waits for any more
            now, delay = self._moment(last=False)
            cpu = time.thread_time_ns()
            notes = self._notes
            used = _USED.unpack_from(notes)[0] + _USED.size
            if used + _ENTRY.size <= _ROOM:
                times = began[0], now, began[2], cpu, began[1], delay
                dispatchers = began[3], self._dispatchers.sum()
                _ENTRY.pack_into(notes, used, self.chunk, tasks, *times, *dispatchers)
            _USED.pack_into(notes, 0, used - _USED.size + _ENTRY.size)  # beyond the room: too many

    def close(self) -> None:
        """Gives back the file and the memory."""
        self._notes.close()
        self._dispatchers.close()
        if self._delays is not None:
            os.close(self._delays)
            self._delays = None

    def _moment(self, *, last: bool) -> tuple[int, int]:
        """Clock and run-queue delay of one moment; the clock just after the delay (``last``) or before."""
        if self._delays is None:
            return time.perf_counter_ns(), -1
        for _ in range(_TRIES):
            before = time.perf_counter_ns()
            delay = _delay(self._delays)
            after = time.perf_counter_ns()
            if after - before < _SETTLED:
                break
        return (after if last else before), delay


class ThreadDelays:
    """Run-queue delays of some threads of this machine."""

    def __init__(self, threads: Iterable[Thread]) -> None:
        self._files = {(pid, thread): _open_delays(f"{pid}/task/{thread}") for pid, thread in threads}

    def each(self) -> dict[Thread, int]:
        """Nanoseconds that each has waited for a core in its life; those of which it is not known are left
        out."""
        found = {thread: _delay(file) for thread, file in self._files.items()}
        return {thread: delay for thread, delay in found.items() if delay >= 0}

    def sum(self) -> int:
        """Nanoseconds of all together, -1 where it is not known of one."""
        found = [_delay(file) for file in self._files.values()]
        return sum(found) if min(found, default=-1) >= 0 else -1

    @property
    def threads(self) -> AbstractSet[Thread]:
        """Whose they are."""
        return self._files.keys()

    def close(self) -> None:
        """Gives back the files."""
        files, self._files = self._files, {}
        for file in files.values():
            if file is not None:
                os.close(file)


def live_threads() -> list[Thread]:
    """Of this process, the calling one first."""
    own, pid = threading.get_native_id(), os.getpid()
    others = (thread.native_id for thread in threading.enumerate())
    return [(pid, own), *((pid, thread) for thread in others if thread not in (None, own))]


def _delay(file: int | None) -> int:
    """The run-queue delay in a ``schedstat``; -1 where it is not known, or its thread is gone."""
    if file is None:
        return -1
    try:
        return int(os.pread(file, 64, 0).split()[1])
    except (OSError, IndexError):
        return -1


def _open_delays(thread: str = "thread-self") -> int | None:
    """A descriptor of a thread's ``schedstat``, None where the system keeps no run-queue delays."""
    try:
        file = os.open(f"/proc/{thread}/schedstat", os.O_RDONLY)
    except OSError:
        return None
    try:
        kept = any(int(number) for number in os.pread(file, 64, 0).split())
    except (OSError, ValueError):
        kept = False
    if kept:
        return file
    os.close(file)
    return None


def _mapped(path: str) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Written, not only made longer: on a full disk a page of a hole would end the process (SIGBUS).
        if os.fstat(file).st_size < _ROOM and os.write(file, bytes(_ROOM)) < _ROOM:
            raise OSError(f"no room for {path}")
        return mmap.mmap(file, _ROOM)
    except OSError:
        os.unlink(path)  # noqa: PTH108  # no pathlib in workers, whom it costs 0.4 MB
        raise
    finally:
        os.close(file)


_own = threading.local()
_books: list[_Book] = []
_making = open_after_fork(threading.Lock())


def _book(folder: str, dispatchers: Sequence[Thread]) -> _Book | None:
    """This thread's, None where it cannot be made."""
    book: _Book | None = getattr(_own, "book", None)
    if book is not None and book.pid == os.getpid():
        if book.folder == folder and book.dispatchers == dispatchers:
            return book
        book.close()  # of an earlier point
    if getattr(_own, "refused", None) == folder:
        return None
    try:
        book = _Book(folder, dispatchers)
    except OSError:
        _own.refused = folder  # not again for each task
        return None
    with _making:
        _books.append(book)
    _own.book = book
    return book


def close_books(folder: str) -> None:
    """Gives back what the threads of this process keep open in that folder; none may run tasks of it."""
    with _making:
        closing = [book for book in _books if book.folder == folder and book.pid == os.getpid()]
        _books[:] = [book for book in _books if book not in closing]
    for book in closing:
        book.folder = ""
        book.close()


def delay_of_thread() -> int | None:
    """Nanoseconds that this thread has waited for a core in its life; None where the system keeps no such."""
    file = _open_delays()
    if file is None:
        return None
    try:
        return _delay(file)
    finally:
        os.close(file)


def taken(folder: str) -> dict[tuple[int, int], list[Entry]] | None:
    """What is noted in the folder, by process and thread, and struck out there; None where some had no room.

    No task may be running.
    """
    found: dict[tuple[int, int], list[Entry]] = {}
    whole = True
    for name in os.listdir(folder):  # noqa: PTH208  # no pathlib in workers, whom it costs 0.4 MB
        pid, _, thread = name.partition("-")
        with open(f"{folder}{os.sep}{name}", "r+b", buffering=0) as file:  # noqa: PTH123  # as above
            head = file.read(_USED.size)
            if len(head) < _USED.size:  # there was no room for it
                whole = False
                continue
            used = _USED.unpack(head)[0]
            whole = whole and used <= _ROOM - _USED.size
            entries = file.read(min(used, _ROOM - _USED.size) // _ENTRY.size * _ENTRY.size)
            file.seek(0)
            file.write(_USED.pack(0))
        found[int(pid), int(thread)] = list(_ENTRY.iter_unpack(entries))
    return found if whole else None
