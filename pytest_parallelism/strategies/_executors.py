"""Pools on a ``concurrent.futures`` executor, and the executor that user code gets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only from 3.11 on
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from ..envelope import Calling, adapted, unstopped
from ..errors import PoolError
from ..strategy import Chunk
from ..workers import adopting, in_slices
from ._chunks import ChunkRule, Deadline, auto_chunk, chunked

__all__ = ["Closable", "ExecutorPool", "Outer", "Send", "Sending", "Sent", "UserExecutor", "opened"]

Send = Callable[[int, Sequence[Any]], "Future[Any]"]


class Sending(Protocol):
    """A pool that sends chunks to workers and opens their answers."""

    workers: int

    def usable(self) -> None:
        """Raises `PoolError` once a fault has ended the workers."""

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """What sends a chunk for ``fn``, given the index of its first item and the items."""

    def open_answer(self, answer: Any) -> list[Any]:
        """Results of a chunk, or raises its error."""

    def translate(self, exc: BaseException) -> BaseException:
        """An error of the mechanism as an error of ours."""


class ExecutorPool:
    """What pools on executors share: chunks out, answers in, and one clear end."""

    chunk_rule: ChunkRule = staticmethod(auto_chunk)

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.ended: str | None = None
        self.left: set[Future[Any]] = set()
        self.user_executor = UserExecutor(self)

    @property
    def executor(self) -> Executor:
        """An executor on these workers for any user function."""
        return self.user_executor

    def usable(self) -> None:
        """Raises `PoolError` once a fault has ended the workers."""
        if self.ended:
            raise PoolError(f"this pool has ended, open a new one: {self.ended}")

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        raise NotImplementedError

    def open_answer(self, answer: Any) -> list[Any]:
        """See `Sending`."""
        raise NotImplementedError

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        return exc

    def settle(self) -> None:
        """Waits until a broken executor has ended its workers; called where its own thread is not waiting."""

    def expire(self, deadline: Deadline) -> BaseException:
        """Ends the workers where that is possible; what to raise."""
        raise NotImplementedError

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`. After a timeout or a lost worker the pool has ended, and says so."""
        chunks = self.divided(items, chunk_size)
        found: list[Any] = []
        try:
            for _, results in self.stream(fn, chunks, timeout=timeout):
                found += results
            return found
        except RuntimeError as exc:
            error = unstopped(exc)
            raise error from error.__cause__

    def divided(self, items: Sequence[Any], chunk_size: int | None) -> Iterable[Chunk]:
        """The chunks of a map. Raises `UsageError` for a size under 1."""
        return chunked(items, chunk_size, self.workers, self.chunk_rule)

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
        send = self.sender(adapted(fn))
        sent: Sent = InOrder() if ordered else AsCompleted()
        coming = iter(chunks)
        try:
            while True:
                for start, chunk in islice(coming, in_flight and in_flight - len(sent)):
                    sent.add(start, self._sent(send, start, chunk))
                if not len(sent):
                    return
                start, answer = self._answer(sent, deadline)
                yield start, self.open_answer(answer)
        except BaseException:
            self._abandon(sent)
            raise

    def _abandon(self, sent: Sent) -> None:
        self.left.update(future for future in sent.futures() if not future.cancel())

    def busy(self) -> bool:
        """Whether tasks still run that nobody waits for any more."""
        return not all(future.done() for future in (*self.left, *self.user_executor.outstanding))

    def _sent(self, send: Send, start: int, chunk: Sequence[Any]) -> Future[Any]:
        try:
            return send(start, chunk)
        except BrokenExecutor as exc:
            self.settle()
            raise self.translate(exc) from exc

    def _answer(self, sent: Sent, deadline: Deadline) -> tuple[int, Any]:
        try:
            return sent.next(deadline.left())
        except FutureTimeoutError:
            self._abandon(sent)  # what cannot be cancelled is what `expire` has to end
            raise self.expire(deadline) from None
        except (BrokenExecutor, CancelledError) as exc:
            self.settle()
            raise self.translate(exc) from exc


class InOrder:
    """Futures whose answers are taken in the order in which they were sent."""

    def __init__(self) -> None:
        self._futures: deque[tuple[int, Future[Any]]] = deque()

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, start: int, future: Future[Any]) -> None:
        """One more."""
        self._futures.append((start, future))

    def next(self, seconds: float | None) -> tuple[int, Any]:
        """The next answer; raises what its future raises, or TimeoutError after ``seconds``."""
        start, future = self._futures[0]
        answer = in_slices(partial(_result, future), seconds, FutureTimeoutError)
        self._futures.popleft()
        return start, answer

    def futures(self) -> Iterable[Future[Any]]:
        """Those whose answers were not taken."""
        return [future for _, future in self._futures]


