"""Processes that each run several tasks at once: in threads, or as coroutines."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _strategy(name: str, *, native_async: bool, noun: str) -> Strategy:
    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        from ._executors import opened
        from ._hybrids import HybridPool

        return opened(HybridPool(workers, name, options, loops=native_async))

    def available(_workers: int) -> str | None:
        from .processes import posix_only

        return posix_only(name)

    return Strategy(
        name=name,
        open=start,
        isolation=Isolation.PROCESS,
        native_async=native_async,
        available=available,
        noun=noun,
    )


STRATEGIES = (
    _strategy("processes-threads", native_async=False, noun="threads in processes"),
    _strategy("processes-asyncio", native_async=True, noun="in flight"),
)
