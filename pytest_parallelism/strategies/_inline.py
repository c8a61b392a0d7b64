"""A pool that is the caller itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from ..envelope import Calling, adapted, attempt, is_async
from ..strategy import StrategyOptions
from ._chunks import Deadline
from ._loops import LoopPool

__all__ = ["InlinePool"]


class InlinePool:
    """Runs every item in the caller; coroutine functions one after another on one event loop.

    A timeout is noticed between two items: nothing can end a call in this thread. ``chunk_size`` means
    nothing here, for there is nothing to send.
    """

    def __init__(self, options: StrategyOptions | None = None) -> None:
        self.workers = 1
        self._options = options
        self.executor: Executor = _InlineExecutor()
        self._loop: LoopPool | None = None

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,  # noqa: ARG002  # see the class
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`."""
        if is_async(fn):
            self._loop = self._loop or LoopPool(1)
            return self._loop.map(fn, items, timeout=timeout)
        if timeout is None:
            return _run(fn, items)
        deadline = Deadline(timeout)
        results: list[Any] = []
        for item in items:
            if deadline.passed():
                raise deadline.error("it was left between two items")
            results += _run(fn, [item])
        return results

    def start(self) -> None:
        """Calls the initializer: the caller is the worker."""
        if self._options is not None and self._options.initializer is not None:
            self._options.initializer()

    def close(self) -> None:
        """Closes the event loop, if there was one."""
        if self._loop:
            self._loop.close()

    kill = close


def _run(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    results, failure = attempt(fn, items)
    if failure:
        raise failure.error
    return results


class _InlineExecutor(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        results, failure = attempt(adapted(Calling(fn)), [(args, kwargs)])
        if failure:
            future.set_exception(failure.error)
        else:
            future.set_result(results[0])
        return future
