"""joblib: its three backends."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]

_OPTIONS = ("max_nbytes", "mmap_mode", "temp_folder")


def _strategy(name: str, pool: str, isolation: Isolation) -> Strategy:
    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        from . import _joblib_pool
        from ._chunks import extras
        from ._executors import opened

        extras(options, name, _OPTIONS)
        opening: AbstractContextManager[Pool] = opened(getattr(_joblib_pool, pool)(workers, options))
        return opening

    return Strategy(
        name=name,
        open=start,
        isolation=isolation,
        requires=("joblib",),
        install="joblib",
        distribution="joblib",
        noun="threads" if isolation is Isolation.THREAD else "processes",
    )


STRATEGIES = (
    _strategy("joblib-loky", "LokyPool", Isolation.PROCESS),
    _strategy("joblib-threading", "ThreadingPool", Isolation.THREAD),
    _strategy("joblib-multiprocessing", "MultiprocessingPool", Isolation.PROCESS),
)
