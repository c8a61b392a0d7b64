"""A pool of processes: multiprocessing.Pool."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import count, islice
from queue import Empty, SimpleQueue
from typing import Any

from ..envelope import adapted, rendezvous, worker_settings
from ..envelope._performing import Answer, perform, start_pool_worker
from ..envelope._shipping import Shipment, Shipping, failed, open_answer, open_answers
from ..strategy import Chunk, StrategyOptions
from ..workers import hidden_main, in_slices, quiet_fork
from ._chunks import Deadline, chunked
from ._executors import ExecutorPool, Send
from ._watch import Watch, ended, taken_over, tied

__all__ = ["MultiprocessingPool"]

_numbers = count(1 << 30)
"""Numbers of our jobs, far from those that multiprocessing gives to its own, and still quick to pickle."""


class MultiprocessingPool(ExecutorPool):
    """A multiprocessing.Pool that is fed functions by value.

    Its threads send our tasks and hand us the answers as they do for `Pool.map`, so nothing comes between.
    A timeout kills the workers, and so does a lost one; then the pool has ended. What stays after `close` is
    Python's own: its resource tracker, and its fork server where one was needed.
    """

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._method = method
        self._options = options
        self._shipping = Shipping(options.by_value)
        self._jobs: dict[int, Job] = {}
        self._abandoned: list[Job] = []
        self._fault: BaseException | None = None
        self._untold: BaseException | None = None
        self._pool: Any = None
        self._watch: Watch | None = None

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return [process.pid for process in self._watch.processes if process.pid] if self._watch else []

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": self._method}

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`. After a timeout or a lost worker the pool has ended, and says so."""
        self.usable()
        deadline = Deadline(timeout)
        chunks = list(chunked(items, chunk_size, self.workers, self.chunk_rule))
        with Gathering(self, self._shipping.shipment(adapted(fn)), chunks) as job:
            self.send(job.tasks(chunks))
            results: list[Any] = job.results(deadline)
        return results

    def stream(
        self,
        fn: Callable[[Any], Any],
        chunks: Iterable[Chunk],
        *,
        in_flight: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        task_timeout: float | None = None,  # noqa: ARG002  # see `Strategy.limits_tasks`
    ) -> Iterator[tuple[int, list[Any]]]:
        """See `HasStream.stream`."""
        self.usable()
        deadline = Deadline(timeout)
        coming = iter(chunks)
        with Streaming(self, self._shipping.shipment(adapted(fn)), ordered) as job:
            while True:
                job.add(list(islice(coming, in_flight and in_flight - len(job))))
                if not len(job):
                    return
                start, answer = job.next(deadline)
                yield start, open_answer(answer)

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        shipment = self._shipping.shipment(fn)

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            job = Single(self)
            task = shipment.task(start, chunk)
            self.enter(job)
            self.send(job.sent((job.number, start, perform, task, {})))
            return job

        return send

    def open_answer(self, answer: Answer) -> list[Any]:
        """See `Sending`."""
        return open_answer(answer)

    def usable(self) -> None:
        """See `ExecutorPool`; who comes first after a fault between two maps is told what it was."""
        if self._watch is not None:
            self._watch.fallen()
        untold, self._untold = self._untold, None
        if untold is not None:
            raise untold
        super().usable()

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        pids = ", ".join(map(str, self.pids()))
        error = deadline.error(f"its worker processes were killed ({pids})")
        self.fail(error)
        self.kill()
        return error

    def fail(self, error: BaseException) -> None:
        """Every job, now or later, fails with this error."""
        self._fault = self._fault or error
        self.ended = str(self._fault)
        jobs = list(self._jobs.values())
        self._untold = None if jobs else self._fault
        for job in jobs:
            job.fail(self._fault)

    def enter(self, job: Job) -> None:
        """From now on the job gets its answers, or the error that ended the workers."""
        self._jobs[job.number] = job
        self._pool._cache[job.number] = job
        if self._fault is not None:
            job.fail(self._fault)

    def leave(self, job: Job) -> None:
        """Answers of that job that still come only tell that a worker is free again."""
        self._jobs.pop(job.number, None)
        self._abandoned = [job for job in (*self._abandoned, job) if job.waiting]
        if self._pool is not None and not job.waiting:
            self._pool._cache.pop(job.number, None)

    def busy(self) -> bool:
        """See `ExecutorPool.busy`."""
        return any(job.waiting for job in (*self._jobs.values(), *self._abandoned))

    def send(self, tasks: Iterable[tuple[Any, ...]]) -> None:
        """Gives tasks to the thread that sends them."""
        self._pool._taskqueue.put((tasks, None))

    def start(self) -> None:
        """Starts the processes and proves that they run at once."""
        options, method = self._options, self._method
        with hidden_main() if method != "fork" else quiet_fork():
            self._pool = multiprocessing.get_context(method).Pool(
                self.workers, start_pool_worker, (options.native_threads, tied(method), worker_settings())
            )
            self._watch = Watch(taken_over(self._pool), self.fail)
            rendezvous(
                self._meet,
                self.workers,
                timeout=options.start_timeout,
                noun="processes",
                initializer=options.initializer,
            )

    def close(self) -> None:
        """Lets the workers end; kills them where a failed map left one busy."""
        self._end(kill=bool(self.ended) or self.busy())

    def kill(self) -> None:
        """Kills the workers and what they started."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and self._watch is not None:
            self._watch.stop()
            ended(pool, self._watch.processes, kill=kill)
            self._watch.join()
            self._watch = None  # processes hold their queues, whose semaphores stay as long
        self._shipping.close()

    def _meet(self, fn: Callable[[int], Any], tickets: Sequence[int]) -> list[Any]:
        return self.map(fn, tickets, chunk_size=1, timeout=2 * self._options.start_timeout)


class Job:
    """What the pool knows by a number, to hand it the answers with that number."""

    def __init__(self, pool: MultiprocessingPool) -> None:
        self.number = next(_numbers)
        self._pool = pool
        self._sent = self._answered = 0  # each is counted by one thread

    @property
    def waiting(self) -> bool:
        """Whether tasks that were sent are not answered."""
        return self._answered < self._sent

    def fail(self, error: BaseException) -> None:
        """Ends it with an error."""
        raise NotImplementedError

    def _set(self, start: int, outcome: tuple[bool, Any]) -> None:
        """Called by the pool's thread for results: an answer, or why there is none."""
        self._answered += 1
        good, answer = outcome
        if good:
            self.take(start, answer)
        else:
            self.fail(answer)

    def take(self, start: int, answer: Answer) -> None:
        """The answer for the chunk that begins there."""
        raise NotImplementedError


