"""What ``map`` and ``imap`` can be told, checked once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, did_you_mean

__all__ = ["BACKOFF", "MapOptions", "in_flight_chunks", "seconds"]

BACKOFF = 0.1
"""Seconds before the first retry."""

IN_FLIGHT = 2
"""Chunks a worker that a stream holds: one in work, and one that waits for its end."""

IN_FLIGHT_WINDOW = 8
"""Chunks a worker where a stream is maps one after another: each map waits for its slowest worker."""


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """How to map. Raises `UsageError`, one sentence, for a value that is none of those it takes.

    ``chunk_size``: items sent to a worker at once, an int or ``"auto"``. ``ordered=False``: results in the
    order in which they are there, where the strategy has it. ``on_error="collect"``: the exception of a
    failed task is among the results, with the attribute ``item_index``. ``timeout``: seconds for the whole
    map. ``task_timeout``: seconds for one item. ``cost(item)``: the dearest items start first.
    ``partition="balanced"``: the items are divided among the workers once, before the start. ``retries``:
    further attempts of a task that raises an Exception, the first after ``backoff`` seconds, then twice as
    long each. ``async_fn``: what event-loop strategies run instead of the function.
    """

    chunk_size: int | str | None = None
    ordered: bool = True
    on_error: str = "raise"
    timeout: float | None = None
    task_timeout: float | None = None
    cost: Callable[[Any], float] | None = None
    partition: str | None = None
    retries: int = 0
    backoff: float = BACKOFF
    async_fn: Callable[[Any], Awaitable[Any]] | None = None

    def __post_init__(self) -> None:
        """Checks each value, and those that exclude each other."""
        if self.chunk_size not in (None, "auto"):
            _whole("chunk_size", self.chunk_size, 1, " or 'auto'")
        if not isinstance(self.ordered, bool):
            raise UsageError(f"ordered must be True or False, not {self.ordered!r}")
        _word("on_error", self.on_error, ("raise", "collect"))
        seconds("timeout", self.timeout)
        seconds("task_timeout", self.task_timeout)
        _whole("retries", self.retries, 0)
        seconds("backoff", self.backoff, least=0)
        for name, value in (("cost", self.cost), ("async_fn", self.async_fn)):
            if value is not None and not callable(value):
                raise UsageError(f"{name}= must be a function, not {value!r}")
        if self.partition is not None:
            _word("partition", self.partition, ("balanced",))
            if self.chunk_size is not None:
                raise UsageError(
                    f"partition= makes one chunk for each worker, so chunk_size={self.chunk_size!r} cannot "
                    f"hold beside it: leave one of them out"
                )

    @property
    def size(self) -> int | None:
        """Items of a chunk; None for the strategy's own choice."""
        return self.chunk_size if isinstance(self.chunk_size, int) else None

    @property
    def collects(self) -> bool:
        """Whether errors are among the results."""
        return self.on_error == "collect"

    @property
    def tries(self) -> bool:
        """Whether a task's failure is more than its exception."""
        return self.collects or self.retries > 0

    def costs(self, items: Iterable[Any]) -> list[float]:
        """What each item costs; 1 where nobody says."""
        cost = self.cost
        if cost is None:
            return [1.0 for _ in items]
        found = [cost(item) for item in items]
        for index, value in enumerate(found):
            if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise UsageError(f"cost= must give a number of at least 0, not {value!r} (item {index})")
        return found


def in_flight_chunks(options: MapOptions, in_flight: Any, *, workers: int, windows: bool) -> tuple[int, int]:
    """Items of a chunk of a stream, and how many chunks it may hold.

    ``in_flight`` is what the caller says, in items. ``windows``: the pool has no stream.
    """
    if options.chunk_size == "auto":
        raise UsageError(
            "imap does not know how many items will come: chunk_size must be a whole number, not 'auto'"
        )
    size = options.size or 1
    if in_flight is None:
        return size, workers * (IN_FLIGHT_WINDOW if windows else IN_FLIGHT)
    _whole("in_flight", in_flight, 1)
    if in_flight < size:
        raise UsageError(f"in_flight is {in_flight} items, less than one chunk of {size}: make it larger")
    return size, in_flight // size


def seconds(name: str, raw: Any, *, least: float | None = None) -> None:
    """Raise `UsageError` unless it is None or seconds: above 0, or at least ``least``."""
    if raw is None and least is None:
        return
    number = isinstance(raw, (int, float)) and not isinstance(raw, bool) and raw < math.inf
    if not number or not (raw > 0 if least is None else raw >= least):
        raise UsageError(f"{name} must be seconds {'above' if least is None else 'from'} 0, not {raw!r}")


def _whole(name: str, raw: Any, least: int, more: str = "") -> None:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < least:
        near = did_you_mean(raw, ["auto"]) if more and isinstance(raw, str) else ""
        raise UsageError(f"{name} must be a whole number of at least {least}{more}, not {raw!r}{near}")


def _word(name: str, raw: Any, known: tuple[str, ...]) -> None:
    if raw not in known:
        near = did_you_mean(raw, known) if isinstance(raw, str) else ""
        raise UsageError(f"{name} must be {' or '.join(map(repr, known))}, not {raw!r}{near}")
