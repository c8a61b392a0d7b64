"""What pools of threads of the parent share: streams without futures, and tasks that can be ended."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from ..envelope import Failure, RunningTasks, adapted, preparing, rendezvous
from ..errors import PoolError
from ..strategy import Chunk, StrategyOptions
from ..workers import in_slices
from ._chunks import ChunkRule, Deadline, one_by_one
from ._executors import ExecutorPool

__all__ = ["Answer", "Asker", "StreamingThreads", "TaskThreads"]

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


class TaskThreads(ExecutorPool):
    """Threads whose tasks are ended by an exception, in Python code; the pool has ended then.

    Nothing can end a thread that waits or computes in C: the error names it, and neither the pool nor
    Python's exit waits for it.
    """

    chunk_rule: ChunkRule = staticmethod(one_by_one)

    def alive(self) -> Sequence[threading.Thread]:
        """The threads that have not ended."""
        raise NotImplementedError

    def kill(self) -> None:
        """Ends the tasks that run, and waits half a second for the threads at most."""
        raise NotImplementedError

    def meet(self, options: StrategyOptions) -> None:
        """Proves that the threads run at once, each prepared for its tasks."""
        rendezvous(
            self.map,
            self.workers,
            timeout=options.start_timeout,
            noun="threads",
            processes=False,
            initializer=preparing(options.native_threads, options.initializer),
        )

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
        left = ", ".join(thread.name for thread in self.alive())
        consequence = "its tasks were ended"
        if left:
            consequence = f"Python cannot end a thread that is in C code, so these were left running: {left}"
        error = deadline.error(consequence)
        self.ended = str(error)
        return error


class StreamingThreads(TaskThreads):
    """A queue of answers for each stream; no future is made, but for the executor: that makes it fast."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.askers: set[Asker] = set()
        self._abandoned: set[_Stream] = set()

    def offer(self, asker: Asker, start: int, chunk: Sequence[Any]) -> None:
        """Lets the threads run a chunk, the index of whose first item is ``start``."""
        raise NotImplementedError

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
        self.askers.add(stream)
        try:
            while True:
                for start, chunk in itertools.islice(coming, in_flight and in_flight - stream.drawn):
                    stream.add(start)
                    self.offer(stream, start, chunk)
                if not stream.drawn:
                    return
                start, answer = self._next(stream, deadline)
                yield start, self.open_answer(answer)
        finally:
            self._leave(stream)

    def busy(self) -> bool:
        """See `ExecutorPool`."""
        for stream in list(self._abandoned):
            if not stream.pending():
                self._abandoned.discard(stream)
        return bool(self._abandoned) or super().busy()

    def _next(self, stream: _Stream, deadline: Deadline) -> tuple[int, Answer]:
        try:
            return stream.next(deadline)
        except Empty:
            raise self.expire(deadline) from None

    def _leave(self, stream: _Stream) -> None:
        stream.over = True
        self.askers.discard(stream)
        if stream.pending():
            self._abandoned.add(stream)


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