class Single(Job, Future[Any]):
    """One task as a future."""

    def __init__(self, pool: MultiprocessingPool) -> None:
        Job.__init__(self, pool)
        Future.__init__(self)
        self.set_running_or_notify_cancel()

    def sent(self, task: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The task, noted as sent."""
        self._sent = 1
        return [task]

    def fail(self, error: BaseException) -> None:
        """See `Job`."""
        self._pool.leave(self)
        self.set_exception(error)

    def take(self, start: int, answer: Answer) -> None:  # noqa: ARG002  # there is one
        """See `Job`."""
        self._pool.leave(self)
        self.set_result(answer)


class Stream(Job):
    """Many tasks, whose answers one thread waits for. Left early, it cancels what has not begun."""

    def __init__(self, pool: MultiprocessingPool, shipment: Shipment) -> None:
        super().__init__(pool)
        self._shipment = shipment
        self._over = False
        self._came: SimpleQueue[tuple[int, Any]] = SimpleQueue()

    def __enter__(self) -> Any:
        self._pool.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        if self.waiting:
            self._shipment.cancel()
        self._pool.leave(self)

    def fail(self, error: BaseException) -> None:
        """See `Job`."""
        self._came.put((-1, error))

    def tasks(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Any, ...]]:
        """What the pool's thread for tasks sends."""
        shipment, number = self._shipment, self.number
        try:
            for start, chunk in chunks:
                if self._over:
                    return
                task = shipment.task(start, chunk)
                self._sent += 1
                yield number, start, perform, task, {}
        except Exception as exc:  # noqa: BLE001  # it would end the thread
            self.fail(exc)

    def _take(self, seconds: float) -> tuple[int, Any]:
        return self._came.get(timeout=seconds)

    def _next(self, deadline: Deadline) -> tuple[int, Any]:
        try:
            start, answer = in_slices(self._take, deadline.left(), Empty)
        except Empty:
            raise self._pool.expire(deadline) from None
        if start < 0:
            raise answer
        return start, answer


class Gathering(Stream):
    """A map: the thread is woken once, when all have come, or all before the first that failed."""

    def __init__(self, pool: MultiprocessingPool, shipment: Shipment, chunks: Sequence[Chunk]) -> None:
        super().__init__(pool, shipment)
        self._size = len(chunks[0][1]) if chunks else 1
        self._found: list[Any] = [None] * len(chunks)
        self._needed = self._left = len(chunks)

    def take(self, start: int, answer: Answer) -> None:
        """See `Job`."""
        index = start // self._size
        self._found[index] = answer
        self._left -= index < self._needed
        if failed(answer) and index < self._needed:
            self._needed = index
            self._left = self._found[:index].count(None)
        if not self._left:
            self._came.put((start, None))

    def results(self, deadline: Deadline) -> list[Any]:
        """All results, in order; raises the first error."""
        if self._found:
            self._next(deadline)
        return open_answers(self._found)


class Streaming(Stream):
    """A stream: the thread is woken by every answer."""

    def __init__(self, pool: MultiprocessingPool, shipment: Shipment, ordered: bool) -> None:
        super().__init__(pool, shipment)
        self._order: deque[int] | None = deque() if ordered else None
        self._early: dict[int, Answer] = {}
        self._drawn = 0

    def __len__(self) -> int:
        return self._drawn

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Sends more chunks."""
        self._drawn += len(chunks)
        if self._order is not None:
            self._order.extend(start for start, _ in chunks)
        if chunks:
            self._pool.send(self.tasks(chunks))

    def take(self, start: int, answer: Answer) -> None:
        """See `Job`."""
        self._came.put((start, answer))

    def next(self, deadline: Deadline) -> tuple[int, Answer]:
        """The next answer, and the number of its chunk."""
        self._drawn -= 1
        if self._order is None:
            return self._next(deadline)
        wanted = self._order.popleft()
        while wanted not in self._early:
            start, answer = self._next(deadline)
            self._early[start] = answer
        return wanted, self._early.pop(wanted)