def _result(future: Future[Any], seconds: float) -> Any:
    try:
        return future.result(seconds)
    except FutureTimeoutError as exc:
        if future.done() and future.exception() is exc:
            raise PoolError(f"the pool failed with {exc!r}") from exc  # it is not that we waited too long
        raise


class AsCompleted:
    """Futures whose answers are taken as they come."""

    def __init__(self) -> None:
        self._starts: dict[Future[Any], int] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, future: Future[Any]) -> None:
        """One more."""
        self._starts[future] = start
        future.add_done_callback(self._done.put)

    def next(self, seconds: float | None) -> tuple[int, Any]:
        """See `InOrder.next`."""
        try:
            future = in_slices(self._take, seconds, Empty)
        except Empty:
            raise FutureTimeoutError from None
        return self._starts.pop(future), _result(future, 0)

    def _take(self, seconds: float) -> Future[Any]:
        return self._done.get(timeout=seconds)

    def futures(self) -> Iterable[Future[Any]]:
        """See `InOrder.futures`."""
        return list(self._starts)


Sent = InOrder | AsCompleted


class UserExecutor(Executor):
    """A ``concurrent.futures`` executor on the workers of a pool, for any user function.

    Its ``shutdown`` waits for what was submitted and leaves the workers to the pool, so that code with
    ``with executor:`` can run many times.
    """

    def __init__(self, pool: Sending) -> None:
        self._pool = pool
        self.outstanding: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`; a coroutine function runs on a loop of its own."""
        self._pool.usable()
        send = self._pool.sender(adapted(Calling(fn)))
        return self._track(send(0, [(args, kwargs)]), _only)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """See `concurrent.futures.Executor.map`."""
        self._pool.usable()
        send = self._pool.sender(adapted(Calling(fn)))
        calls: list[Any] = [(args, {}) for args in zip(*iterables, strict=False)]
        chunks = chunked(calls, chunksize, self._pool.workers, auto_chunk)
        futures = [self._track(send(start, chunk), _all) for start, chunk in chunks]
        deadline = Deadline(timeout)
        return (result for future in futures for result in future.result(deadline.left()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for what was submitted; the pool itself ends the workers."""
        if cancel_futures:
            for future in list(self.outstanding):
                future.cancel()
        if wait:
            _wait(list(self.outstanding))

    def _track(self, inner: Future[Any], pick: Callable[[list[Any]], Any]) -> Future[Any]:
        outer = Outer(inner)
        self.outstanding.add(outer)
        outer.add_done_callback(self.outstanding.discard)
        inner.add_done_callback(partial(_settle, self._pool, outer, pick))
        return outer


_wait = wait


class Outer(Future[Any]):
    """The future that a user has of one of a mechanism's."""

    def __init__(self, inner: Future[Any]) -> None:
        super().__init__()
        self._inner = inner

    def cancel(self) -> bool:
        return self._inner.cancel() and super().cancel()

    def running(self) -> bool:
        return self._inner.running()


def _only(results: list[Any]) -> Any:
    return results[0]


def _all(results: list[Any]) -> Any:
    return results


def _settle(pool: Sending, outer: Future[Any], pick: Callable[[list[Any]], Any], inner: Future[Any]) -> None:
    if inner.cancelled():
        Future.cancel(outer)
    if not outer.set_running_or_notify_cancel():
        return
    try:
        answer = inner.result()
    except BaseException as exc:  # noqa: BLE001  # it belongs to whoever asks for the result
        outer.set_exception(pool.translate(exc))
        return
    try:
        outer.set_result(pick(pool.open_answer(answer)))
    except BaseException as exc:  # noqa: BLE001  # the task's own error
        outer.set_exception(exc)


class Closable(Protocol):
    """A pool that can be ended."""

    def start(self) -> None:
        """Starts the workers and proves that they run."""

    def close(self) -> None:
        """Ends the workers when they are done."""

    def kill(self) -> None:
        """Ends the workers at once."""


P = TypeVar("P", bound=Closable)


@contextmanager
def opened(pool: P) -> Iterator[P]:
    """The pool while its workers run; left by an exception, it ends them at once."""
    with adopting():
        try:
            pool.start()
            yield pool
        except BaseException:
            pool.kill()
            raise
        else:
            pool.close()
