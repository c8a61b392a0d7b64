"""Dedicated workers that take from one queue and put into another: for continuous pipelines."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions
from .processes import posix_only, start_method

__all__ = ["STRATEGIES"]


def _of_threads(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._thread_queue import ThreadQueuePool

    extras(options, "threads-queue")
    return opened(ThreadQueuePool(workers, "threads-queue", options))


def _of_processes(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._executors import opened
    from ._queues import QueueCrew, QueuePool

    return opened(QueuePool(workers, _method(options, "processes-queue"), options, QueueCrew))


def _of_manager(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._executors import opened
    from ._manager import ManagerPool

    return opened(ManagerPool(workers, _method(options, "processes-manager"), options))


def _method(options: StrategyOptions, name: str) -> str:
    from ._chunks import extras

    return start_method(extras(options, name, ("start_method",)), name)


STRATEGIES = (
    Strategy(name="threads-queue", open=_of_threads, isolation=Isolation.THREAD, noun="threads"),
    Strategy(
        name="processes-queue",
        open=_of_processes,
        isolation=Isolation.PROCESS,
        available=lambda _workers: posix_only("processes-queue"),
        noun="processes",
    ),
    Strategy(
        name="processes-manager",
        open=_of_manager,
        isolation=Isolation.PROCESS,
        available=lambda _workers: posix_only("processes-manager"),
        noun="processes",
    ),
)
