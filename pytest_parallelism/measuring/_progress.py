"""The bar of `measure`: one step a point."""

from __future__ import annotations

import importlib.util
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..maps._progress import tqdm_class
from ..measurement import Pair
from ..reports import text
from ._figures import Watch

__all__ = ["EVERY", "progress", "so_far"]

EVERY = 0.5
"""Seconds between two updates within a point: fast enough to watch, too rare to cost the rounds anything."""


def so_far(point: str, pairs: Sequence[Pair]) -> str:
    """What a live display says of a point after these pairs."""
    speedup = math.exp(statistics.median(pair.log_ratio for pair in pairs))
    return f"{point}: {text.counted(len(pairs), 'pair')}, speedup {text.speedup(speedup)} so far"


@contextmanager
def progress(show: bool | None, name: str, points: int) -> Iterator[Callable[[str], Watch]]:
    """A bar that is gone at the end. What it gives is called as each point begins, and gives what follows it.

    ``show``: None for a bar where stderr is a terminal and tqdm is installed. Raises `UsageError` where it is
    True and tqdm is missing.
    """
    if show is None:
        show = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    if not show:
        yield lambda _point: len
        return
    with tqdm_class()(total=points, desc=name, unit="point", leave=False) as bar:
        yield _Bar(bar).begin
        bar.update()


class _Bar:
    """What is shown of the point that runs."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._point = ""
        self._last = 0.0

    def begin(self, point: str) -> Watch:
        """The point before this one, if there was one, is done."""
        if self._point:
            self._bar.update()
        self._point, self._last = point, time.monotonic()
        self._bar.set_postfix_str(point)
        return self._watch

    def _watch(self, pairs: Sequence[Pair]) -> None:
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        self._bar.set_postfix_str(so_far(self._point, pairs))
