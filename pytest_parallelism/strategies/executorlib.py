"""Processes of executorlib: its executors for one node, or for a Slurm allocation, with workers that last."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from functools import partial

    from ._chunks import extras
    from ._engine import open_on
    from ._executorlib_cluster import start_here, start_in_allocation

    extras(options, "executorlib")
    if options.address is None:
        start = partial(start_here, workers, options.start_timeout)
    else:
        start = partial(start_in_allocation, workers, options.address)
    return open_on(workers, options, start, engine="executorlib")


STRATEGIES = (
    Strategy(
        name="executorlib",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="'slurm' inside of an allocation, for workers that srun starts",
        requires=("executorlib",),
        install="pytest-parallelism[executorlib]",
        distribution="executorlib",
        noun="processes",
    ),
)
