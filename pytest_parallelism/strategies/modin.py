"""Modin: maps of a Series whose partitions lie on the workers of Ray or Dask."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]

_ADDRESSES = {"ray": "ray://head:10001 or head:6379", "dask": "tcp://host:8786"}
_MODULES = {"ray": "ray", "dask": "distributed"}


def _open(engine: str, workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._engine import open_on
    from ._modin_cluster import start_modin

    name = f"modin-{engine}"
    extras(options, name)
    return open_on(workers, options, lambda: start_modin(engine, workers, options), engine=name)


STRATEGIES = tuple(
    Strategy(
        name=f"modin-{engine}",
        open=partial(_open, engine),
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects=_ADDRESSES[engine],
        requires=("modin", module),
        install=f"pytest-parallelism[modin-{engine}]",
        distribution="modin",
        noun="processes",
    )
    for engine, module in _MODULES.items()
)
