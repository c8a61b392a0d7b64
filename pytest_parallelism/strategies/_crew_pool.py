"""A pool on worker processes of our own, one line each."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any

from ..envelope import (
    Blocking,
    Packer,
    Parts,
    Wrapper,
    adapted,
    enclosed,
    pack,
    start_worker,
    unpack,
    worker_settings,
)
from ..errors import PoolError, TaskTimeout, WorkerLost
from ..strategy import Chunk, StrategyOptions
from ..workers import Crew, Job, OutOfTime
from ._chunks import Deadline
from ._executors import ExecutorPool, Send
from ._watch import tied

__all__ = ["CrewPool", "Enclosing"]


class Enclosing:
    """How the items of one stream become bytes."""

    def __init__(self, by_value: Sequence[ModuleType]) -> None:
        self.by_value = by_value

    def __call__(self, items: Sequence[Any], start: int) -> Parts:
        """The chunk that begins with item ``start``."""
        return enclosed(items, self.by_value, start)

    def answered(self, start: int) -> None:
        """That chunk has its answer."""

    def close(self) -> None:
        """No chunk is needed any more."""


class CrewPool(ExecutorPool):
    """Dedicated processes, fed and watched by the caller's own thread.

    After a lost worker or a timeout the pool has ended. What stays after `close` is Python's own: its
    resource tracker, and its fork server where one was needed.
    """

    def __init__(
        self, slots: Sequence[int], method: str, options: StrategyOptions, *, loops: bool = False
    ) -> None:
        super().__init__(sum(slots))
        self._loops = loops
        self._method = method
        self._options = options
        self._pack = Packer(options.by_value)
        self._crew = Crew(slots, method, loops=loops)
        self._owner = threading.get_ident()
        self._lock = threading.Lock()
        self._streams = 0
        self._dispatcher: _Dispatcher | None = None

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return self._crew.pids()

    def info(self) -> Mapping[str, str | int]:
        """See `HasInfo`."""
        return {"start_method": self._method}

    def start(self) -> None:
        """Starts the processes and proves that they run at once."""
        options = self._options
        initializer = options.initializer
        prepare = pack(_Prepare(initializer), options.by_value) if initializer else None
        setup = functools.partial(start_worker, options.native_threads, tied(self._method), worker_settings())
        self._crew.start(setup, prepare, options.start_timeout)

    def stream(
        self,
        fn: Callable[[Any], Any],
        chunks: Iterable[Chunk],
        *,
        in_flight: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        task_timeout: float | None = None,
    ) -> Iterator[tuple[int, list[Any]]]:
        """See `HasStream.stream`."""
        if self._dispatcher or threading.get_ident() != self._owner:
            if task_timeout is not None:
                raise PoolError(
                    "task_timeout= works in the thread that opened the pool, and before its executor is used"
                )
            return super().stream(fn, chunks, in_flight=in_flight, ordered=ordered, timeout=timeout)
        return self._direct(fn, chunks, in_flight, ordered, Deadline(timeout), task_timeout)

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`: what the executor, and maps of other threads, send through."""
        with self._lock:
            if self._dispatcher is None:
                if self._streams:
                    raise PoolError(
                        "an unfinished imap of this pool must end before its executor can be used"
                    )
                self._dispatcher = _Dispatcher(self._crew, self._fell)
        dispatcher = self._dispatcher
        blob = self._pack(_Coroutine(fn) if self._loops else fn)
        enclosing = self.enclosing(lasting=False)

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            future = dispatcher.submit(blob, enclosing(chunk, start), len(chunk), start)
            future.add_done_callback(lambda _: enclosing.answered(start))
            return future

        return send

    def enclosing(self, *, lasting: bool) -> Enclosing:  # noqa: ARG002  # for those that keep something
        """Made for each stream; ``lasting``: all its items exist until it ends."""
        return Enclosing(self._options.by_value)

    def open_answer(self, answer: bytes | memoryview) -> list[Any]:
        """See `Sending`."""
        return unpack(answer)

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        error = deadline.error(f"its worker processes were killed ({', '.join(map(str, self.pids()))})")
        self._fell(error)
        self.kill()
        return error

    def between_chunks(self) -> None:
        """Called before a stream takes its next chunk."""

    def close(self) -> None:
        """Lets the workers end; kills them where one is still busy."""
        self._stop_dispatcher()
        self._crew.close()

    def kill(self) -> None:
        """Kills the workers and what they started."""
        self._stop_dispatcher()
        self._crew.kill()

    def _direct(
        self,
        fn: Callable[[Any], Any],
        chunks: Iterable[Chunk],
        in_flight: int | None,
        ordered: bool,
        deadline: Deadline,
        task_timeout: float | None,
    ) -> Iterator[tuple[int, list[Any]]]:
        self.usable()
        blob = self._pack(fn if self._loops else adapted(fn))
        enclosing = self.enclosing(lasting=isinstance(chunks, (list, tuple)))
        feed = _Feed(self._crew, chunks, blob, enclosing, self.between_chunks)
        feed.limit, feed.deadline, feed.task_timeout = in_flight, deadline, task_timeout
        answers = self._crew.exchange(feed, ahead=task_timeout is None)
        self._streams += 1
        try:
            opened = self._opened(answers, enclosing)
            yield from feed.in_order(opened) if ordered else feed.as_completed(opened)
        except OutOfTime:
            raise self.expire(deadline) if deadline.passed() else self._expire_task(feed) from None
        except WorkerLost as exc:
            self._fell(exc)
            self.kill()
            raise
        finally:
            self._streams -= 1
            answers.close()  # type: ignore[attr-defined]  # it is a generator
            enclosing.close()

    def _opened(
        self, answers: Iterator[tuple[int, bytes | memoryview]], enclosing: Enclosing
    ) -> Iterator[tuple[int, list[Any]]]:
        for number, data in answers:
            enclosing.answered(number)
            yield number, self.open_answer(data)

    def _expire_task(self, feed: _Feed) -> BaseException:
        pid, job = feed.slowest()
        error = TaskTimeout(
            f"item {job.start} did not end within {feed.task_timeout:g} s: worker process {pid} was killed"
        )
        self._fell(error)
        self.kill()
        return error

    def _fell(self, error: BaseException) -> None:
        self.ended = str(error)

    def _stop_dispatcher(self) -> None:
        if self._dispatcher:
            self._dispatcher.stop()


