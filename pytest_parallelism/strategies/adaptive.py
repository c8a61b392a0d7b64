"""Processes whose number follows the usable cores, the load of others, and what the tasks do."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Counts, Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(_workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._adaptive import AdaptivePool
    from ._executors import opened

    return opened(AdaptivePool(options))


def _available(_workers: int) -> str | None:
    from .processes import posix_only

    return posix_only("adaptive")


STRATEGIES = (
    Strategy(
        name="adaptive",
        open=_open,
        isolation=Isolation.PROCESS,
        counts=Counts.OWN,
        available=_available,
        limits_tasks=True,
        noun="processes",
    ),
)
