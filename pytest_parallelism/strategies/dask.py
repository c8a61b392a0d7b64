"""Dask: tasks on the workers of its scheduler."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._dask_cluster import start_dask
    from ._engine import open_on

    extras(options, "dask")
    return open_on(workers, options, lambda: start_dask(workers, options), engine="dask")


STRATEGIES = (
    Strategy(
        name="dask",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="tcp://host:8786 or dask_kubernetes.operator.KubeCluster(name='tests')",
        requires=("distributed",),
        install="pytest-parallelism[dask]",
        distribution="distributed",
        noun="processes",
    ),
)
