"""Event loops: coroutines in flight (asyncio), blocking functions awaited in threads (asyncio-threads)."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _coroutines(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._loops import LoopPool

    extras(options, "asyncio")
    return opened(LoopPool(workers, options))


def _threads(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._loops import LoopThreadsPool
    from ._threads import ThreadsPool

    extras(options, "asyncio-threads")
    return opened(LoopThreadsPool(workers, ThreadsPool(workers, "asyncio-threads", options)))


STRATEGIES = (
    Strategy(
        name="asyncio",
        open=_coroutines,
        isolation=Isolation.NONE,
        native_async=True,
        limits_tasks=True,
        noun="in flight",
    ),
    Strategy(name="asyncio-threads", open=_threads, isolation=Isolation.THREAD, noun="threads"),
)
