"""Whether a point has become worse than in a stored run: a ratio of ratios, with both uncertainties.

Times of different runs cannot be compared on shared machines: of 1,190 pairs of identical sessions 41 %
differed by more than 10 % (MEASURING.md). Speedups can, since each is itself the ratio of rounds that were
run side by side. Everything here is a function of records: who stored them, and where, is the caller's
affair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

from .gate import QUIET, bound_by_memory, gave_less
from .inference import ALPHA, BETWEEN_RUN, t_quantile
from .measurement import Interval, Kind, Outcome, Verdict
from .record import Record
from .scaling import divided
from .settings import Limit, Metric
from .uncontended import CPU_RATIO

__all__ = [
    "ABSOLUTE_SD",
    "ENOUGH_RUNS",
    "MEMORY_SD",
    "between_runs",
    "change",
    "compare",
    "condition",
    "differing",
    "fair",
    "incomparable",
]

ABSOLUTE_SD = 0.10
"""SD of the log of a time between runs of one kind of machine, where no stored runs say it: the spread of
quiet CI machines that MEASURING.md's simulation takes."""

MEMORY_SD = 0.02
"""SD of the log of a memory peak between runs, where no stored runs say it."""

ENOUGH_RUNS = 5
"""Stored runs from which on the spread between runs is estimated from them."""

_RATIOS = ("speedup", "efficiency")
_SAME = ("cpu_model", "python", "gil")
_WORDS = {"cpu_model": "CPU", "python": "Python", "gil": "GIL"}


def differing(now: Record, then: Record) -> str | None:
    """What of the two records' surroundings makes them incomparable, in words; None where nothing does.

    CPU model, usable cores, Python (its minor version), GIL, and the version of the strategy's library.
    """
    if now.strategy_version != then.strategy_version:
        return f"{now.strategy} was {then.strategy_version} and is {now.strategy_version}"
    if now.workers != then.workers:
        return f"workers were {then.workers} and are {now.workers}"
    if now.usable_cores != then.usable_cores:
        return f"usable cores were {then.usable_cores} and are {now.usable_cores}"
    for key in _SAME:
        was, is_now = _alike(then, key), _alike(now, key)
        if was != is_now:
            return f"{_WORDS[key]} was {was} and is {is_now}"
    return None


def condition(record: Record, key: str) -> str:
    """What the record's environment says of ``key``, in words: ``on``, ``off``, ``unknown``, or the value."""
    value = record.environment.get(key)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unknown" if value is None else str(value)


def fair(record: Record) -> Interval:
    """The speedup that counts: by wall clock, or the uncontended estimate of a loaded machine."""
    return (record.contention.contended and record.uncontended_speedup) or record.speedup


def incomparable(metric: Metric, *, now: Record, then: Record, name: str) -> str | None:
    """Why now / then of that metric tells nothing of the code, in words; None where it does.

    Other surroundings (`differing`), no figure, a single pair, a tracer, and other load that no estimate
    makes up for. ``name``: what ``then`` is called.
    """
    reason = differing(now, then) or _unusable(metric, now, then, name)
    estimated = metric in _RATIOS and now.uncontended_speedup is not None
    if reason is None and metric != "memory" and now.contention.contended and not estimated:
        return "the machine was busy with other things during this run"
    return reason


def change(metric: Metric, now: Record, then: Record) -> Interval | None:
    """now / then of a metric with limits of 98 %, None where one of them does not have it.

    Of records that are `incomparable` it says as much as those differ.
    """
    if _value(metric, now) is None or _value(metric, then) is None:
        return None
    return _change(metric, now, then, None)


def between_runs(metric: Metric, stored: Sequence[Record]) -> float | None:
    """SD of the metric's log between runs, from comparable records of one point; None for too few.

    What the rounds of each run explain is taken off (the variance between groups in a one-way layout), so
    that it is not counted twice.
    """
    found = [
        (value, _standard_error(metric, record)) for record in stored if (value := _value(metric, record))
    ]
    if len(found) < ENOUGH_RUNS:
        return None
    logs = [math.log(value) for value, _ in found]
    inside = fmean(error**2 for _, error in found)
    # Limits take it for known, and it is from few runs: Student's t instead of the normal quantile.
    widened = t_quantile(1 - ALPHA, len(logs) - 1) / NormalDist().inv_cdf(1 - ALPHA)
    return widened * math.sqrt(max(0.0, variance(logs) - inside))


