"""Processes: multiprocessing.Pool, by each start method of this platform."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Pool, StrategyOptions
from ._methods import METHODS, by_method

__all__ = ["STRATEGIES"]


def _open(workers: int, method: str, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._executors import opened
    from ._multiprocessing_pool import MultiprocessingPool

    return opened(MultiprocessingPool(workers, method, options))


STRATEGIES = tuple(by_method("multiprocessing-pool", method, _open) for method in METHODS)
