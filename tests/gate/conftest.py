"""Points made by hand, and the verdicts on them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from pytest_parallelism.gate import Gate, Quiet, Where, interval, judge
from pytest_parallelism.measurement import Interval, Measurement, Pair, Round, Usage, Verdict
from pytest_parallelism.scaling import summarize
from pytest_parallelism.uncontended import Uncontended

TWO = Where(workers=2, cores=2)


def pair(
    speedup: float, *, cpu: float = 1.0, waited: float | None = 0.0, parallel: float | None = None
) -> Pair:
    """One pair: ``cpu`` is CPU / wall, ``waited`` and ``parallel`` the contention of its two arms."""
    return Pair(
        sequential=a_round(speedup * 0.1, cpu, waited),
        parallel=(a_round(0.1, cpu, waited if parallel is None else parallel),),
    )


def a_round(seconds: float, cpu: float, contention: float | None) -> Round:
    delay = None if contention is None else seconds * cpu * contention / (1 - contention)
    return Round(seconds=seconds, usage=Usage(cpu_seconds=seconds * cpu, delay_seconds=delay))


def spread(speedup: float, count: int, sd: float = 0.02, **how: Any) -> tuple[Pair, ...]:
    """Pairs about a speedup whose log ratios are symmetric, with that SD or nearly so, in a mixed order."""
    steps = (
        np.random.default_rng(count).permutation(np.linspace(-1.7, 1.7, count)) if count > 1 else np.zeros(1)
    )
    return tuple(pair(speedup * math.exp(sd * step), **how) for step in steps)


def measured(pairs: tuple[Pair, ...], **changes: Any) -> Measurement:
    base = Measurement(
        strategy="threads",
        strategy_version="3.11",
        workers=2,
        workers_requested=2,
        isolation="thread",
        pairs=pairs,
        first_sequential_seconds=0.2,
        open_seconds=0.1,
        close_seconds=0.1,
        elapsed_seconds=2.0,
        workload_seconds=2.0,
        usable_cores=2,
        result="equal",
    )
    return replace(base, **changes)


def judged(
    gate: Gate,
    pairs: tuple[Pair, ...],
    *,
    found: Interval | None = None,
    tracing: str | None = None,
    gil: bool = True,
    noun: str = "threads",
    alone: Uncontended | None = None,
    quiet: Quiet | None = None,
    **changes: Any,
) -> Verdict:
    measurement = measured(pairs, **changes)
    summary = summarize(measurement, found or interval(pairs, gated=True), alone)
    return judge(
        gate, measurement=measurement, summary=summary, tracing=tracing, gil=gil, noun=noun, quiet=quiet
    )


def exactly(estimate: float, low: float, high: float) -> Interval:
    return Interval(estimate=estimate, low=low, high=high, confidence=0.98)
