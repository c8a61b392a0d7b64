"""The pools of one point, one after another, and what can be asked of each only while it is open."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from ..errors import WorkersMissing
from ..measurement import Pair
from ..resources import (
    LoadMeter,
    Meter,
    descendants,
    environment,
    helpers,
    memory,
    reset_peak,
    thread_count,
    tracing,
)
from ..strategy import Counts, HasInfo, HasKept, HasPids, Pool
from ..workload import Workload
from ..workpool import shipped
from ._arm import Arm
from ._plan import Plan

__all__ = ["Pools"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

RESTART_PAIRS = 10
"""Pairs after which a pool is opened anew: the spread of a point's mean fell from .104 to .071, and its t
interval covered 97 % where it had covered 80 % (MEASURING.md, finding 6) …"""
RESTART_SHARE = 0.05
"""… where that costs no more than this share of the time of those pairs."""

WATCH_SECONDS = 0.1
"""Seconds for which foreign load is watched at least: its counters tick every 10 ms, and on a machine with
many cores to read them takes as long as a short round."""


class Pools:
    """Opens the plan's strategy; one pool is open at a time. Leaving it by an exception ends that at once."""

    def __init__(self, workload: Workload, plan: Plan) -> None:
        self._workload = workload
        self._plan = plan
        self._strangers = descendants()
        self._stack = ExitStack()
        self._load: LoadMeter | None = None
        self._since = 0
        """Pairs that there were when this one was opened."""
        self._cost = 0.0
        """Seconds that the last restart took, or the opening where there was none."""
        self.arm: Arm
        self.open_seconds: list[float] = []
        self.close_seconds: list[float] = []
        self.facts: dict[str, Any] = {}
        """Of the last pool."""

    def __enter__(self) -> Pools:  # noqa: PYI034 - Self is not in typing before Python 3.11
        return self

    def __exit__(self, *error: Any) -> bool | None:  # noqa: PYI036 - handed on to ExitStack, which wants the triple
        return self._stack.__exit__(*error)

    def open(self, first_round: Callable[[Arm], object]) -> Arm:
        """Opens a pool and runs its first rounds, which no pair shall hold."""
        clock = self._plan.clock
        begun = clock()
        pool, meter = self._stack.enter_context(self._opened())
        kept = pool.kept_seconds if isinstance(pool, HasKept) else 0.0
        self.open_seconds.append(clock() - begun + kept)
        self._cost = self.open_seconds[-1]
        if len(self.open_seconds) == 1:
            self.arm = Arm(self._workload, pool, self._plan.strategy, meter, clock)
        else:
            self.arm.move(pool, meter)
        first_round(self.arm)
        reset_peak(_pids(pool))
        self._load = LoadMeter(_pids(pool))
        return self.arm

    def close(self) -> None:
        """Asks the open pool what only it knows, and closes it."""
        pool, clock = self.arm.pool, self._plan.clock
        self.facts = self._facts(pool)
        begun = clock()
        self._stack.close()
        self.close_seconds.append(clock() - begun)

    def restart(self, pairs: Sequence[Pair], first_round: Callable[[Arm], object]) -> None:
        """Closes the pool and opens another."""
        begun = self._plan.clock()
        self.close()
        self._since = len(pairs)
        self.open(first_round)
        self._cost = self._plan.clock() - begun

    @property
    def may_restart(self) -> bool:
        """False where another pool would be dear, or another thing: the one that chooses its own workers."""
        return not self._plan.strategy.dear and self._plan.strategy.counts is not Counts.OWN

    def worn(self, pairs: Sequence[Pair]) -> bool:
        """Whether it is time for another pool, and cheap enough."""
        own = pairs[self._since :]
        if len(own) < RESTART_PAIRS or not self.may_restart:
            return False
        return self._cost <= RESTART_SHARE * math.fsum(pair.seconds for pair in own)

    def foreign(self) -> float | None:
        """Cores that others used since it was last told, or since the pool was open; None where unknown, and
        where that is less than `WATCH_SECONDS` ago."""
        found = self._load.since(_pids(self.arm.pool), WATCH_SECONDS) if self._load else None
        return found.foreign if found else None

    @contextmanager
    def _opened(self) -> Iterator[tuple[Pool, Meter]]:
        gc.collect()
        gc.freeze()  # what the sequential rounds made must not be touched by collections in forked workers
        plan = self._plan
        kept = getattr(plan.options.initializer, "kept", nullcontext)  # what it sets stays the workers' own
        with kept(), plan.strategy.open(plan.workers, plan.options) as pool:
            # A cluster of the user's has the workers that it has.
            given = plan.strategy.counts is Counts.OWN or plan.options.address is not None
            if not given and pool.workers != plan.workers:
                raise WorkersMissing(
                    f"{plan.point} was asked for {plan.workers} {plan.strategy.noun} and has {pool.workers}"
                )
            with Meter(lambda: _pids(pool), shipped) as meter:
                yield pool, meter

    def _facts(self, pool: Pool) -> dict[str, Any]:
        info = dict(pool.info()) if isinstance(pool, HasInfo) else {}
        pids = _pids(pool)
        return {
            "workers": pool.workers,
            "memory": memory(pids, helpers(pids, self._strangers)),
            "threads": thread_count(pids),
            "strategy_info": info,
            "environment": {
                **environment(self._plan.cores),
                "start_method": info.get("start_method"),
                "tracing": tracing(),
            },
        }


def _pids(pool: Pool) -> Sequence[int]:
    return pool.pids() if isinstance(pool, HasPids) else ()
