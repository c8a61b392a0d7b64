"""Processes: loky.ProcessPoolExecutor, the executor under joblib's own."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._loky_pool import LokyExecutorPool

    extras(options, "loky")
    return opened(LokyExecutorPool(workers, options))


STRATEGIES = (
    Strategy(
        name="loky",
        open=_open,
        isolation=Isolation.PROCESS,
        requires=("loky",),
        install="pytest-parallelism[loky]",
        distribution="loky",
        noun="processes",
    ),
)
