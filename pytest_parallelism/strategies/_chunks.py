"""How many items to send at once, and how long to wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..division import auto_chunk
from ..errors import TaskTimeout, UsageError
from ..strategy import StrategyOptions

__all__ = ["Deadline", "auto_chunk", "chunked", "extras"]

ChunkRule = Callable[[int, int], int]


def one_by_one(_items: int, _workers: int) -> int:
    """Items per chunk where sending costs nothing."""
    return 1


def chunked(
    items: Sequence[Any], chunk_size: int | None, workers: int, rule: ChunkRule
) -> Iterator[tuple[int, Sequence[Any]]]:
    """The index of its first item and the items, of every chunk. Raises `UsageError` for a size under 1."""
    if chunk_size is not None and chunk_size < 1:
        raise UsageError(f"chunk_size must be 1 or more, or None for the strategy's own choice: {chunk_size}")
    size = chunk_size or rule(len(items), workers)
    return ((start, items[start : start + size]) for start in range(0, len(items), size))


class Deadline:
    """Seconds that are left of a map's timeout; None where it has none."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds left, not below 0."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def error(self, consequence: str) -> TaskTimeout:
        """What to raise; ``consequence`` says what became of the workers."""
        return TaskTimeout(f"the map did not end within {self.timeout:g} s: {consequence}")


def extras(options: StrategyOptions, name: str, allowed: Sequence[str] = ()) -> Mapping[str, Any]:
    """What the marker's ``options=`` says for this strategy. Raises `UsageError` for an unknown key."""
    for key in options.extra:
        if key not in allowed:
            known = ", ".join(allowed) or "no options"
            raise UsageError(f"{name} knows no option {key!r}; it takes {known}")
    return options.extra
