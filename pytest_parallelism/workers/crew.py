"""Worker processes of ours, one line each: started, fed, watched and ended by one loop in the caller."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Protocol

from ..envelope import READY, Frame, Rooms, unpack
from ..errors import WorkerLost, WorkersMissing
from .reaping import end, hidden_main, lost, quiet_fork
from .waiting import in_slices
from .worker import Job, Worker

__all__ = ["Crew", "Feed", "OutOfTime"]

_CLOSE_SECONDS = 1.0
"""How long idle workers may take to end before they are killed: a thread of a task may keep one alive."""
_GONE_SECONDS = 0.5

Bytes = bytes | memoryview
Came = deque[tuple[int, Bytes]]


class OutOfTime(Exception):
    """The patience of an exchange is over."""


class Feed(Protocol):
    """Where the chunks of an exchange come from, and what bounds it."""

    over: bool
    """Whether there will be no more chunks."""

    def draw(self) -> Job | None:
        """The next chunk; None where there is none now."""

    def patience(self) -> float | None:
        """Seconds that the exchange may wait for an answer now, None for as long as it takes."""


class Crew:
    """Processes that each run ``slots[i]`` chunks at once: in threads, or with ``loops`` on an event loop.

    The parent waits for all lines and all ends together, never blocks in a write, and needs no thread: so
    nothing that a task or a worker does can make it wait for longer than it was told.
    """

    def __init__(self, slots: Sequence[int], method: str, *, loops: bool = False) -> None:
        self._loops = loops
        self._slots = tuple(slots)
        self._method = method
        self._finalizer: Finalize | None = None
        self._poll = select.poll()
        self._ends = select.poll()
        self._by_fd: dict[int, Worker] = {}
        self._tags = 0
        self._missing: dict[Worker, int] = {}
        self._asked: dict[int, tuple[int, Came]] = {}
        self._processes: list[BaseProcess] = []
        self.rooms = Rooms(spare=4)
        self.workers: list[Worker] = []
        self.active = len(slots)
        """Only the first so many workers are given chunks."""

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self.workers]

    def start(self, setup: Callable[[], object], prepare: bytes | None, timeout: float) -> None:
        """Starts all processes and waits until each says that it runs.

        ``setup`` makes a process a worker; ``prepare`` is the packed initializer. Raises `WorkersMissing`,
        `WorkerLost`, and what the initializer raises.
        """
        # multiprocessing waits for our processes at its exit; they must be gone by then.
        self._finalizer = Finalize(self, end, args=(self._processes,), exitpriority=100)
        self._how = setup, prepare, timeout
        slots, self._slots = self._slots, ()
        self.grow(slots)

    def grow(self, slots: Sequence[int]) -> None:
        """Starts more processes, one for each number of chunks at once. Raises as `start`."""
        setup, prepare, timeout = self._how
        context = multiprocessing.get_context(self._method)
        with hidden_main() if self._method != "fork" else quiet_fork():
            for each in slots:
                worker = Worker(context, (setup, prepare, each, self._loops), self.workers, self.rooms)
                self.workers.append(worker)
                self._processes.append(worker.process)
                self._missing[worker] = each
                self._watch(worker)
        self._slots = (*self._slots, *slots)
        self.active = len(self._slots)
        self._meet(timeout)

    def exchange(
        self, feed: Feed, *, wake: int | None = None, ahead: bool = True
    ) -> Iterator[tuple[int, Bytes]]:
        """The number and the answer of every chunk that ``feed`` gives, as they come.

        A large answer is a memoryview, which is good until the next one is asked for.
        Ends when nothing is left to do; with ``wake``, a descriptor that is readable when the feed has more,
        never by itself. ``ahead``: whether short chunks may wait in a worker. An exchange may run while
        another one of the same thread is suspended. Raises `WorkerLost`, and `OutOfTime` when the feed's
        patience is over.
        """
        if gone := self._ends.poll(0):  # between two exchanges nobody waits
            raise self.loss([fd for fd, _ in gone])
        came: deque[tuple[int, Bytes]] = deque()
        tags: set[int] = set()
        if wake is not None:
            self._poll.register(wake, select.POLLIN)
        try:
            while True:
                dry = feed.over or self._fill(feed, came, tags, ahead)
                if dry and not tags and not came and wake is None:
                    return
                if not came:
                    self._pump(feed.patience())
                while came:
                    tag, answer = came.popleft()
                    number = self._asked.pop(tag)[0]
                    tags.discard(tag)
                    yield number, answer
                    self.rooms.give_back(answer)
                    del answer  # or it would stay while the next one is waited for
        finally:
            for tag in tags:
                del self._asked[tag]
            if wake is not None:
                self._poll.unregister(wake)

    def busy(self) -> bool:
        """Whether a worker still has something to do."""
        return any(worker.doing for worker in self.workers)

    def busy_seconds(self) -> float:
        """Seconds that workers had something to do, summed over all of them."""
        return sum(worker.busy_seconds() for worker in self.workers)

    def loss(self, ended: Sequence[int]) -> WorkerLost:
        """What to raise when the processes with these ends have ended."""
        return lost(self._by_fd[fd].process for fd in ended)

    def close(self) -> None:
        """Ends the workers: those that are idle by themselves, the others at once."""
        if not self.busy():
            for worker in self.workers:
                with contextlib.suppress(OSError):
                    worker.line.shutdown(socket.SHUT_RDWR)  # others that were forked hold our side open too
                worker.line.close()
            limit = time.monotonic() + _CLOSE_SECONDS
            for worker in self.workers:
                worker.process.join(max(0.0, limit - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kills the workers with all that they started, and reaps them."""
        end(self._processes)
        for worker in self.workers:
            worker.close()
        self._by_fd.clear()
        self.workers.clear()
        self._processes.clear()
        if self._finalizer:
            self._finalizer.cancel()

    def _watch(self, worker: Worker) -> None:
        for fd in (worker.line.fileno(), worker.end_fd):
            self._by_fd[fd] = worker
            self._poll.register(fd, select.POLLIN)
        self._ends.register(worker.end_fd, select.POLLIN)

    def _fill(self, feed: Feed, came: Came, tags: set[int], ahead: bool) -> bool:
        """Gives every worker what it has room for: first what can begin now, then what may wait there.

        Whether the feed had no more; otherwise all are full, maybe of what an exchange that was left asked.
        """
        given: list[Worker] = []
        try:
            for more in (False, True) if ahead else (False,):
                while with_room := [w for w in self.workers[: self.active] if w.room(ahead=more) > 0]:
                    for worker in with_room:
                        job = feed.draw()
                        if job is None:
                            return True
                        self._tags += 1
                        self._asked[self._tags] = job.number, came
                        tags.add(self._tags)
                        worker.give(self._tags, job)
                        given.append(worker)
                        if not more:  # it begins while the next one's chunk is made
                            self._send(given.pop())
        finally:  # also where the feed raises: what was given must go, or its worker would have no room
            self._flush(given)
        return False

    def _pump(self, seconds: float | None) -> None:
        """Waits until something has come, and hands it to the exchange that asked for it."""
        for worker in self._ready(seconds):
            for frame in self._received(worker):
                if frame.kind == READY:
                    self._came(worker, frame)
                    continue
                worker.answered(frame.tag)
                asked = self._asked.get(frame.tag)
                if asked:  # else nobody waits for it any more
                    asked[1].append((frame.tag, frame.body))

    def _flush(self, given: Iterable[Worker]) -> None:
        for worker in dict.fromkeys(given):
            self._send(worker)

    def _send(self, worker: Worker) -> None:
        was = worker.sending
        worker.flush()
        if worker.sending != was:
            wanted = select.POLLIN | select.POLLOUT if worker.sending else select.POLLIN
            self._poll.modify(worker.line.fileno(), wanted)

    def _ready(self, seconds: float | None) -> list[Worker]:
        """Workers from which something has come. Raises `WorkerLost`, and `OutOfTime` after ``seconds``."""
        events = in_slices(self._polled, seconds, OutOfTime)
        ready: list[Worker] = []
        ended: list[int] = []
        for fd, event in events:
            worker = self._by_fd.get(fd)
            if worker is None:
                continue  # the feed has more
            if fd == worker.end_fd:
                ended.append(fd)
                continue
            if event & select.POLLOUT:
                self._send(worker)
            if event & ~select.POLLOUT:
                ready.append(worker)
        # What a worker said before its end is heard first.
        if any(self._by_fd[fd].closed or self._by_fd[fd] not in ready for fd in ended):
            raise self.loss(ended)
        return ready

    def _polled(self, seconds: float) -> list[tuple[int, int]]:
        events = self._poll.poll(math.ceil(seconds * 1000))
        if not events:
            raise OutOfTime
        return events

    def _received(self, worker: Worker) -> list[Frame]:
        frames = worker.receive()
        if worker.closed:
            # It is about to end, unless a task has closed what it does not own.
            if not worker.ended_within(_GONE_SECONDS):
                end([worker.process])
            raise lost([worker.process])
        return frames

    def _meet(self, timeout: float) -> None:
        limit = time.monotonic() + timeout
        try:
            while self._missing:
                self._pump(max(0.0, limit - time.monotonic()))
        except OutOfTime:
            asked = sum(self._slots)
            came = asked - sum(self._missing.values())
            raise WorkersMissing(f"only {came} of {asked} workers ran at once within {timeout:g} s") from None

    def _came(self, worker: Worker, frame: Frame) -> None:
        """One of what a worker can run at once is ready; or its initializer has failed."""
        if frame.body:
            unpack(frame.body)
        self._missing[worker] -= 1
        if not self._missing[worker]:
            del self._missing[worker]
