"""Open, warm, run paired rounds, close: all under clocks, nothing judged.

The procedure, measured to be the one that noise spoils least: a sequential round and the parallel rounds
beside it form a pair, in alternating order, and only their ratio counts. Between the two clock readings of a
round stands nothing but the user's workload.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from .alarm import limit
from .errors import WorkersMissing, WrongResult
from .measurement import Measurement, Pair, Round
from .quiet import frozen_heap, native_threads
from .resources import (
    Cores,
    Meter,
    descendants,
    environment,
    helpers,
    memory,
    reset_peak,
    thread_count,
    tracing,
)
from .strategy import Counts, HasAmbient, HasInfo, HasPids, Pool, Strategy, StrategyOptions
from .workload import Workload, refuse_lazy
from .workpool import WorkPool, shipped

__all__ = ["Plan", "check", "measure"]

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

_TICK = 1e-9
"""The clock's own resolution: a round shorter than it still has a finite ratio."""

_NOTABLE = 0.001
"""Seconds by which a first round must exceed the later ones: below, cold processor caches do that too."""

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure a workload with, and how long.

    ``decide(pairs)`` says when the pairs are enough; ``max_time``: seconds for the whole point, which ends
    it anyway (None: only ``decide`` does). ``notify(pairs)`` is called after each pair, outside the clocks.
    """

    strategy: Strategy
    workers: int
    requested: int | str
    baseline: Strategy
    cores: Cores
    decide: Callable[[Sequence[Pair]], bool]
    max_time: float | None
    options: StrategyOptions = field(default_factory=StrategyOptions)
    notify: Callable[[Sequence[Pair]], object] = len
    inspect: Callable[[Sequence[Callable[..., Any]]], object] = len
    """Called once with the functions that the first round maps, outside the clocks."""
    clock: Clock = time.perf_counter

    @property
    def point(self) -> str:
        """Strategy and count as in the test's id: ``threads-w2``."""
        return f"{self.strategy.name}-w{self.requested}"


def measure(workload: Workload, plan: Plan) -> tuple[Measurement, Any]:
    """Measure one point; the measurement and the last parallel result.

    Raises `WorkloadError` where the workload cannot be measured truly, `PoolError` where the strategy
    breaks its promises, and whatever the workload itself raises.
    """
    with _Point(workload, plan) as point:
        return point.measure()


def check(workload: Workload, plan: Plan) -> tuple[str, Any]:
    """Run both arms once and compare; ``equal`` or ``unchecked``, and the parallel result. No timing."""
    with _Point(workload, plan) as point:
        return point.check()


