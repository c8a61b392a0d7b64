"""One item after another in the caller: the baseline of every speedup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UsageError
from ..strategy import Counts, Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


@contextmanager
def _open(workers: int, options: StrategyOptions) -> Iterator[Pool]:
    from ._chunks import extras
    from ._inline import InlinePool

    extras(options, "sequential")
    if workers != 1:
        raise UsageError(f"sequential has one worker, the caller; asked for {workers}")
    pool = InlinePool()
    try:
        yield pool
    finally:
        pool.close()


STRATEGIES = (
    Strategy(name="sequential", open=_open, isolation=Isolation.NONE, counts=Counts.ONE, noun="worker"),
)
