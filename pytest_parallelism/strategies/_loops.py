"""Pools on an event loop in the caller's thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from ..envelope import adapted, task_error
from ..errors import PoolError
from ..strategy import Chunk, StrategyOptions
from ..workers import SLICE_SECONDS
from ._chunks import Deadline, chunked, one_by_one
from ._flow import GRACE_SECONDS, Flow, limited
from ._threads import Stopped, ThreadsPool

__all__ = ["LoopPool", "LoopThreadsPool"]

T = TypeVar("T")
Step = Callable[[Sequence[Any]], Coroutine[Any, Any, list[Any]]]


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class LoopPool:
    """At most ``workers`` coroutines in flight on one event loop, kept open with the pool.

    The first error, or the timeout, cancels all others. A coroutine that blocks the loop cannot be ended.
    """

    def __init__(self, workers: int, options: StrategyOptions | None = None) -> None:
        self.workers = workers
        self._options = options or StrategyOptions()
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Semaphore(workers)

    def map(
        self,
        fn: Callable[[Any], Awaitable[Any]],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`; ``fn`` is a coroutine function."""
        self._be_free()
        chunks = chunked(items, chunk_size, self.workers, one_by_one)
        deadline = Deadline(timeout)
        try:
            return self.run(self._drive(self.step(fn), chunks, len(items), deadline))
        except Stopped as stopped:
            raise stopped.error from stopped.error.__cause__

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
        """See `HasStream.stream`; coroutines go on only while the next answer is waited for."""
        self._be_free()
        deadline = Deadline(timeout)
        step = self.step(fn)
        flow = Flow(self._loop, ordered=ordered)
        coming = iter(chunks)  # drawn while the loop rests, so that it may be a stream of this pool itself
        try:
            while True:
                for start, chunk in islice(coming, in_flight and in_flight - len(flow)):
                    flow.add(start, self._work(step, start, chunk, task_timeout))
                if not len(flow):
                    return
                yield self.run(flow.take(deadline.left()))
        except Stopped as stopped:
            raise stopped.error from stopped.error.__cause__
        except asyncio.TimeoutError:
            if not deadline.passed():
                raise
            raise self.expired(deadline) from None
        finally:
            if len(flow) and not self._loop.is_closed():
                self._loop.run_until_complete(flow.cancel())

    async def _work(
        self, step: Step, start: int, chunk: Sequence[Any], task_timeout: float | None
    ) -> list[Any]:
        async with self._room:
            if task_timeout is None:
                return await step(chunk)
            items = enumerate(chunk, start)
            return [(await limited(step([item]), task_timeout, index))[0] for index, item in items]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it on the loop, which is woken now and then: see `SLICE_SECONDS`."""
        tick: asyncio.TimerHandle

        def wake() -> None:
            nonlocal tick
            tick = self._loop.call_later(SLICE_SECONDS, wake)

        wake()
        try:
            return self._loop.run_until_complete(work)
        finally:
            tick.cancel()

    def _be_free(self) -> None:
        if _loop_runs():
            raise PoolError("an event loop already runs in this thread: measure from a plain function")

    def step(self, fn: Callable[[Any], Awaitable[Any]]) -> Step:
        """A coroutine function that runs one chunk."""

        async def run(chunk: Sequence[Any]) -> list[Any]:
            try:
                return [await fn(item) for item in chunk]
            except asyncio.CancelledError:
                raise
            except BaseException as exc:  # noqa: BLE001  # pytest's outcomes are BaseExceptions
                raise Stopped(task_error(exc)) from None

        return run

    def start(self) -> None:
        """Calls the initializer; the loop exists, and a coroutine needs no worker."""
        if self._options.initializer is not None:
            self._options.initializer()

    def close(self) -> None:
        """Cancels what is left and closes the loop."""
        with contextlib.closing(self._loop) as loop:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=GRACE_SECONDS))
            loop.run_until_complete(loop.shutdown_asyncgens())

    kill = close

    async def _drive(
        self, step: Step, chunks: Iterator[tuple[int, Sequence[Any]]], count: int, deadline: Deadline
    ) -> list[Any]:
        answers: dict[int, list[Any]] = {}

        async def work() -> None:
            for start, chunk in chunks:
                answers[start] = await step(chunk)

        tasks = [asyncio.ensure_future(work()) for _ in range(min(self.workers, count))]
        if not tasks:
            return []
        done, pending = await asyncio.wait(
            tasks, timeout=deadline.left(), return_when=asyncio.FIRST_EXCEPTION
        )
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=GRACE_SECONDS)
        errors = [task.exception() for task in done if not task.cancelled()]
        for error in errors:
            if error is not None:
                raise error
        if pending:
            raise self.expired(deadline)
        for task in done:
            task.result()
        return list(chain.from_iterable(answers[start] for start in sorted(answers)))

    def expired(self, deadline: Deadline) -> BaseException:
        """What to raise after a timeout."""
        return deadline.error("the coroutines in flight were cancelled")


class LoopThreadsPool(LoopPool):
    """An event loop that awaits blocking functions, which run in the threads of an executor."""

    def __init__(self, workers: int, threads: ThreadsPool) -> None:
        super().__init__(workers)
        self._threads = threads
        self.executor = threads.executor

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`; a coroutine function runs on a loop of its own in its thread."""
        self._threads.usable()
        self._be_free()
        chunks = chunked(items, chunk_size, self.workers, one_by_one)
        try:
            found = self.run(self._gathered(adapted(fn), chunks, Deadline(timeout)))
        except Stopped as stopped:
            raise stopped.error from stopped.error.__cause__
        return list(chain.from_iterable(found))

    async def _gathered(
        self, fn: Callable[[Any], Any], chunks: Iterable[Chunk], deadline: Deadline
    ) -> list[list[Any]]:
        """All at once into the executor, whose threads would else wait for the loop between two chunks."""
        send = self._threads.raising(fn)
        futures = [send(start, chunk) for start, chunk in chunks]
        awaited = asyncio.gather(*map(asyncio.wrap_future, futures))
        try:
            if not (await asyncio.wait({awaited}, timeout=deadline.left()))[0]:
                raise self.expired(deadline)
            return awaited.result()
        except BaseException:
            self._threads.left.update(future for future in futures if not future.cancel())
            awaited.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # or it is logged
            awaited.cancel()
            raise

    def stream(self, fn: Callable[[Any], Any], chunks: Iterable[Chunk], **limits: Any) -> Any:
        """See `HasStream.stream`."""
        self._threads.usable()
        return super().stream(adapted(fn), chunks, **limits)

    def step(self, fn: Callable[[Any], Any]) -> Step:
        """See `LoopPool.step`."""
        send = self._threads.sender(fn)

        async def run(chunk: Sequence[Any]) -> list[Any]:
            future = send(0, chunk)
            self._threads.left.add(future)
            results, failure = await asyncio.wrap_future(future)
            self._threads.left.discard(future)
            if failure:
                raise Stopped(failure.error)
            return list(results)

        return run

    def expired(self, deadline: Deadline) -> BaseException:
        """See `LoopPool.expired`."""
        return self._threads.expire(deadline)

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
        self._threads.start()

    def close(self) -> None:
        """Ends the threads and closes the loop."""
        self._threads.close()
        super().close()

    def kill(self) -> None:
        """Waits a second for the threads at most."""
        self._threads.kill()
        super().close()