def compare(
    limit: Limit,
    *,
    now: Record,
    then: Record,
    name: str,
    stored: Sequence[Record] = (),
    contended: float | None = None,
    anyway: bool = False,
) -> Verdict:
    """The verdict on one metric of one point against a stored run that is called ``name``.

    Failed: the whole interval of now / then lies beyond the limit, and the parallel rounds did not become
    faster (then it is the baseline that did). Passed: the whole interval lies on its good side. Not judged:
    other surroundings (`differing`), unless ``anyway``; and what either record does not have.
    ``stored``: comparable records of this point, from which the spread between runs is estimated.
    ``contended``: the share of time that others took now, where that is too much for a verdict.

    The interval is MOVER's for a difference of logs (Zou and Donner, Statistics in Medicine 27 (2008)
    1693-1702): each side keeps its own, maybe uneven, limits.
    """
    words = _Words(limit=limit, name=name)
    reason = None if anyway else differing(now, then)
    reason = reason or _unusable(limit.metric, now, then, name)
    if reason is not None:
        return words.verdict(Outcome.NOT_JUDGED, None, f"is not compared with {name}: {reason}")
    spread = between_runs(limit.metric, stored)
    found = _change(limit.metric, now, then, spread)
    sign = -1 if limit.metric == "memory" else 1  # for memory, more is worse
    low, high = sorted((sign * math.log(found.low), sign * math.log(found.high)))
    least = math.log(1 - limit.loss) if sign > 0 else -math.log(1 + limit.loss)
    ratios = limit.metric in _RATIOS
    if low > least and ratios and contended is not None and (doubt := _pass_doubt(now, then)) is not None:
        return words.verdict(Outcome.INCONCLUSIVE, found, f"against {name}, but {doubt}")
    if low > least:
        return words.verdict(Outcome.PASSED, found, f"against {name}")
    if high >= least:
        return words.verdict(Outcome.INCONCLUSIVE, found, f"against {name}: noise, it cannot be told")
    if ratios and now.parallel_seconds < then.parallel_seconds:
        faster = "the parallel rounds became faster, and the sequential ones more so"
        return words.verdict(Outcome.PASSED, found, f"against {name}: {faster}")
    if (doubt := _miss_doubt(limit, now, then, contended)) is not None:
        return words.verdict(Outcome.INCONCLUSIVE, found, f"against {name}, but {doubt}")
    return words.verdict(Outcome.FAILED, found, f"is worse than in {name}")


@dataclass(frozen=True, kw_only=True)
class _Words:
    limit: Limit
    name: str

    def verdict(self, outcome: Outcome, change: Interval | None, what: str) -> Verdict:
        metric, loss = self.limit.metric, self.limit.loss
        figures = (
            f" {_percent(change.estimate)} [{_percent(change.low)}, {_percent(change.high)}]"
            if change
            else ""
        )
        allowed = f"; allowed is {'+' if metric == 'memory' else '-'}{loss * 100:g} %"
        return Verdict(
            gate=metric,
            outcome=outcome,
            claim=1 + loss if metric == "memory" else 1 - loss,
            found=None if change is None else change.estimate,
            against=self.name,
            sentence=f"{metric}{figures} {what}{allowed if outcome is Outcome.FAILED else ''}",
        )


def _unusable(metric: Metric, now: Record, then: Record, name: str) -> str | None:
    """Why one of the two cannot be compared at all, in words."""
    unfit = _unfit("this run", now, metric) or _unfit(name, then, metric)
    return unfit or _spoilt(name, then, metric)


def _unfit(which: str, record: Record, metric: Metric) -> str | None:
    """Why that side cannot be compared, in words."""
    if _value(metric, record) is None:
        return f"{which} has no {metric}"
    if metric in _RATIOS and not fair(record).confidence:
        return f"{which} has a single pair, which proves nothing"
    return f"{which} was traced by {record.tracing}" if record.tracing else None


def _pass_doubt(now: Record, then: Record) -> str | None:
    """Why a speedup that was kept on a loaded machine is no pass, in words."""
    dearer = now.cpu.sequential_seconds / then.cpu.sequential_seconds if then.cpu.sequential_seconds else 1.0
    if dearer > QUIET:
        return f"foreign load made the work {dearer:.2f} times as dear, which may flatter it"
    return bound_by_memory(then.cpu.growth, then.kind, "there")


