"""Threads: concurrent.futures.ThreadPoolExecutor."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._threads import ThreadsStreamingPool

    extras(options, "threads")
    return opened(ThreadsStreamingPool(workers, "threads", options))


STRATEGIES = (Strategy(name="threads", open=_open, isolation=Isolation.THREAD, noun="threads"),)
