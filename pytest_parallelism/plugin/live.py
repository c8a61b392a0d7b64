"""The live line: which point runs, how many pairs so far, and the speedup so far. On a terminal only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ..measurement import Pair
from ..measuring import EVERY, so_far
from ..record import Entry
from ..reports import text
from ..reports.findings import point_name

__all__ = ["LiveLine", "Progress", "say"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a session is: points done of those selected, in so many seconds."""

    done: int
    points: int
    seconds: float

    def __str__(self) -> str:
        """As the live line shows it."""
        return f"point {min(self.done + 1, self.points)} of {self.points}"

    def left(self, spent: float) -> str:
        """What the rest will take if its points are like those done, of which this one has spent so many
        seconds; empty before one is done."""
        if not self.done:
            return ""
        seconds = max(1.0, self.seconds / self.done * (self.points - self.done) - spent)
        return f"about {f'{seconds / 60:.0f} min' if seconds >= 90 else f'{seconds:.0f} s'} left"


class LiveLine:
    """A line below pytest's own, written between rounds and erased at the end."""

    def __init__(self, config: pytest.Config, point: str, progress: Progress) -> None:
        self._point = point
        self._progress = progress
        self._config = config
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self._column: int | None = None
        self._begun = self._last = time.monotonic()

    def __enter__(self) -> LiveLine:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        if self._column is not None:
            # Erase this line, go up, and back to the column where pytest goes on writing.
            self._write(f"\r\x1b[K\x1b[1A\x1b[{self._column + 1}G")

    def show(self, pairs: Sequence[Pair]) -> None:
        """Show the state after these pairs, where there is a terminal and it is time."""
        now = time.monotonic()
        if now - self._last < EVERY or not self._wanted():
            return
        self._last = now
        if self._column is None:
            self._column = self._reporter._tw.width_of_current_line
            self._write("\n")
        parts = [str(self._progress), so_far(self._point, pairs)]
        line = ", ".join([*parts, *filter(None, [self._progress.left(now - self._begun)])])
        self._write("\r\x1b[K" + text.shorten(text.clean(line), self._reporter._tw.fullwidth - 1))

    def _wanted(self) -> bool:
        """Not in logs, not under -q, and not where the user's own output has the screen."""
        return (
            _pytests_own(self._reporter)
            and getattr(self._reporter, "isatty", False)
            and self._config.getoption("capture", "no") not in ("no", "tee-sys")
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


def say(config: pytest.Config, entry: Entry) -> None:
    """Under -v, a line of what was measured, below pytest's own of that test."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if entry.record is None or not _pytests_own(reporter) or config.getoption("verbose") < 1:
        return
    record = entry.record
    speedup = f"speedup {text.speedup(record.speedup.estimate)} {text.half_width(record.speedup)}"
    verdicts = "".join(f", {verdict.outcome.value}" for verdict in record.verdicts)
    reporter.ensure_newline()
    point = point_name(entry.strategy, entry.workers_requested)
    reporter.write_line(f"  {point}: {text.counted(record.pairs, 'pair')}, {speedup}{verdicts}")


def _pytests_own(reporter: Any) -> bool:
    """Whether pytest itself writes the terminal: pytest-sugar and its like draw on it in their own way."""
    return type(reporter).__module__ == "_pytest.terminal"
