"""One point while it is measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from .. import clusters
from ..contention import others, reference
from ..errors import WrongResult
from ..measurement import Measurement, Pair, Round
from ..quiet import frozen_heap, native_threads
from ..resources import Meter, Reference
from ..strategy import HasAmbient
from ..workload import Workload, refuse_lazy
from ._arm import Arm
from ._plan import Plan
from ._pools import Pools
from ._tracing import Tracing

__all__ = ["check", "measure"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

MIN_PAIRS = 5
"""Pairs that every point gets, whatever the budget …"""
MIN_PAIRS_LONG = 3
"""… but for a workload so long that five pairs alone would exceed it."""
MAX_PARALLEL_ROUNDS = 8
WARM_UP_SHARE = 0.03
"""Share of the budget for warm-up pairs after the first parallel round (auto-batching and caches settle)."""
DEFAULT_WARM_UP = 10.0
"""Seconds that stand for the budget where there is none."""
CHECK_SHARE = 0.01
"""Share of the time that later result checks may take; the first and the last result are always checked."""
CACHED = 2.0
"""A first round that takes over this many times the later ones was possibly filled a cache."""

REFERENCE_PAIRS = 4
"""Pairs from one question about the machine to the next (MEASURING.md, finding 5)."""
AGAIN_PAIRS = 10
"""Pairs for which there must be time where all are measured again."""
_NOTABLE = 0.001
"""Seconds by which a first round must exceed the later ones: below, cold processor caches do that too."""


def measure(workload: Workload, plan: Plan) -> tuple[Measurement, Any]:
    """Measure one point; the measurement and the last parallel result.

    Raises `WorkloadError` where the workload cannot be measured truly, `PoolError` where the strategy
    breaks its promises, and whatever the workload itself raises.
    """
    with _begun(workload, plan) as point:
        return point.measure()


def check(workload: Workload, plan: Plan) -> tuple[str, Any]:
    """Run both arms once and compare; ``equal`` or ``unchecked``, and the parallel result. No timing."""
    with _begun(workload, plan) as point:
        return point.check()


def _begun(workload: Workload, plan: Plan) -> _Point:
    """The point, while no idle cluster takes its time."""
    if not plan.strategy.dear:
        clusters.end_kept()
    return _Point(workload, plan)


class _Point:
    """One point while it is measured: its two arms and what it has seen so far."""

    def __init__(self, workload: Workload, plan: Plan) -> None:
        self.workload = workload
        self.plan = plan
        self.clock = plan.clock
        self.started = plan.clock()
        self.stack = ExitStack()
        self.check_seconds = 0.0
        self.sequential_seconds = 0.0
        self.pairs_begun = self.started
        self.pairs: list[Pair] = []
        self.unchecked: set[str] = set()
        self.reference_kernel: Reference | None = None
        self.repeats = 1
        """Parallel rounds of a pair."""
        self.again = ""
        """Why the pairs were measured twice."""
        # Two results are alive at most: the reference and the latest, or the one being made.
        self.reference: Any = None
        self.result: Any = None

    def __enter__(self) -> _Point:  # noqa: PYI034 - Self is not in typing before Python 3.11
        with ExitStack() as stack:
            stack.enter_context(frozen_heap())
            stack.enter_context(native_threads(self.plan.options.native_threads))
            # The user's options= are for the strategy; the baseline has none.
            options = replace(self.plan.options, extra={})
            pool = stack.enter_context(self.plan.baseline.open(1, options))
            meter = stack.enter_context(Meter(lambda: ()))
            most = self.workload.baseline_timeout
            self.sequential = Arm(self.workload, pool, self.plan.baseline, meter, self.clock, most)
            self.stack = stack.pop_all()
            self.tracing = Tracing(self.plan, self.stack)
            cores = min(self.plan.workers, self.plan.cores.usable)
            elsewhere = self.plan.options.address is not None
            if self.plan.reference and cores > 1 and not elsewhere:
                self.reference_kernel = Reference(cores)
        return self

    def __exit__(self, *error: Any) -> bool | None:  # noqa: PYI036 - handed on to ExitStack, which wants the triple
        return self.stack.__exit__(*error)

    def check(self) -> tuple[str, Any]:
        self._first_round()
        with Pools(self.workload, self.plan) as pools:
            pools.open(self._only_round)
            pools.close()
        try:
            self._compare()
        except WrongResult:
            # Perhaps it is not the strategy: a workload that does not repeat is named as that.
            self.workload.check_repeats(self.reference, self.sequential.round()[1])
            raise
        return self._result_word(), self.result

    def _only_round(self, parallel: Arm) -> None:
        self.result = parallel.round()[1]

    def measure(self) -> tuple[Measurement, Any]:
        first = self._sequential_twice()
        with Pools(self.workload, self.plan) as pools:
            parallel = pools.open(self._warm_up)
            self.pairs_begun = self.clock()
            while True:
                if self._enough():
                    if not self._once_more():
                        break
                    if pools.may_restart:
                        pools.restart(self.pairs, self._first_of_pool)
                elif pools.worn(self.pairs):
                    pools.restart(self.pairs, self._first_of_pool)
                self.tracing.look(self.pairs, (self.sequential, parallel), self._sequential_round)
                self._add_pair(pools)
            if self.result is None:  # the last pair ended with its sequential round
                self._parallel_round(parallel)
            self._compare()
            pools.close()
        return self._measurement(first, pools), self.result

    def _first_of_pool(self, parallel: Arm) -> None:
        self.tracing.forget()  # of the workers that were: the files of those that are begin with this round
        self._parallel_round(parallel)

    def _measurement(self, first: Round, pools: Pools) -> Measurement:
        plan, workload = self.plan, self.workload
        return Measurement(
            strategy=plan.strategy.name,
            strategy_version=plan.strategy.version(),
            workers_requested=plan.requested,
            isolation=plan.strategy.isolation.value,
            pairs=tuple(self.pairs),
            first_sequential_seconds=first.seconds,
            open_seconds=pools.open_seconds[0],
            close_seconds=pools.close_seconds[-1],
            elapsed_seconds=self.clock() - self.started,
            workload_seconds=self.sequential.seconds + pools.arm.seconds,
            usable_cores=plan.cores.usable,
            result=self._result_word(),
            reference_speedup=reference(self.pairs),
            foreign_load=self._foreign_load(),
            items=len(workload.items) if workload.items is not None else None,
            size_bytes=workload.size_bytes,
            chunk_size=workload.chunk_size,
            kind=workload.kind,
            notes=tuple(self._notes(first, pools.arm)),
            **pools.facts,
        )

    def _sequential_twice(self) -> Round:
        """The reference result, once the workload has shown that it repeats and leaves its items alone."""
        first = self._first_round()
        second, again = self.sequential.round()
        self.unchecked |= self.workload.check_repeats(self.reference, again).unchecked
        self.sequential_seconds = second.seconds
        return first

    def _first_round(self) -> Round:
        workload, view = self.workload, self.sequential.view
        items = workload.prepare()
        kept = items is workload.items  # fresh items of setup= may be changed and consumed
        before = workload.fingerprints(items if kept else None)
        view.functions = []
        first, self.reference = self.sequential.run(items)
        self.plan.inspect(view.functions)
        view.functions = None
        workload.check_unchanged(items if kept else None, before)
        refuse_lazy(self.reference)
        return first

    def _warm_up(self, parallel: Arm) -> None:
        """Run what no pair shall hold, and find how many parallel rounds each sequential one gets."""
        sequential, once = self.sequential_seconds, self._parallel_round(parallel).seconds
        limit = WARM_UP_SHARE * (self.plan.max_time or DEFAULT_WARM_UP)
        begun = self.clock()
        # A round that is long beside the budget is warm after the one above.
        while self.clock() - begun + sequential + once < limit:
            pair = self._pair(parallel, 1, sequential_first=True)
            sequential, once = pair.sequential.seconds, pair.parallel_seconds
        ratio = sequential / once
        # The variance of a pair's ratio is least for its cost where the rounds are as many as sqrt(ratio).
        self.repeats = min(MAX_PARALLEL_ROUNDS, max(1, round(math.sqrt(ratio))))

    def _add_pair(self, pools: Pools) -> None:
        pair = self._pair(pools.arm, self.repeats, sequential_first=len(self.pairs) % 2 == 0)
        pair = replace(pair, foreign=pools.foreign())
        if self.reference_kernel and len(self.pairs) % REFERENCE_PAIRS == 0:
            pair = replace(pair, reference=self.reference_kernel.sample())
        self.pairs.append(pair)
        self.plan.notify(self.pairs)

    def _pair(self, parallel: Arm, repeats: int, *, sequential_first: bool) -> Pair:
        before = self._sequential_round() if sequential_first else None
        rounds = tuple(self._parallel_round(parallel) for _ in range(repeats))
        return Pair(sequential=before or self._sequential_round(), parallel=rounds)

    def _sequential_round(self) -> Round:
        self.result = None
        return self.sequential.round()[0]

    def _parallel_round(self, parallel: Arm) -> Round:
        self.result = None
        timed, self.result = parallel.round()
        if self.check_seconds < CHECK_SHARE * (self.clock() - self.started):
            self._compare()
        return timed

    def _foreign_load(self) -> float | None:
        used = others(self.pairs)
        return None if used is None else min(1.0, max(0.0, used[0] / self.plan.cores.affinity))

    def _enough(self) -> bool:
        limit = self.plan.max_time
        if not self.pairs:
            return False
        if limit is None:
            return self.plan.decide(self.pairs)
        block = statistics.fmean(p.seconds for p in self.pairs)
        spent = self.pairs_begun - self.started
        least = MIN_PAIRS if spent + MIN_PAIRS * block <= limit else MIN_PAIRS_LONG
        if len(self.pairs) < least:
            return False
        # A last result may have to be made to be checked, after a pair that ends with its sequential round.
        coming = block + self.pairs[-1].parallel_seconds
        return self.clock() - self.started + coming > limit or self.plan.decide(self.pairs)

    def _once_more(self) -> bool:
        """Whether to measure all pairs again: once at most, where the plan wants that and time allows."""
        if self.again or not self.plan.again(self.pairs):
            return False
        left = math.inf if self.plan.max_time is None else self.plan.max_time - (self.clock() - self.started)
        if left < math.fsum(pair.seconds for pair in self.pairs[:AGAIN_PAIRS]):
            return False
        self.again = f"measured twice: the machine was busy during the first {len(self.pairs)} pairs"
        self.pairs = []
        return True

    def _compare(self) -> None:
        begun = self.clock()
        found = self.workload.check_same(self.reference, self.result, self.plan.point)
        self.unchecked |= found.unchecked
        self.check_seconds += self.clock() - begun

    def _result_word(self) -> str:
        return "unchecked" if self.unchecked else "equal"

    def _notes(self, first: Round, parallel: Arm) -> Iterator[str]:
        if not parallel.view.used and not isinstance(parallel.pool, HasAmbient):
            yield (
                f"the workload used none of pool.map, pool.imap, pool.executor and pool.native: what was "
                f"measured is not {self.plan.strategy.name} but its own way to run on "
                f"{parallel.view.workers} workers"
            )
        if parallel.view.retries or self.sequential.view.retries:
            yield (
                f"retries: {parallel.view.retries} in {parallel.rounds} parallel rounds, "
                f"{self.sequential.view.retries} in {self.sequential.rounds} sequential ones"
            )
        later = statistics.median(p.sequential.seconds for p in self.pairs)
        if first.seconds > CACHED * later and first.seconds - later > _NOTABLE:
            yield (
                f"possibly cached: the first sequential round took {first.seconds / later:.1f} times the "
                f"later ones; use setup= to clear what it fills"
            )
        if self.again:
            yield self.again
        if self.unchecked:
            types = ", ".join(sorted(self.unchecked))
            yield f"results not wholly checked: no way to compare {types}; use equal="
