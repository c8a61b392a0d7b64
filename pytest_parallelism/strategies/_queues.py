"""Pools on processes of our own that share a queue of chunks and a queue of answers."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, cast

from ..envelope import CHUNK, Frame, Inbox, Outbox, Rooms, line
from ..envelope._queues import Queues, Socket, serve_queues, with_function
from ..errors import PoolError, WorkerLost
from ..strategy import Chunk, StrategyOptions
from ..workers import Crew, Job, OutOfTime, end_of, hidden_main, in_slices, lost, quiet_fork
from ..workers.worker import Load, Worker
from ._crew_pool import CrewPool

__all__ = ["Desk", "QueueCrew", "QueuePool", "SocketDesk"]

_CLOSE_SECONDS = 1.0
"""How long idle workers may take to end before they are killed: a thread of a task may keep one alive."""


class QueuePool(CrewPool):
    """Dedicated processes, each of which takes the next chunk from one queue when it is free.

    ``crew`` makes the processes and their queues.
    """

    def __init__(
        self, workers: int, method: str, options: StrategyOptions, crew: Callable[[int, str], Crew]
    ) -> None:
        super().__init__([workers], method, options)
        self._crew = crew(workers, method)

    def stream(
        self,
        fn: Callable[[Any], Any],
        chunks: Iterable[Chunk],
        *,
        in_flight: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        task_timeout: float | None = None,  # noqa: ARG002  # nobody knows which process has which chunk
    ) -> Iterator[tuple[int, list[Any]]]:
        """See `HasStream.stream`."""
        return super().stream(fn, chunks, in_flight=in_flight, ordered=ordered, timeout=timeout)


class Desk(Load):
    """The parent's ends of the queues; to a crew, one worker that runs ``slots`` chunks at once."""

    ahead_bytes = 1 << 16

    def fileno(self) -> int:
        """Readable when an answer has come."""
        raise NotImplementedError

    def queues(self) -> Queues:
        """The workers' ends."""
        raise NotImplementedError

    def meet(self) -> None:
        """Called when the processes have been started."""

    def give(self, tag: int, job: Job) -> None:
        """One chunk more, sent by the next `flush` at the latest."""
        self.given(tag, job)
        self.put(tag, job)

    def put(self, tag: int, job: Job) -> None:
        """Into the queue."""
        raise NotImplementedError

    def flush(self) -> None:
        """Sends what the queue can take."""

    def receive(self) -> list[Frame]:
        """What has come."""
        raise NotImplementedError

    def finish(self) -> None:
        """Lets idle workers end."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes our ends."""
        raise NotImplementedError


