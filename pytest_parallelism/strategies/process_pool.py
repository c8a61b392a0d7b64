"""Processes: concurrent.futures.ProcessPoolExecutor, by each start method of this platform."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]

_METHODS = ("fork", "forkserver", "spawn")
_MOST_ON_WINDOWS = 61
"""As many as one process can wait for there (concurrent.futures' documentation)."""


def _default() -> str:
    import multiprocessing

    # get_start_method() without allow_none would fix the default for the user's whole process.
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


def _strategy(name: str, fixed: str | None = None) -> Strategy:
    def method() -> str:
        return fixed or _default()

    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        from ._chunks import extras
        from ._executors import opened
        from ._process_pool import ProcessesPool

        extras(options, name)
        return opened(ProcessesPool(workers, method(), options))

    def available(workers: int) -> str | None:
        from multiprocessing import get_all_start_methods

        if method() not in get_all_start_methods():
            return f"{name}: {sys.platform} has no start method {method()}; use processes"
        if sys.platform == "win32" and workers > _MOST_ON_WINDOWS:
            return f"{name}: Windows allows {_MOST_ON_WINDOWS} worker processes at most, not {workers}"
        return None

    return Strategy(name=name, open=start, isolation=Isolation.PROCESS, available=available, noun="processes")


STRATEGIES = (
    _strategy("processes"),
    *(_strategy(f"processes-{method}", method) for method in _METHODS),
)
