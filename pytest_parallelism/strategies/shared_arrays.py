"""Processes that read large numpy arrays of the items in shared memory, or in memory-mapped files.

Arrays arrive read-only: a task that writes into its item raises ValueError here, and must copy it first.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions
from .processes import posix_only, start_method

__all__ = ["STRATEGIES"]


def _strategy(name: str, pool: str) -> Strategy:
    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        from . import _arrays
        from ._chunks import extras
        from ._executors import opened

        method = start_method(extras(options, name, ("start_method",)), name)
        made: _arrays.ArrayPool = getattr(_arrays, pool)(workers, method, options)
        return opened(made)

    return Strategy(
        name=name,
        open=start,
        isolation=Isolation.PROCESS,
        limits_tasks=True,
        available=lambda _workers: posix_only(name),
        noun="processes",
    )


STRATEGIES = (
    _strategy("processes-shared-memory", "SharedMemoryPool"),
    _strategy("processes-memmap", "MappedFilePool"),
)
