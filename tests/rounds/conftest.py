"""A clock that the tests turn themselves, and strategies under it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_parallelism.measurement import Measurement
from pytest_parallelism.resources import Cores
from pytest_parallelism.rounds import Plan, measure
from pytest_parallelism.strategy import Counts, Isolation, Pool, Strategy, StrategyOptions
from pytest_parallelism.workload import Workload

CORES = Cores(usable=2, affinity=2, quota=None, logical=2)


@dataclass
class World:
    """A clock, and two strategies whose rounds take what is said here."""

    sequential_seconds: float = 1.0
    parallel_seconds: float = 0.5
    open_seconds: float = 0.25
    close_seconds: float = 0.125
    workers_had: int | None = None
    now: float = 100.0
    log: list[str] = field(default_factory=list)
    alive: int = 0
    frozen_while_open: bool = False

    def clock(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def strategy(self, name: str, seconds: Callable[[], float]) -> Strategy:
        world = self

        @dataclass
        class FakePool:
            workers: int

            def map(
                self, fn: Any, items: Sequence[Any], *, chunk_size: Any = None, timeout: Any = None
            ) -> list[Any]:
                world.log.append(name[0])
                world.pass_time(seconds())
                return [fn(item) for item in items]

        @contextmanager
        def opened(workers: int, options: StrategyOptions) -> Iterator[Pool]:
            world.alive += 1
            world.frozen_while_open = gc.get_freeze_count() > 0
            timed = name != "sequential"
            world.pass_time(world.open_seconds * timed)
            try:
                yield FakePool(world.workers_had or workers)
            finally:
                world.alive -= 1
                world.pass_time(world.close_seconds * timed)

        return Strategy(
            name=name, open=opened, isolation=Isolation.NONE, counts=Counts.ANY, noun="fakes", distribution=""
        )

    def plan(self, **changes: Any) -> Plan:
        settings: dict[str, Any] = {
            "strategy": self.strategy("parallel", lambda: self.parallel_seconds),
            "workers": 2,
            "requested": 2,
            "baseline": self.strategy("sequential", lambda: self.sequential_seconds),
            "cores": CORES,
            "decide": lambda pairs: len(pairs) >= 6,
            "max_time": 1000.0,
            "clock": self.clock,
        }
        return Plan(**(settings | changes))

    def measure(self, workload: Workload | None = None, **changes: Any) -> Measurement:
        measurement, self.result = measure(workload or self.workload(), self.plan(**changes))
        return measurement

    def workload(self, **arguments: Any) -> Workload:
        return Workload.of_map(lambda x: [x], [1, 2, 3], **arguments)