class _Arm:
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
        self.view = WorkPool(pool, strategy)
        self.meter = meter
        self.clock = clock
        self.most = most
        """Seconds that a round may take."""
        self.rounds = 0
        self.seconds = 0.0
        """Wall seconds of all its rounds so far."""

    def round(self) -> tuple[Round, Any]:
        """One round on fresh items; its times and its result."""
        return self.run(self.workload.prepare())

    def run(self, items: Any) -> tuple[Round, Any]:
        """One round on these items. Only the user's workload stands between the clock readings."""
        run, view, clock = self.workload.run, self.view, self.clock
        try:
            with self._around():
                before = self.meter.snapshot()
                begun = clock()
                result = run(view, items)
                seconds = clock() - begun
                usage = before.until(self.meter.snapshot())
        finally:
            self.workload.clean()
        self.rounds += 1
        self.seconds += seconds
        return Round(seconds=max(seconds, _TICK), usage=usage), result

    @contextmanager
    def _around(self) -> Iterator[None]:
        ambient = self.pool.ambient() if isinstance(self.pool, HasAmbient) else nullcontext()
        late = f"the sequential baseline of {self.workload.name} did not end within {self.most} s"
        with ambient, limit(self.most, f"{late} (baseline_timeout=)"):
            yield


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
            self.sequential = _Arm(self.workload, pool, self.plan.baseline, meter, self.clock, most)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> bool | None:  # noqa: PYI036 - handed on to ExitStack, which wants the triple
        return self.stack.__exit__(*error)

    def check(self) -> tuple[str, Any]:
        self._first_round()
        with self._opened() as parallel:
            self.result = parallel.round()[1]
        try:
            self._compare()
        except WrongResult:
            # Perhaps it is not the strategy: a workload that does not repeat is named as that.
            self.workload.check_repeats(self.reference, self.sequential.round()[1])
            raise
        return self._result_word(), self.result

    def measure(self) -> tuple[Measurement, Any]:
        first = self._sequential_twice()
        strangers = descendants()
        with ExitStack() as opened:
            begun = self.clock()
            parallel = opened.enter_context(self._opened())
            open_seconds = self.clock() - begun
            repeats = self._warm_up(parallel)
            reset_peak(_pids(parallel.pool))
            self.pairs_begun = self.clock()
            while not self._enough():
                self._add_pair(parallel, repeats)
            if self.result is None:  # the last pair ended with its sequential round
                self._parallel_round(parallel)
            self._compare()
            facts = _facts(parallel.pool, strangers, self.plan)
            begun = self.clock()
            opened.close()
            close_seconds = self.clock() - begun
        return self._measurement(first, parallel, facts, open_seconds, close_seconds), self.result

    def _measurement(
        self, first: Round, parallel: _Arm, facts: dict[str, Any], open_seconds: float, close_seconds: float
    ) -> Measurement:
        plan, workload = self.plan, self.workload
        return Measurement(
            strategy=plan.strategy.name,
            strategy_version=plan.strategy.version(),
            workers_requested=plan.requested,
            isolation=plan.strategy.isolation.value,
            pairs=tuple(self.pairs),
            first_sequential_seconds=first.seconds,
            open_seconds=open_seconds,
            close_seconds=close_seconds,
            elapsed_seconds=self.clock() - self.started,
            workload_seconds=self.sequential.seconds + parallel.seconds,
            usable_cores=plan.cores.usable,
            result=self._result_word(),
            items=len(workload.items) if workload.items is not None else None,
            size_bytes=workload.size_bytes,
            chunk_size=workload.chunk_size,
            kind=workload.kind,
            notes=tuple(self._notes(first, parallel)),
            **facts,
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

    @contextmanager
    def _opened(self) -> Iterator[_Arm]:
        gc.collect()
        gc.freeze()  # what the sequential rounds made must not be touched by collections in forked workers
        plan = self.plan
        kept = getattr(plan.options.initializer, "kept", nullcontext)  # what it sets stays the workers' own
        with kept(), plan.strategy.open(plan.workers, plan.options) as pool:
            if plan.strategy.counts is not Counts.OWN and pool.workers != plan.workers:
                raise WorkersMissing(
                    f"{plan.point} was asked for {plan.workers} {plan.strategy.noun} and has {pool.workers}"
                )
            with Meter(lambda: _pids(pool), shipped) as meter:
                yield _Arm(self.workload, pool, plan.strategy, meter, self.clock)

    def _warm_up(self, parallel: _Arm) -> int:
        """Run what no pair shall hold; the parallel rounds that each sequential one gets."""
        sequential, once = self.sequential_seconds, self._parallel_round(parallel).seconds
        limit = WARM_UP_SHARE * (self.plan.max_time or DEFAULT_WARM_UP)
        begun = self.clock()
        # A round that is long beside the budget is warm after the one above.
        while self.clock() - begun + sequential + once < limit:
            pair = self._pair(parallel, 1, sequential_first=True)
            sequential, once = pair.sequential.seconds, pair.parallel_seconds
        ratio = sequential / once
        # The variance of a pair's ratio is least for its cost where the rounds are as many as sqrt(ratio).
        return min(MAX_PARALLEL_ROUNDS, max(1, round(math.sqrt(ratio))))

    def _add_pair(self, parallel: _Arm, repeats: int) -> None:
        self.pairs.append(self._pair(parallel, repeats, sequential_first=len(self.pairs) % 2 == 0))
        self.plan.notify(self.pairs)

    def _pair(self, parallel: _Arm, repeats: int, *, sequential_first: bool) -> Pair:
        before = self._sequential_round() if sequential_first else None
        rounds = tuple(self._parallel_round(parallel) for _ in range(repeats))
        return Pair(sequential=before or self._sequential_round(), parallel=rounds)

    def _sequential_round(self) -> Round:
        self.result = None
        return self.sequential.round()[0]

    def _parallel_round(self, parallel: _Arm) -> Round:
        self.result = None
        timed, self.result = parallel.round()
        if self.check_seconds < CHECK_SHARE * (self.clock() - self.started):
            self._compare()
        return timed

    def _enough(self) -> bool:
        limit = self.plan.max_time
        if not self.pairs:
            return False
        if limit is None:
            return self.plan.decide(self.pairs)
        block = statistics.fmean(_block_seconds(p) for p in self.pairs)
        spent = self.pairs_begun - self.started
        least = MIN_PAIRS if spent + MIN_PAIRS * block <= limit else MIN_PAIRS_LONG
        if len(self.pairs) < least:
            return False
        # A last result may have to be made to be checked, after a pair that ends with its sequential round.
        coming = block + self.pairs[-1].parallel_seconds
        return self.clock() - self.started + coming > limit or self.plan.decide(self.pairs)

    def _compare(self) -> None:
        begun = self.clock()
        found = self.workload.check_same(self.reference, self.result, self.plan.point)
        self.unchecked |= found.unchecked
        self.check_seconds += self.clock() - begun

    def _result_word(self) -> str:
        return "unchecked" if self.unchecked else "equal"

    def _notes(self, first: Round, parallel: _Arm) -> Iterator[str]:
        if not parallel.view.used and not isinstance(parallel.pool, HasAmbient):
            yield (
                f"the workload used none of pool.map, pool.imap and pool.executor: what was measured is not "
                f"{self.plan.strategy.name} but its own way to run on {parallel.view.workers} workers"
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
        if self.unchecked:
            types = ", ".join(sorted(self.unchecked))
            yield f"results not wholly checked: no way to compare {types}; use equal="


def _facts(pool: Pool, strangers: Collection[Any], plan: Plan) -> dict[str, Any]:
    """What can be asked of a pool only while it is open."""
    info = dict(pool.info()) if isinstance(pool, HasInfo) else {}
    pids = _pids(pool)
    return {
        "workers": pool.workers,
        "memory": memory(pids, helpers(pids, strangers)),
        "threads": thread_count(pids),
        "strategy_info": info,
        "environment": {
            **environment(plan.cores),
            "start_method": info.get("start_method"),
            "tracing": tracing(),
        },
    }


def _block_seconds(pair: Pair) -> float:
    return pair.sequential.seconds + math.fsum(r.seconds for r in pair.parallel)


def _pids(pool: Pool) -> Sequence[int]:
    return pool.pids() if isinstance(pool, HasPids) else ()
