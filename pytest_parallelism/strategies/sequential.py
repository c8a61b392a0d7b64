"""One item after another in the caller: the baseline of every speedup."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..errors import UsageError
from ..strategy import Counts, Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._inline import InlinePool

    extras(options, "sequential")
    if workers != 1:
        raise UsageError(f"sequential has one worker, the caller; asked for {workers}")
    return opened(InlinePool(options))


STRATEGIES = (
    Strategy(name="sequential", open=_open, isolation=Isolation.NONE, counts=Counts.ONE, noun="worker"),
)
