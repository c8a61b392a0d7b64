"""Strategies on processes, one for each start method of this platform."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["METHODS", "by_method", "start_methods"]

METHODS = ("fork", "forkserver", "spawn")
_MOST_ON_WINDOWS = 61
"""As many as one process can wait for there (concurrent.futures' documentation)."""

MakeOpen = Callable[[int, str, StrategyOptions], AbstractContextManager[Pool]]


def start_methods() -> list[str]:
    """This platform's; Python 3.14 tells of those that libraries have added, too."""
    from multiprocessing import get_all_start_methods

    return [method for method in get_all_start_methods() if method in METHODS]


def by_method(family: str, method: str, make: MakeOpen) -> Strategy:
    """The strategy ``family-method``; ``make(workers, method, options)`` opens its pool."""
    name = f"{family}-{method}"

    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        from ._chunks import extras

        extras(options, name)
        return make(workers, method, options)

    def available(workers: int) -> str | None:
        if method not in start_methods():
            return f"{name}: {sys.platform} has no start method {method}; use {family}-spawn"
        if sys.platform == "win32" and workers > _MOST_ON_WINDOWS:
            return f"{name}: Windows allows {_MOST_ON_WINDOWS} worker processes at most, not {workers}"
        return None

    return Strategy(name=name, open=start, isolation=Isolation.PROCESS, available=available, noun="processes")
