"""Processes of a Ray cluster: one started here, or the user's own."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._engine import open_on
    from ._ray_cluster import start_ray

    extras(options, "ray")
    return open_on(workers, options, lambda: start_ray(workers, options.address), engine="ray")


STRATEGIES = (
    Strategy(
        name="ray",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="ray://head:10001 or head:6379",
        requires=("ray",),
        install="pytest-parallelism[ray]",
        distribution="ray",
        noun="processes",
    ),
)