class SocketDesk(Desk):
    """Both queues on one socket, with a lock for its readers and one for its writers.

    So is multiprocessing.SimpleQueue, on a pipe; but here the parent neither blocks nor needs a lock, so
    that a worker that is killed while it holds one makes nobody wait who is not killed with it.
    """

    def __init__(self, slots: int, context: BaseContext, rooms: Rooms) -> None:
        super().__init__(slots)
        try:
            locks = context.Lock(), context.Lock()
        except OSError as exc:
            raise PoolError(
                f"no lock can be made for a queue ({exc.strerror}): make room in /dev/shm, or use processes"
            ) from exc
        self.line, self._theirs = line()
        self.line.setblocking(False)
        self._inbox, self._outbox = Inbox(self.line, rooms), Outbox(self.line)
        self._queues: Queues | None = Socket(self._theirs, *locks)

    def fileno(self) -> int:
        """See `Desk`."""
        return self.line.fileno()

    def queues(self) -> Queues:
        """See `Desk`."""
        assert self._queues is not None
        return self._queues

    def meet(self) -> None:
        """See `Desk`: from now on, the workers alone keep their side open."""
        self._theirs.close()

    def put(self, tag: int, job: Job) -> None:
        """See `Desk`."""
        self._outbox.add(CHUNK, tag, job.start, with_function(job.blob, job.payload))

    def flush(self) -> None:
        """See `Desk`; that all workers have ended is noticed by their ends."""
        with contextlib.suppress(ConnectionError):
            self._outbox.flush()
        self.sending = bool(self._outbox)

    def receive(self) -> list[Frame]:
        """See `Desk`."""
        try:
            return self._inbox.receive()
        except BlockingIOError:
            return []
        except (EOFError, ConnectionError):
            self.closed = True
            return []

    def finish(self) -> None:
        """See `Desk`; whoever else was forked meanwhile holds our side open too."""
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Desk`. A spawned worker finds the locks by their names, which last as long as these do."""
        self._queues = None
        self._theirs.close()
        self.line.close()


class QueueCrew(Crew):
    """Processes that share their queues, and the parent's one desk for all of them."""

    def __init__(self, workers: int, method: str) -> None:
        super().__init__([workers], method)
        self._desk: Desk | None = None
        self._members: list[BaseProcess] = []
        self._watched: dict[int, tuple[BaseProcess, bool]] = {}

    def pids(self) -> list[int]:
        """See `Crew`."""
        return [process.pid or 0 for process in self._members]

    def grow(self, slots: Sequence[int]) -> None:
        """See `Crew`; once only."""
        setup, prepare, timeout = self._how
        context: Any = multiprocessing.get_context(self._method)
        with hidden_main() if self._method != "fork" else quiet_fork():
            desk = self._desk = self.desk(sum(slots), context)
            inherited = [desk.line] if isinstance(desk, SocketDesk) and self._method == "fork" else []
            for _ in range(desk.slots):
                how = desk.queues(), inherited, setup, prepare
                self._begun(context.Process(target=serve_queues, args=how, daemon=False))
        desk.meet()
        worker = cast("Worker", desk)
        self.workers.append(worker)
        self._missing[worker] = desk.slots
        self._slots = tuple(slots)
        self._poll.register(desk.fileno(), select.POLLIN)
        self._meet(timeout)

    def desk(self, slots: int, context: BaseContext) -> Desk:
        """Makes the queues. Raises `PoolError`."""
        return SocketDesk(slots, context, self.rooms)

    def close(self) -> None:
        """See `Crew`."""
        if self._desk and not self.busy():
            self._desk.finish()
            limit = time.monotonic() + _CLOSE_SECONDS
            for process in self._members:
                process.join(max(0.0, limit - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """See `Crew`."""
        super().kill()
        if self._desk:
            self._desk.close()
        for fd, (_, owned) in self._watched.items():
            if owned:
                os.close(fd)
        self._watched.clear()
        self._members.clear()

    def loss(self, ended: Sequence[int]) -> WorkerLost:
        """See `Crew`."""
        return self.lost([self._watched[fd][0] for fd in ended])

    def lost(self, ended: Sequence[BaseProcess]) -> WorkerLost:
        """What to raise when these have ended."""
        return lost(ended)

    def watch(self, process: BaseProcess) -> None:
        """From now on, its end is noticed, and it is ended with the others."""
        self._processes.append(process)
        fd, owned = end_of(process)
        self._watched[fd] = process, owned
        for poll in (self._poll, self._ends):
            poll.register(fd, select.POLLIN)

    def _begun(self, process: BaseProcess) -> None:
        process.start()
        self._members.append(process)
        self.watch(process)

    def _send(self, worker: Worker) -> None:
        was = worker.sending
        worker.flush()
        if worker.sending != was:
            wanted = select.POLLIN | select.POLLOUT if worker.sending else select.POLLIN
            self._poll.modify(cast("Desk", worker).fileno(), wanted)

    def _ready(self, seconds: float | None) -> list[Worker]:
        events = dict(in_slices(self._polled, seconds, OutOfTime))
        ended = [fd for fd in self._watched if fd in events]
        if ended:
            raise self.loss(ended)
        (worker,) = self.workers
        event = events.get(cast("Desk", worker).fileno(), 0)
        if event & select.POLLOUT:
            self._send(worker)
        return [worker] if event & ~select.POLLOUT else []

    def _received(self, worker: Worker) -> list[Frame]:
        frames = worker.receive()
        if worker.closed:
            raise self.lost(self._processes)
        return frames
