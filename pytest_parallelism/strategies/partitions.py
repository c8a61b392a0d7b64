"""Static partitions: items are divided among the workers once, before the start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from ..strategy import Isolation, Pool, Strategy, StrategyOptions
from . import processes, threads

__all__ = ["STRATEGIES"]


def _divided(inner: Strategy) -> Strategy:
    name = f"partitions-{inner.name}"

    @contextmanager
    def opened(workers: int, options: StrategyOptions) -> Iterator[Pool]:
        from ._chunks import extras
        from ._partitions import Partitions, ProcessPartitions

        extras(options, name)
        divided = ProcessPartitions if inner.isolation is Isolation.PROCESS else Partitions
        with inner.open(workers, options) as pool:
            yield divided(pool)

    def start(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
        return opened(workers, options)

    return replace(inner, name=name, open=start, partitions=True)


STRATEGIES = tuple(_divided(module.STRATEGIES[0]) for module in (threads, processes))
"""Of ``threads`` and ``processes``, the first of each family."""
