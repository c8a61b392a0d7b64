"""One side of a pair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..alarm import limit
from ..measurement import Round
from ..resources import Meter
from ..strategy import HasAmbient, Pool, Strategy
from ..trace import Recorder
from ..workload import Workload
from ..workpool import WorkPool
from ._plan import Clock

__all__ = ["Arm"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

_TICK = 1e-9
"""The clock's own resolution: a round shorter than it still has a finite ratio."""


class Arm:
    """One side of a pair: the workload on one pool, under a clock."""

    def __init__(
        self,
        workload: Workload,
        pool: Pool,
        strategy: Strategy,
        meter: Meter,
        clock: Clock,
        most: float | None = None,
    ) -> None:
        self.workload = workload
        self.pool = pool
        self.strategy = strategy
        self.view = WorkPool(pool, strategy)
        self.meter = meter
        self.clock = clock
        self.most = most
        """Seconds that a round may take."""
        self.rounds = 0
        self.seconds = 0.0
        """Wall seconds of all its rounds so far."""
        self.recorder: Recorder | None = None
        """Notes when the tasks of its rounds run, where that is wanted."""

    def move(self, pool: Pool, meter: Meter) -> None:
        """From now on its rounds run on another pool of the same strategy."""
        before, self.pool, self.meter = self.view, pool, meter
        self.view = WorkPool(pool, self.strategy)
        self.view.used, self.view.retries = before.used, before.retries

    def round(self) -> tuple[Round, Any]:
        """One round on fresh items; its times and its result."""
        return self.run(self.workload.prepare())

    def run(self, items: Any) -> tuple[Round, Any]:
        """One round on these items. Only the user's workload stands between the clock readings."""
        run, view, clock = self.workload.run, self.view, self.clock
        recorder = view.recorder = self.recorder
        try:
            with self._around():
                before = self.meter.snapshot()
                with recorder.round() if recorder else nullcontext():
                    begun = clock()
                    result = run(view, items)
                    seconds = clock() - begun
                usage = before.until(self.meter.snapshot())
        finally:
            self.workload.clean()
        self.rounds += 1
        self.seconds += seconds
        trace = recorder.take() if recorder else None
        return Round(seconds=max(seconds, _TICK), usage=usage, trace=trace), result

    @contextmanager
    def _around(self) -> Iterator[None]:
        ambient = self.pool.ambient() if isinstance(self.pool, HasAmbient) else nullcontext()
        late = f"the sequential baseline of {self.workload.name} did not end within {self.most} s"
        with ambient, limit(self.most, f"{late} (baseline_timeout=)"):
            yield
