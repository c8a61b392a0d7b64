"""Chunks to a pool, answers as they come, on pools with a stream and without."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import count, islice
from typing import Any, cast

from ..envelope import Each, task_error
from ..errors import TaskTimeout
from ..strategy import Chunk, HasStream, Pool

__all__ = ["Answers", "batched", "in_turn", "streamed"]

Answers = Generator[tuple[int, list[Any]], None, None]
"""For each chunk its number and its results; closing it cancels what has not begun."""


def streamed(
    pool: Pool,
    fn: Callable[[Any], Any],
    chunks: Iterable[Chunk],
    *,
    in_flight: int | None = None,
    ordered: bool = True,
    timeout: float | None = None,
    task_timeout: float | None = None,
) -> Answers:
    """See `HasStream.stream`; in windows of ``in_flight`` chunks, each one map, where the pool has none."""
    if not isinstance(pool, HasStream):
        return _windows(pool, fn, chunks, in_flight, timeout)
    answers = pool.stream(
        fn, chunks, in_flight=in_flight, ordered=ordered, timeout=timeout, task_timeout=task_timeout
    )
    return cast("Answers", answers)


def _windows(
    pool: Pool, fn: Callable[[Any], Any], chunks: Iterable[Chunk], size: int | None, timeout: float | None
) -> Answers:
    end = None if timeout is None else time.monotonic() + timeout
    each = Each(fn)
    coming = iter(chunks)
    while window := list(islice(coming, size)):
        left = None if end is None else max(0.0, end - time.monotonic())
        try:
            answers = pool.map(each, [chunk for _, chunk in window], chunk_size=1, timeout=left)
        except TaskTimeout as error:
            raise TaskTimeout(
                f"the stream did not end within {timeout:g} s; of its last items: {error}"
            ) from error
        for (number, _), results in zip(window, answers, strict=True):
            yield number, results


def batched(items: Iterator[Any], size: int) -> Iterator[Chunk]:
    """Chunks of ``size`` items, each drawn when it is asked for."""
    for start in count(0, size):
        chunk = list(islice(items, size))
        if not chunk:
            return
        yield start, chunk


def in_turn(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """The lazy loop of the sequential arm."""
    for item in items:
        try:
            result = fn(item)
        except BaseException as exc:  # noqa: BLE001  # what a task may raise, as everywhere
            raise task_error(exc) from exc.__cause__
        yield result
