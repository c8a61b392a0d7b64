"""The progress bar: tqdm."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import UsageError

__all__ = ["Step", "tqdm_class", "updating"]

Step = Callable[[int], object]


def tqdm_class() -> Any:
    """The bar for where this runs: a terminal or a notebook. Raises `UsageError` where tqdm is missing."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]  # it has no type information
    except ImportError:
        raise UsageError(
            "show_progress needs tqdm, not installed here: pip install 'pytest-parallelism[progress]'"
        ) from None
    # tqdm's own would leave a thread (its monitor) and a semaphore (its lock) behind.
    bar: Any = type(tqdm.__name__, (tqdm,), {"monitor_interval": 0})
    bar.set_lock(threading.RLock())
    return bar


@contextlib.contextmanager
def updating(bar: Any) -> Iterator[Step]:
    """What moves the bar by a number of items."""
    with bar:
        yield bar.update
