"""A pool of threads of the parent that take chunks from a queue."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from ..envelope import Failure, RunningTasks, adapted, attempt, preparing, rendezvous
from ..errors import PoolError
from ..strategy import Chunk, StrategyOptions
from ..workers import in_slices
from ._chunks import Deadline, one_by_one
from ._executors import ExecutorPool, Send

__all__ = ["ThreadQueuePool"]

_JOIN_SECONDS = 0.5
_numbers = itertools.count()

Answer = tuple[list[Any], Failure | None]


class Asker(Protocol):
    """Who has put a chunk into the queue."""

    fn: Callable[[Any], Any]

    def wants(self) -> bool:
        """Whether a chunk shall begin; asked once for each."""

    def put(self, came: tuple[int, Answer | None]) -> None:
        """The number of a chunk and its answer, None for one that was dropped."""

    def fail(self, error: BaseException) -> None:
        """No more answers come."""


class ThreadQueuePool(ExecutorPool):
    """Threads of its own, one queue of chunks for all, and a queue of answers for each stream.

    No future is made, but for the executor: that is what makes it fast. A timeout ends it as it does the
    strategy ``threads``.
    """

    chunk_rule = staticmethod(one_by_one)

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._options = options
        self._chunks: SimpleQueue[tuple[Asker, int, Sequence[Any]] | None] = SimpleQueue()
        self._askers: set[Asker] = set()
        self._abandoned: list[_Stream] = []
        self._running = RunningTasks()
        self._over = False
        number = next(_numbers)
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}_{i}", daemon=True)
            for i in range(workers)
        ]

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
        stream = _Stream(adapted(fn), ordered)
        coming = iter(chunks)
        self._askers.add(stream)
        try:
            while True:
                for start, chunk in itertools.islice(coming, in_flight and in_flight - stream.drawn):
                    stream.add(start)
                    self._chunks.put((stream, start, chunk))
                if not stream.drawn:
                    return
                start, answer = self._next(stream, deadline)
                yield start, self.open_answer(answer)
        finally:
            self._leave(stream)

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`: only the executor sends so."""

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            call = _Call(fn, self._askers.discard)
            self._askers.add(call)
            self._chunks.put((call, start, chunk))
            return call.future

        return send

    def open_answer(self, answer: Answer) -> list[Any]:
        """See `Sending`."""
        results, failure = answer
        if failure and RunningTasks.ended(failure.error):
            raise PoolError(f"the pool has ended, and this task with it: {self.ended or 'it was closed'}")
        if failure:
            raise failure.error
        return results

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        self.kill()
        left = ", ".join(thread.name for thread in self._threads if thread.is_alive())
        consequence = "its tasks were ended"
        if left:
            consequence = f"Python cannot end a thread that is in C code, so these were left running: {left}"
        error = deadline.error(consequence)
        self.ended = str(error)
        return error

    def busy(self) -> bool:
        """See `ExecutorPool`."""
        return any(stream.pending() for stream in self._abandoned) or super().busy()

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
        for thread in self._threads:
            thread.start()
        rendezvous(
            self.map,
            self.workers,
            timeout=self._options.start_timeout,
            noun="threads",
            processes=False,
            initializer=preparing(self._options.native_threads, self._options.initializer),
        )

    def close(self) -> None:
        """Waits for the threads, unless a task that nobody waits for keeps one busy."""
        if self._over or self.busy():
            self.kill()
            return
        self._dismiss()
        for thread in self._threads:
            thread.join()

    def kill(self) -> None:
        """Ends the tasks that run, and waits half a second for the threads at most."""
        if not self._over:
            self._over = True
            self._running.end()
            self._dismiss()
            for asker in tuple(self._askers):
                asker.fail(PoolError("the pool was closed"))
        end = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))
        self._running.spare()

    def _run(self) -> None:
        try:
            with self._running:  # all the time: who is ended while idle has nothing more to do
                self._work()
        except BaseException:
            if not self._over:
                raise

    def _work(self) -> None:
        take = self._chunks.get
        while not self._over and (job := take()) is not None:
            asker, start, chunk = job
            asker.put((start, attempt(asker.fn, chunk) if asker.wants() else None))

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._chunks.put(None)

    def _next(self, stream: _Stream, deadline: Deadline) -> tuple[int, Answer]:
        try:
            return stream.next(deadline)
        except Empty:
            raise self.expire(deadline) from None

    def _leave(self, stream: _Stream) -> None:
        stream.over = True
        self._askers.discard(stream)
        self._abandoned = [one for one in (*self._abandoned, stream) if one.pending()]


class _Stream:
    """Chunks that one thread has put into the queue, and their answers."""

    def __init__(self, fn: Callable[[Any], Any], ordered: bool) -> None:
        self.fn = fn
        self.over = False
        self.drawn = 0
        """Chunks that were drawn and not given back."""
        self._order: deque[int] | None = deque() if ordered else None
        self._early: dict[int, Answer] = {}
        self._came: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self.put: Callable[[tuple[int, Answer | None]], None] = self._came.put

    def wants(self) -> bool:
        """See `Asker`."""
        return not self.over

    def add(self, start: int) -> None:
        """One more chunk."""
        self.drawn += 1
        if self._order is not None:
            self._order.append(start)

    def next(self, deadline: Deadline) -> tuple[int, Answer]:
        """The next chunk's number and answer. Raises Empty when the time is over."""
        wanted = self._order.popleft() if self._order is not None else None
        while wanted is None or wanted not in self._early:
            start, answer = in_slices(self._take, deadline.left(), Empty)
            if isinstance(answer, BaseException):
                raise answer
            if wanted is None or wanted == start:
                break
            self._early[start] = answer
        else:
            start, answer = wanted, self._early.pop(wanted)
        self.drawn -= 1
        return start, answer

    def _take(self, seconds: float) -> tuple[int, Any]:
        return self._came.get(timeout=seconds)

    def pending(self) -> int:
        """Chunks that threads have not answered."""
        return self.drawn - len(self._early) - self._came.qsize()

    def fail(self, error: BaseException) -> None:
        """See `Asker`."""
        self._came.put((-1, error))


class _Call:
    """One chunk whose answer is a future's."""

    def __init__(self, fn: Callable[[Any], Any], done: Callable[[_Call], object]) -> None:
        self.fn = fn
        self.future: Future[Any] = Future()
        self._done = done

    def wants(self) -> bool:
        """See `Asker`: unless its future was cancelled."""
        return self.future.set_running_or_notify_cancel()

    def put(self, came: tuple[int, Answer | None]) -> None:
        """See `Asker`."""
        self._done(self)
        if came[1] is not None:
            self._set(lambda: self.future.set_result(came[1]))

    def fail(self, error: BaseException) -> None:
        """See `Asker`."""
        self._done(self)
        if not self.future.cancel():
            self._set(lambda: self.future.set_exception(error))

    def _set(self, give: Callable[[], object]) -> None:
        with contextlib.suppress(InvalidStateError):  # it was ended with the pool
            give()
