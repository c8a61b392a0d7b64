"""What keeps a measurement undisturbed from within: no garbage collection, no more native threads."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["frozen_heap", "native_threads"]


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Objects alive now are not looked at by collections in the rounds of either arm."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def native_threads(limit: int | None) -> Iterator[None]:
    """The workers' limit of BLAS and OpenMP threads, in the parent too: both arms compute alike."""
    if limit is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=limit):
        yield
