"""When the tasks of a round ran: asked of the workers, read between rounds."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from .envelope import Recording, ThreadDelays, close_books, delay_of_thread, live_threads, owned_folder, taken
from .measurement import Span, Task, Trace

__all__ = ["NOTES", "NOTE_SECONDS", "Recorder"]

NOTE_SECONDS = 16e-6
"""Seconds that the note of a task costs it where one or two threads dispatch …"""
NOTES = 0.01
"""… and the share of a round that all of its notes may take."""

_SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a folder of its own is made there
_NANO = 1e-9


@dataclass
class Recorder:
    """Has the functions that a workload maps noted, one round after another; `close` it after the last.

    Its folder stands in shared memory where there is some: a note must not wait for a disk.
    """

    gil_share: float | None = None
    """For the traces: see `Trace`."""
    within: bool = False
    """Whether workers are threads of this process: then, of all its threads, only the one that maps is known
    to dispatch."""
    by_chunk: bool = False
    """Notes a chunk of tasks as one."""
    maps: list[Span] = field(default_factory=list)
    tasks: int = 0
    """Tasks that the round has given to maps."""
    crowded: bool = False
    """True once a round had more notes than there is room for."""
    loose: bool = False
    """True once the round has given tasks to something that does not count them."""
    unseen: bool = False
    """True once it has given tasks to something that does not note them."""
    _whole: Span | None = None
    _noted: Recording | None = None
    _delays: dict[tuple[int, int], float] = field(default_factory=dict)
    """Of each worker, after its last task."""
    _dispatchers: ThreadDelays = field(default_factory=lambda: ThreadDelays(()))
    _workers: ThreadDelays = field(default_factory=lambda: ThreadDelays(()))

    def __post_init__(self) -> None:
        self.folder = owned_folder(_SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None)

    def noting(self, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The function, whose calls are noted; the same object as long as it is the same function."""
        if self._noted is None or self._noted.fn is not fn or self._noted.by_chunk != self.by_chunk:
            threads = live_threads()[: 1 if self.within else None]
            self._dispatchers.close()
            self._dispatchers = ThreadDelays(threads)
            self._noted = Recording(fn, self.folder, by_chunk=self.by_chunk, dispatchers=threads)
        return self._noted

    @contextlib.contextmanager
    def map(self, tasks: int) -> Iterator[None]:
        """Around a map of so many tasks."""
        workers, dispatchers = self._workers.each(), self._dispatchers.sum()
        begun = _begin()
        yield
        span = _span(begun)
        after = self._dispatchers.sum()
        self.tasks += tasks
        self.maps.append(
            replace(
                span,
                dispatchers_before=_seconds(dispatchers),
                dispatchers_after=_seconds(after),
                workers_before=_each(workers),
                workers_after=_each(self._workers.each()),
            )
        )

    @contextlib.contextmanager
    def round(self) -> Iterator[None]:
        """Around a round."""
        self.maps, self.tasks, self._whole = [], 0, None
        self.loose = self.unseen = False
        begun = _begin()
        yield
        self._whole = _span(begun)

    def take(self) -> Trace | None:
        """The last round's, None where its tasks are not known in full.

        That is where it maps nothing, where its tasks run otherwise than by ``map`` and ``imap``, or where
        there was no room for all notes.
        """
        found = taken(self.folder)
        self.crowded = self.crowded or found is None
        if found is None or self.unseen or self._whole is None or not any(found.values()):
            return None
        if found.keys() != self._workers.threads:
            self._workers.close()
            self._workers = ThreadDelays(found)
        tasks = [task for worker, entries in found.items() for task in self._tasks(worker, entries)]
        if self.loose and self.maps:
            return None  # which task is whose is not known
        if not self.loose and sum(task.tasks for task in tasks) != self.tasks:
            return None
        return Trace(
            whole=self._whole,
            maps=() if _overlap(self.maps) else tuple(self.maps),
            tasks=tuple(sorted(tasks, key=lambda t: t.start)),
            gil_share=self.gil_share,
        )

    def _tasks(self, worker: tuple[int, int], entries: Sequence[tuple[int, ...]]) -> Iterator[Task]:
        for entry in entries:
            task = _task(worker, entry)
            if task.delay_before is not None and task.delay_after is not None:
                before = self._delays.get(worker, task.delay_before)
                self._delays[worker] = task.delay_after
                task = replace(task, waited=max(0.0, task.delay_before - before))
            yield task

    def forget(self) -> None:
        """Removes the notes of other processes, which have ended."""
        self._noted = None  # who dispatches has changed as well
        self._workers.close()
        for file in Path(self.folder).iterdir():
            if not file.name.startswith(f"{os.getpid()}-"):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Gives everything back; the workers' files go with them."""
        close_books(self.folder)
        self._workers.close()
        self._dispatchers.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _overlap(maps: Sequence[Span]) -> bool:
    """Whether two maps ran at once: then none of them can be told from the others."""
    ordered = sorted(maps, key=lambda span: span.start)
    return any(later.start < earlier.end for earlier, later in pairwise(ordered))


def _task(worker: tuple[int, int], entry: tuple[int, ...]) -> Task:
    chunk, tasks, start, end, cpu_before, cpu_after, *delays = entry
    before, after, dispatchers_before, dispatchers_after = map(_seconds, delays)
    return Task(
        worker=worker,
        chunk=chunk,
        tasks=tasks,
        start=start * _NANO,
        end=end * _NANO,
        cpu_before=cpu_before * _NANO,
        cpu_after=cpu_after * _NANO,
        delay_before=before,
        delay_after=after,
        dispatchers_before=dispatchers_before,
        dispatchers_after=dispatchers_after,
    )


def _seconds(nanoseconds: int) -> float | None:
    return nanoseconds * _NANO if nanoseconds >= 0 else None


def _each(delays: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], float]:
    return {thread: delay * _NANO for thread, delay in delays.items()}


def _begin() -> tuple[float, float, int | None]:
    return time.thread_time(), time.perf_counter(), delay_of_thread()


def _span(begun: tuple[float, float, int | None]) -> Span:
    cpu, start, before = begun
    after = delay_of_thread()
    end = time.perf_counter()
    known = before is not None and after is not None
    return Span(
        start=start,
        end=end,
        cpu_seconds=time.thread_time() - cpu,
        delay_seconds=(after - before) * _NANO if known else None,  # type: ignore[operator]  # both known
    )
