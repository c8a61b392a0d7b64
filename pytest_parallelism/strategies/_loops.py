"""Pools on an event loop in the caller's thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from ..envelope import adapted, task_error
from ..errors import PoolError
from ._chunks import Deadline, chunked, one_by_one
from ._threads import ThreadsPool

__all__ = ["LoopPool", "LoopThreadsPool"]

_GRACE_SECONDS = 0.5
"""How long cancelled coroutines may take to end."""

Step = Callable[[Sequence[Any]], Awaitable[list[Any]]]


class _Stopped(Exception):  # carries a task's error out of its coroutine unchanged
    def __init__(self, error: BaseException) -> None:
        self.error = error


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

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._loop = asyncio.new_event_loop()

    def map(
        self,
        fn: Callable[[Any], Awaitable[Any]],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`; ``fn`` is a coroutine function."""
        if _loop_runs():
            raise PoolError("an event loop already runs in this thread: measure from a plain function")
        chunks = chunked(items, chunk_size, self.workers, one_by_one)
        deadline = Deadline(timeout)
        try:
            return self._loop.run_until_complete(self._drive(self.step(fn), chunks, len(items), deadline))
        except _Stopped as stopped:
            raise stopped.error from stopped.error.__cause__

    def step(self, fn: Callable[[Any], Awaitable[Any]]) -> Step:
        """A coroutine function that runs one chunk."""

        async def run(chunk: Sequence[Any]) -> list[Any]:
            try:
                return [await fn(item) for item in chunk]
            except asyncio.CancelledError:
                raise
            except BaseException as exc:  # noqa: BLE001  # pytest's outcomes are BaseExceptions
                raise _Stopped(task_error(exc)) from None

        return run

    def start(self) -> None:
        """Nothing: the loop exists, and a coroutine needs no worker."""

    def close(self) -> None:
        """Cancels what is left and closes the loop."""
        with contextlib.closing(self._loop) as loop:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=_GRACE_SECONDS))
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
            await asyncio.wait(pending, timeout=_GRACE_SECONDS)
        errors = [task.exception() for task in done if not task.cancelled()]
        for error in errors:
            if error is not None:
                raise error
        if pending:
            raise self.expired(deadline)
        for task in done:
            task.result()
        return [result for start in sorted(answers) for result in answers[start]]

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
        return super().map(adapted(fn), items, chunk_size=chunk_size, timeout=timeout)

    def step(self, fn: Callable[[Any], Any]) -> Step:
        """See `LoopPool.step`."""
        send = self._threads.sender(fn)

        async def run(chunk: Sequence[Any]) -> list[Any]:
            future = send(0, chunk)
            self._threads.left.add(future)
            results, failure = await asyncio.wrap_future(future)
            self._threads.left.discard(future)
            if failure:
                raise _Stopped(failure.error)
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