def _miss_doubt(limit: Limit, now: Record, then: Record, contended: float | None) -> str | None:
    """Why a loss beyond the limit is no miss, in words."""
    ratios = limit.metric in _RATIOS
    if ratios and now.parallel_seconds < then.parallel_seconds * (1 + limit.loss / 2):
        return "the parallel rounds are hardly slower: it may be the sequential ones that became faster"
    if ratios and _slowed(now, then):
        return f"sequential rounds cost {1 / then.cpu.growth:.2f} times the CPU time of parallel ones there"
    if contended is not None and not (ratios and now.uncontended_speedup):
        return f"{contended * 100:.0f} % of its runnable time went by waiting for a core: no fair verdict"
    if limit.metric != "memory" and not now.contention.contended:
        gave = gave_less(now.contention.reference_speedup, now.workers, now.usable_cores)
        return None if gave is None else f"{gave}: no fair verdict"
    return None


def _slowed(now: Record, then: Record) -> bool:
    """Whether the host slowed the sequential rounds then, which flatters their speedup: divided work costs
    no less CPU time, as far as all of it is counted, and where it does (a large heap makes collections in
    the parent dearer), it does so now as well."""
    counted = then.kind is Kind.CPU and "address" not in then.strategy_info
    return counted and 0 < then.cpu.growth < CPU_RATIO[0] * min(1.0, now.cpu.growth)


def _change(metric: Metric, now: Record, then: Record, spread: float | None) -> Interval:
    """now / then with limits of 98 %, by MOVER on the logs."""
    mine, theirs = _limits(metric, now, spread), _limits(metric, then, spread)
    estimate = mine[1] - theirs[1]
    low = estimate - math.hypot(mine[1] - mine[0], theirs[2] - theirs[1])
    high = estimate + math.hypot(mine[2] - mine[1], theirs[1] - theirs[0])
    return Interval(
        estimate=math.exp(estimate), low=math.exp(low), high=math.exp(high), confidence=1 - 2 * ALPHA
    )


def _limits(metric: Metric, record: Record, spread: float | None) -> tuple[float, float, float]:
    """Low limit, estimate and high limit of the log."""
    z = NormalDist().inv_cdf(1 - ALPHA)
    own = _interval(metric, record)
    if own is None:
        value = math.log(_value(metric, record) or 1.0)
        usual = MEMORY_SD if metric == "memory" else ABSOLUTE_SD
        half = z * max(usual / 4 if spread is not None else usual, spread or 0.0)
        return value - half, value, value + half
    # Its limits hold `BETWEEN_RUN` already.
    more = z * math.sqrt(max(0.0, (spread or 0.0) ** 2 - BETWEEN_RUN**2))
    value = math.log(own.estimate)
    return (
        value - math.hypot(value - math.log(own.low), more),
        value,
        value + math.hypot(math.log(own.high) - value, more),
    )


def _interval(metric: Metric, record: Record) -> Interval | None:
    """The metric's own interval, where the record has one with a confidence."""
    found = fair(record)
    if metric not in _RATIOS or found.low <= 0:
        return None
    return divided(found, record.workers) if metric == "efficiency" else found


def _spoilt(name: str, record: Record, metric: Metric) -> str | None:
    """Why a stored run is none to compare with, in words."""
    # Its uncontended estimate is a bound from above: nothing may fail for lying below it.
    if metric == "memory" or not record.contention.contended:
        return None
    return f"the machine was busy with other things during {name}"


def _value(metric: Metric, record: Record) -> float | None:
    if metric == "speedup":
        return fair(record).estimate
    if metric == "efficiency":
        return fair(record).estimate / record.workers
    if metric == "memory":
        return float(record.memory.peak_bytes) if record.memory.peak_bytes else None
    # Rounds a second, where the workload has no items.
    return record.throughput.items_per_second or 1 / record.parallel_seconds


def _standard_error(metric: Metric, record: Record) -> float:
    own = _interval(metric, record)
    if own is None:
        return 0.0
    half = (math.log(own.high) - math.log(own.low)) / 2 / NormalDist().inv_cdf(1 - ALPHA)
    return math.sqrt(max(0.0, half**2 - BETWEEN_RUN**2))


def _alike(record: Record, key: str) -> str:
    """The condition as far as it has to be the same: of Python the minor version."""
    told = condition(record, key)
    return ".".join(told.split(".")[:2]) if key == "python" else told


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"
