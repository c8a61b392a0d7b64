"""Processes: mpire.WorkerPool."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._mpire_pool import MpirePool

    extras(options, "mpire")
    return opened(MpirePool(workers, options))


STRATEGIES = (
    Strategy(
        name="mpire",
        open=_open,
        isolation=Isolation.PROCESS,
        requires=("mpire",),
        install="pytest-parallelism[mpire]",
        distribution="mpire",
        noun="processes",
    ),
)
