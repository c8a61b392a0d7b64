"""A pool that chooses how many of its workers it feeds, again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..resources import usable_cores
from ..resources.load import LoadMeter
from ..strategy import StrategyOptions
from ._chunks import extras
from ._crew_pool import CrewPool
from .processes import start_method

__all__ = ["AdaptivePool", "choice"]

_WINDOW = 0.2
"""Seconds between two decisions: twenty ticks of /proc/stat, so that a core is known to a twentieth."""
_MARGIN = 0.6
"""How far from the present count the ideal one must be (in workers), lest the count flutters."""
_MOST_PER_CORE = 8
"""Workers that mostly wait cost memory: an eighth of a core's time each at least."""
_STEPS_SHOWN = 12


def choice(cores: int, foreign: float, share: float, now: int, most: int) -> tuple[int, str]:
    """How many workers to feed, and why.

    As many as keep the cores busy that others leave: ``(cores - foreign) / share``, where ``foreign`` is
    cores that others use and ``share`` the part of its time that a worker computes (1: it never waits).
    ``now``: the present count, kept where the ideal one is near. ``most``: the limit.
    """
    free = max(0.0, cores - foreign)
    ideal = min(float(most), max(1.0, free / max(share, 1 / _MOST_PER_CORE)))
    count = now if abs(ideal - now) < _MARGIN else round(ideal)
    busy = "" if foreign < 0.1 else f", of which others use {foreign:.1f}"
    waits = "" if share > 0.9 else f"; a worker computes {share:.0%} of its time"
    return count, f"{cores} usable {'core' if cores == 1 else 'cores'}{busy}{waits}"


class AdaptivePool(CrewPool):
    """Processes of our own, of which those are fed that the machine has room for.

    It starts with one for each usable core. Between chunks, every fifth of a second at most, it looks at the
    load of others and at how much of their time its workers computed, and feeds fewer, or more: workers
    that are not fed sleep, and those that are missing are started. The option ``most`` limits the count.
    """

    def __init__(self, options: StrategyOptions) -> None:
        extra = extras(options, "adaptive", ("most", "start_method"))
        self._cores = usable_cores().usable
        self._most = extra.get("most", self._cores * _MOST_PER_CORE)
        if isinstance(self._most, bool) or not isinstance(self._most, int) or self._most < 1:
            raise UsageError(f"adaptive: most must be a whole number of workers, not {self._most!r}")
        super().__init__([1] * min(self._cores, self._most), start_method(extra, "adaptive"), options)
        self._why = f"{self._cores} usable cores"
        self._steps = [self.workers]
        self.meter = LoadMeter()
        """What tells it the load; anything with the same `since`."""
        self._share = 1.0
        self._busy_then = 0.0

    def start(self) -> None:
        """See `CrewPool.start`; the load is counted from here."""
        super().start()
        self.meter.since(self.pids(), 0.0)

    def info(self) -> Mapping[str, Any]:
        """See `HasInfo`: the counts it chose, and why the last one."""
        shown = self._steps[-_STEPS_SHOWN:]
        more = "… " if len(self._steps) > len(shown) else ""
        return {**super().info(), "chosen": more + " ".join(map(str, shown)), "why": self._why}

    def between_chunks(self) -> None:
        """Decides anew, where it is time."""
        load = self.meter.since(self.pids(), _WINDOW)
        if load is None:
            return
        busy = self._crew.busy_seconds()
        at_work = busy - self._busy_then - load.delayed
        self._busy_then = busy
        if at_work > _WINDOW / 2:  # else the tasks have hardly run since
            self._share = min(1.0, load.computed / at_work)
        others = max(0.0, load.foreign or 0.0)
        count, self._why = choice(self._cores, others, self._share, self.workers, self._most)
        if count != self.workers:
            self._steps.append(count)
            self._resize(count)

    def _resize(self, count: int) -> None:
        missing = count - len(self._crew.workers)
        if missing > 0:
            self._crew.grow([1] * missing)
        self._crew.active = self.workers = count
