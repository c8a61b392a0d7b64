"""One worker process of ours, and the line to it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from ..envelope import CHUNK, FUNCTION, Frame, Inbox, Outbox, Parts, Rooms, line, serve
from ..envelope._locks import open_after_fork
from .reaping import end_of

__all__ = ["Job", "Load", "Worker"]

_AHEAD_SECONDS = 0.002
"""How much work may wait in a worker, by what its last chunks took: enough that a worker need not wait for
us (50 us by our measurement), too little to matter where another one is idle."""
_AHEAD_CHUNKS = 16
_starting = open_after_fork(threading.Lock())
"""One process starts at a time: filelock, where it is imported, lets no two threads fork at once."""


class Job(NamedTuple):
    """A chunk to run: a number of the caller's own, the function, the items, and how many they are."""

    number: int
    blob: bytes
    payload: Parts
    items: int = 1
    start: int = 0


class Load:
    """What one side of a line was given and has not answered, and how much more it may have."""

    ahead_bytes = 1 << 14
    """Size of unanswered items above which nothing more may wait there."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        """How many chunks run there at once."""
        self.doing: dict[int, Job] = {}
        self.sending = False
        """Whether the other side could not take all that it was given."""
        self.closed = False
        """Whether the other side of the line is closed."""
        self.busy_since = 0.0
        """When it began what it does now, by the monotonic clock."""
        self._pace = 1.0
        """Seconds between two answers lately: up at once, down by halves, so that a long one is believed."""
        self._bytes = 0

    def room(self, *, ahead: bool = True) -> int:
        """How many more chunks may be given now."""
        if self.sending:
            return 0
        spare = min(_AHEAD_CHUNKS, int(_AHEAD_SECONDS / self._pace)) if ahead else 0
        if self._bytes > self.ahead_bytes:
            spare = 0
        return self.slots + spare - len(self.doing)

    def given(self, tag: int, job: Job) -> None:
        """One chunk more is on its way."""
        if not self.doing:
            self.busy_since = time.monotonic()
        self.doing[tag] = job
        self._bytes += job.payload.size

    def answered(self, tag: int) -> Job:
        """The chunk whose answer has come."""
        job, now = self.doing.pop(tag), time.monotonic()
        self._bytes -= job.payload.size
        took = max(now - self.busy_since, 1e-6)
        self._pace = max(took, (self._pace + took) / 2)
        self.busy_since = now
        return job


class Worker(Load):
    """A process, what it was given and has not answered."""

    def __init__(
        self,
        context: BaseContext,
        how: tuple[Callable[[], object], bytes | None, int, bool],
        siblings: Sequence[Worker],
        rooms: Rooms,
    ) -> None:
        """``how``: the last arguments of `serve`. ``rooms``: for what it answers."""
        super().__init__(how[2])
        self._busy_before = 0.0
        self._blob: bytes | None = None
        self.line, theirs = line()
        self.line.setblocking(False)
        self._inbox, self._outbox = Inbox(self.line, rooms), Outbox(self.line)
        forks = context.get_start_method() == "fork"
        inherited = [self.line, *(worker.line for worker in siblings)] if forks else []
        make: Any = context
        with theirs:
            self.process: BaseProcess = make.Process(
                target=serve, args=(theirs, inherited, *how), daemon=False
            )
            try:
                with _starting:
                    self.process.start()
            except BaseException:
                self.line.close()
                raise
        self.end_fd, self._owns = end_of(self.process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def give(self, tag: int, job: Job) -> None:
        """One chunk more, sent by the next `flush`."""
        if self._blob != job.blob:
            self._blob = job.blob
            self._outbox.add(FUNCTION, 0, 0, (job.blob,))
        self.given(tag, job)
        self._outbox.add(CHUNK, tag, job.start, job.payload)

    def flush(self) -> None:
        """Sends what the process can take; one that has ended is noticed by its end."""
        with contextlib.suppress(ConnectionError):
            self._outbox.flush()
        self.sending = bool(self._outbox)

    def receive(self) -> list[Frame]:
        """What has come, nothing where it has ended."""
        try:
            return self._inbox.receive()
        except BlockingIOError:
            return []
        except (EOFError, ConnectionError):
            self.closed = True
            return []

    def ended_within(self, seconds: float) -> bool:
        """Whether the process ends within that time."""
        poll = select.poll()
        poll.register(self.end_fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def answered(self, tag: int) -> Job:
        """See `Load`."""
        begun = self.busy_since
        job = super().answered(tag)
        self._busy_before += max(self.busy_since - begun, 1e-6)
        return job

    def busy_seconds(self) -> float:
        """Seconds that it had something to do so far."""
        return self._busy_before + (time.monotonic() - self.busy_since if self.doing else 0.0)

    def close(self) -> None:
        """Closes our side; the process ends when it has done what it does."""
        self.line.close()
        if self._owns:
            self._owns = False
            os.close(self.end_fd)
