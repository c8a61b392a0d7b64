"""The live line: which point runs, how many pairs so far, and the speedup so far. On a terminal only."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ..measurement import Pair

__all__ = ["LiveLine"]

_EVERY = 0.5
"""Seconds between two updates: fast enough to watch, too rare to cost the rounds anything."""


class LiveLine:
    """A line below pytest's own, written between rounds and erased at the end."""

    def __init__(self, config: pytest.Config, point: str) -> None:
        self._point = point
        self._config = config
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self._column: int | None = None
        self._last = time.monotonic()

    def __enter__(self) -> LiveLine:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        if self._column is not None:
            # Erase this line, go up, and back to the column where pytest goes on writing.
            self._write(f"\r\x1b[K\x1b[1A\x1b[{self._column + 1}G")

    def show(self, pairs: Sequence[Pair]) -> None:
        """Show the state after these pairs, where there is a terminal and it is time."""
        now = time.monotonic()
        if now - self._last < _EVERY or not self._wanted():
            return
        self._last = now
        if self._column is None:
            self._column = self._reporter._tw.width_of_current_line
            self._write("\n")
        speedup = math.exp(statistics.median(pair.log_ratio for pair in pairs))
        count = f"{len(pairs)} pair" + "s" * (len(pairs) > 1)
        text = f"{self._point}: {count}, speedup {speedup:.2f} so far"
        self._write("\r\x1b[K" + text[: self._reporter._tw.fullwidth - 1])

    def _wanted(self) -> bool:
        """Not in logs, not under -q, and not under -s, where the user's own output has the screen."""
        return (
            self._reporter is not None
            and getattr(self._reporter, "isatty", False)
            and self._config.getoption("capture") != "no"
            and self._config.getoption("verbose") >= 0
        )

    def _write(self, text: str) -> None:
        if self._capture is None:
            self._reporter._tw._file.write(text)
            self._reporter._tw._file.flush()
            return
        with self._capture.global_and_fixture_disabled():
            self._reporter._tw._file.write(text)
            self._reporter._tw._file.flush()
