"""Native threads of BLAS and OpenMP libraries: the function runs once, what it calls is parallel."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._native_threads import NativeThreadsPool

    extras(options, "blas-threads")
    return opened(NativeThreadsPool(workers, options))


STRATEGIES = (
    Strategy(
        name="blas-threads",
        open=_open,
        isolation=Isolation.NONE,
        inside=True,
        requires=("threadpoolctl",),
        install="threadpoolctl",
        distribution="threadpoolctl",
        noun="native threads",
    ),
)