class _Prepare(Wrapper):
    """The initializer as a task."""

    def __call__(self, _item: None) -> None:
        """Calls it."""
        self.fn()


class _Coroutine:
    """Any function as a coroutine function, for workers that run nothing else."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn.fn if isinstance(fn, Blocking) else fn

    async def __call__(self, item: Any) -> Any:
        result = self.fn(item)
        return await result if inspect.isawaitable(result) else result


class _Feed:
    """Chunks of one stream on their way to the workers and back."""

    limit: int | None = None
    deadline = Deadline(None)
    task_timeout: float | None = None
    over = False

    def __init__(
        self,
        crew: Crew,
        chunks: Iterable[Chunk],
        blob: bytes,
        close: Callable[[Sequence[Any], int], Parts],
        before: Callable[[], None],
    ) -> None:
        self._crew = crew
        self._before = before
        self._chunks = iter(chunks)
        self._blob = blob
        self._close = close
        self._drawn: dict[int, Job] = {}

    def draw(self) -> Job | None:
        """See `Feed`."""
        self._before()
        if self.limit is not None and len(self._drawn) >= self.limit:
            return None
        for start, items in self._chunks:
            job = self._drawn[start] = Job(start, self._blob, self._close(items, start), len(items), start)
            return job
        self.over = True
        return None

    def patience(self) -> float | None:
        """See `Feed`."""
        left = self.deadline.left()
        if self.task_timeout is None:
            return left
        now = time.monotonic()
        ends = [until - now for until, _, _ in self._limits()]
        return max(0.0, min([*ends, *([] if left is None else [left])])) if ends else left

    def slowest(self) -> tuple[int, Job]:
        """The worker, and what it does, whose time is over first."""
        _, pid, job = min(self._limits())
        return pid, job

    def in_order(self, answers: Iterable[tuple[int, list[Any]]]) -> Iterator[tuple[int, list[Any]]]:
        """The answers in the order in which their chunks were drawn."""
        held: dict[int, list[Any]] = {}
        for number, results in answers:
            held[number] = results
            while self._drawn and (first := next(iter(self._drawn))) in held:
                del self._drawn[first]
                yield first, held.pop(first)

    def as_completed(self, answers: Iterable[tuple[int, list[Any]]]) -> Iterator[tuple[int, list[Any]]]:
        """The answers as they come."""
        for number, results in answers:
            del self._drawn[number]
            yield number, results

    def _limits(self) -> Iterator[tuple[float, int, Job]]:
        for worker in self._crew.workers:
            # What others asked for, who may have left, has no limit of ours.
            for job in (job for job in worker.doing.values() if self._drawn.get(job.number) is job):
                yield worker.busy_since + (self.task_timeout or 0.0) * job.items, worker.pid, job


class _Stop(Exception):
    pass


class _Dispatcher:
    """A thread with an endless exchange, so that futures complete while their owner does other things."""

    over = False

    def __init__(self, crew: Crew, fell: Callable[[BaseException], None]) -> None:
        self._crew = crew
        self._fell = fell
        self._fault: BaseException | None = None
        self._futures: dict[int, Future[Any]] = {}
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._numbers = itertools.count()
        self._stopping = False
        self._dry = False
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._wake, False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="processes-dispatch")
        self._thread.start()

    def submit(self, blob: bytes, payload: Parts, items: int, start: int) -> Future[Any]:
        """What will be the answer of this chunk."""
        future: Future[Any] = Future()
        number = next(self._numbers)
        self._futures[number] = future
        self._jobs.put(Job(number, blob, payload, items, start))
        if self._fault is not None:
            self._fail(self._fault)
        elif not self._stopping:
            os.write(self._bell, b".")
        return future

    def draw(self) -> Job | None:
        """See `Feed`."""
        self._hear()  # before all that a bell may stand for, so that none is missed
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                self._dry = True
                return None
            if self._futures[job.number].set_running_or_notify_cancel():
                return job
            del self._futures[job.number]

    def patience(self) -> float | None:
        """See `Feed`: those who wait have their own. Where all workers are full, nobody has drawn."""
        if not self._dry:
            self._hear()
        self._dry = False
        return None

    def stop(self) -> None:
        """Ends the thread; what is not done yet is cancelled."""
        if not self._stopping:
            self._stopping = True
            os.write(self._bell, b".")
            self._thread.join()
            for future in list(self._futures.values()):
                future.cancel()
            self._fail(PoolError("the pool was closed"))
            os.close(self._wake)
            os.close(self._bell)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 1 << 12)
        if self._stopping:
            raise _Stop

    def _run(self) -> None:
        try:
            for number, answer in self._crew.exchange(self, wake=self._wake):
                lasting = bytes(answer) if isinstance(answer, memoryview) else answer
                self._futures.pop(number).set_result(lasting)
                del answer, lasting
        except _Stop:
            return
        except BaseException as exc:  # noqa: BLE001  # it belongs to whoever waits for a future
            self._fault = exc
            self._fell(exc)
            self._fail(exc)

    def _fail(self, error: BaseException) -> None:
        for number in list(self._futures):
            future = self._futures.pop(number, None)
            if future and not future.done() and (future.running() or future.set_running_or_notify_cancel()):
                future.set_exception(error)
