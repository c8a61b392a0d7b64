"""What tasks of engines.py do. A module of its own, because every worker imports it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

SLEEP_SECONDS = 0.020
SPAN_SECONDS = 0.3


def nothing(_item: Any) -> None:
    """A task of no length."""


def same(item: Any) -> Any:
    """Sends back what came."""
    return item


def waiting(item: Any) -> Any:
    """A task of 20 ms."""
    time.sleep(SLEEP_SECONDS)
    return item


def span(_item: Any) -> tuple[float, float]:
    """When it ran, by a clock that all processes of a machine share."""
    begun = time.monotonic()
    time.sleep(SPAN_SECONDS)
    return begun, time.monotonic()


def each(fn: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
    """What any hand-written map runs for a chunk."""
    return [fn(item) for item in chunk]


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items, so many at once."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def flat(found: Sequence[Sequence[Any]]) -> list[Any]:
    """The results of all chunks."""
    return [result for results in found for result in results]


def chunked_map(executor: Any, fn: Callable[[Any], Any], items: Sequence[Any], size: int) -> list[Any]:
    """``Executor.map`` of chunks."""
    return flat(list(executor.map(partial(each, fn), chunks(items, size))))
