"""Rounds whose tasks are noted: begun when the plan asks for it, kept up to the end of the point."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ..measurement import Pair, Task
from ..resources import GilProbe, gil_enabled
from ..strategy import Counts, Isolation
from ..trace import NOTE_SECONDS, NOTES, Recorder
from ._arm import Arm
from ._plan import Plan

__all__ = ["Tracing"]

KNOCKS = 60
"""Knocks that ask how much of its time the workload holds the GIL: a share of a half is known to .13 …"""
GIL_SECONDS = 0.5
"""… in sequential rounds of their own, of which none begins after so many seconds."""


@dataclass
class Tracing:
    """Notes when the tasks of both arms run, once the plan asks for it."""

    plan: Plan
    stack: ExitStack
    recorder: Recorder | None = None
    _given_up: bool = False

    def look(self, pairs: list[Pair], arms: tuple[Arm, Arm], again: Callable[[], Any]) -> None:
        """Begins with it where these pairs are a reason; ``again`` runs a sequential round of no pair.

        Notes that cost too much spoil a pair, which is dropped: then chunks are noted instead of tasks, and
        where that costs too much as well, nothing is.
        """
        if self.recorder is None:
            if not self._given_up and self._can_tell() and self.plan.traced(pairs):
                self._begin(again)
        elif pairs and self._too_dear(pairs[-1]):
            pairs.pop()
            if self.recorder.by_chunk:
                self.recorder, self._given_up = None, True
            else:
                self.recorder.by_chunk, self.recorder.crowded = True, False
        for arm in arms:
            arm.recorder = self.recorder

    def forget(self) -> None:
        """The notes of workers that have ended need no room any more."""
        if self.recorder is not None:
            self.recorder.forget()

    def _too_dear(self, pair: Pair) -> bool:
        """Whether the notes of one of its rounds took more than `NOTES` of it, or had no room."""
        assert self.recorder
        if self.recorder.crowded:
            return True
        return any(
            NOTE_SECONDS * self._in_turn(timed.trace.tasks) > NOTES * timed.seconds
            for timed in (pair.sequential, *pair.parallel)
            if timed.trace is not None
        )

    def _in_turn(self, tasks: Sequence[Task]) -> float:
        """Notes of a round that were made in turn: workers with a core each make theirs at once, but
        for threads that share a GIL."""
        shared = self.plan.strategy.isolation is Isolation.THREAD and gil_enabled()
        at_once = 1 if shared else min(len({task.worker for task in tasks}), self.plan.cores.usable)
        return len(tasks) / max(1, at_once)

    def _can_tell(self) -> bool:
        """Whether notes of tasks say what this strategy's workers do: not where one task is several of
        them, or where their number changes."""
        strategy = self.plan.strategy
        return not strategy.inside and strategy.counts is not Counts.OWN

    def _begin(self, again: Callable[[], Any]) -> None:
        share = self._gil_share(again)
        try:
            within = self.plan.strategy.isolation in (Isolation.NONE, Isolation.THREAD)
            self.recorder = Recorder(gil_share=share, within=within)
        except OSError:  # no room for its folder
            self._given_up = True
            return
        self.stack.callback(self.recorder.close)

    def _gil_share(self, again: Callable[[], Any]) -> float | None:
        """How much of its CPU time the workload holds the GIL, where the strategy's threads share it."""
        if self.plan.strategy.isolation is not Isolation.THREAD or not gil_enabled():
            return None
        probe, begun = GilProbe(), time.monotonic()
        while probe.knocks < KNOCKS and time.monotonic() - begun < GIL_SECONDS:
            with probe:
                again()
        return probe.share
