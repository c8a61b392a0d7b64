"""Gates and verdicts: when there are enough pairs, which interval they give, and what it says of a claim.

A gate is looked at after `inference.LOOKS` pairs and each look takes its part of the miss probability, so
that stopping at the first clear answer keeps the stated confidence. Everything here is a function of the
rounds: who measures them, and for how long, is the caller's affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import NormalDist, stdev
from typing import Literal

from .contention import CONTENDED, foreign
from .errors import UsageError
from .inference import ALPHA, BETWEEN_RUN, LOOKS, T_FLOOR_SD, ratio_interval, variance_inflation
from .measurement import Interval, Kind, Measurement, Outcome, Pair, Verdict
from .scaling import Summary, contention, divided

__all__ = [
    "HALF_WIDTH",
    "LEAST_PAIRS",
    "TOLERANCE",
    "Gate",
    "Metric",
    "decider",
    "interval",
    "judge",
    "judge_any",
]

TOLERANCE = 0.05
"""A gate fails below ``claim * (1 - TOLERANCE)``: 40 pairs cannot see a loss of 5 % (MEASURING.md)."""

HALF_WIDTH = 0.03
"""Half-width, as a part of the estimate, at which a point without a gate is measured well enough."""

LEAST_PAIRS = 5
"""A point without a gate stops no earlier on its own."""

Metric = Literal["speedup", "efficiency"]

# Each step takes 1.4 times the pairs of the last: on average 20 % more than needed, and few looks.
_UNGATED_LOOKS = frozenset(round(LEAST_PAIRS * 2 ** (step / 2)) for step in range(60))


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A claim about a point: ``metric`` is at least ``claim``.

    ``require``: every strategy must keep it (``all``), or one of them (``any``, see `judge_any`).
    Raises UsageError for another word, or a claim that is not a positive finite number.
    """

    metric: Metric = "speedup"
    claim: float
    require: Literal["all", "any"] = "all"

    def __post_init__(self) -> None:
        if self.metric not in ("speedup", "efficiency"):
            raise UsageError(f"a gate is on 'speedup' or 'efficiency'; found {self.metric!r}")
        if self.require not in ("all", "any"):
            raise UsageError(f"a gate's require is 'all' or 'any'; found {self.require!r}")
        if not (math.isfinite(self.claim) and self.claim > 0):
            raise UsageError(f"a gate's claim is a positive number such as 1.5; found {self.claim!r}")

    def least_speedup(self, workers: int) -> float:
        """The speedup below which the gate fails: the claim less the tolerance."""
        return self.as_speedup(workers) * (1 - TOLERANCE)

    def of(self, speedup: Interval, workers: int) -> Interval:
        """A speedup in the gate's own metric."""
        return divided(speedup, workers if self.metric == "efficiency" else 1)

    def as_speedup(self, workers: int) -> float:
        """The claim as a speedup: efficiency is speedup / workers."""
        return self.claim * (workers if self.metric == "efficiency" else 1)


def decider(
    gates: Sequence[Gate], *, workers: int, rounds: int | None = None
) -> Callable[[Sequence[Pair]], bool]:
    """A function that says, called after each pair with all pairs so far, whether they are enough.

    With ``rounds``: exactly that many pairs. With gates: at each of `LOOKS`, whether every gate is clearly
    kept or missed; at the last look in any case. A miss under contention is not clear (`judge` will not
    fail it), and the machine may yet calm down. Without gates: once the interval is as narrow as
    `HALF_WIDTH`, looked at after 5, 7, 10, 14, 20 … pairs.

    The caller may stop earlier, out of time: `interval` stays true for any number of pairs.
    """
    if rounds is not None:
        return lambda pairs: len(pairs) >= rounds
    if gates:
        return lambda pairs: _all_clear(gates, workers, pairs)
    return _narrow


def interval(pairs: Sequence[Pair], *, gated: bool, rounds: int | None = None) -> Interval:
    """The speedup of these pairs, with a confidence of 98 % that holds for the procedure of `decider`.

    Each side may miss with `ALPHA`. Fixed ``rounds`` are one look, which takes all of it. So is a gated
    point that ran out of time before the first look. Once `LOOKS` were begun each of at most five takes a
    fifth (Bonferroni; an end by the clock between two looks stands for the next one). Without a gate the
    decision to stop sees the interval's width and never where it lies: optional stopping then costs
    nothing measurable, and all of `ALPHA` is taken. Simulated and live: benchmarks/interval_coverage.py.

    One pair has a confidence of 0 (see `inference.log_interval`). Raises ValueError for no pairs.
    """
    looks = len(LOOKS) if gated and rounds is None and len(pairs) >= LOOKS[0] else 1
    found = ratio_interval([pair.log_ratio for pair in pairs], alpha=ALPHA / looks)
    return Interval(
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        confidence=1 - 2 * ALPHA if found.confidence else 0.0,
    )


def judge(
    gate: Gate, *, measurement: Measurement, summary: Summary, tracing: str | None, gil: bool, noun: str
) -> Verdict:
    """The verdict on one gate of one point.

    Not judged: traced code (``tracing`` names what traces it), and claims that this machine cannot decide
    (`_beyond_machine`). Passed: the whole interval lies above the claim less `TOLERANCE`. Failed: the whole
    interval lies below it, on a machine without contention. Else inconclusive.
    ``noun`` (threads, processes, workers) is for the sentence.
    """
    words = _Words(gate=gate, measurement=measurement, found=summary.speedup, gil=gil, noun=noun)
    least = gate.least_speedup(measurement.workers)
    side = _side(summary.speedup, least)
    if tracing is not None:
        return words.verdict(
            Outcome.NOT_JUDGED, f"is not judged against {words.claim}", f": {tracing} traces the code"
        )
    if (reason := _beyond_machine(gate, measurement, summary, passed=side > 0)) is not None:
        return words.verdict(Outcome.NOT_JUDGED, f"is not judged against {words.claim}", f": {reason}")
    if side > 0:
        return words.verdict(Outcome.PASSED, words.reached(), "")
    if side == 0:
        reason = _more_needed(measurement, summary.speedup, least)
        return words.verdict(Outcome.INCONCLUSIVE, f"cannot be told from {words.claim}", f": {reason}")
    share = _contended(measurement, summary, gil=gil)
    if share is not None:
        reason = f", but {share * 100:.0f} % of its runnable time went by waiting for a core: no fair verdict"
        return words.verdict(Outcome.INCONCLUSIVE, f"is below {words.claim}", reason)
    limit = f"; tolerance {TOLERANCE * 100:.0f} %: fails below {words.least}"
    return words.verdict(Outcome.FAILED, f"is below {words.claim}", limit)


def judge_any(members: Sequence[tuple[str, Verdict]]) -> Verdict:
    """The verdict on a family of points of which one must keep the claim; ``members`` are (name, verdict).

    Passed if one passed, failed if all failed, inconclusive if one of the others may yet pass, else not
    judged. Raises ValueError for an empty family.
    """
    if not members:
        raise ValueError('a family of require="any" needs one member or more')
    outcomes = [verdict.outcome for _, verdict in members]
    outcome = next(
        (o for o in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED) if o in outcomes),
        Outcome.FAILED,
    )
    first = members[0][1]
    claim = f"{first.gate} {_number(first.claim)}"
    sentence = {
        Outcome.PASSED: f"{claim} is reached by one strategy or more",
        Outcome.FAILED: f"no strategy reaches {claim}",
        Outcome.INCONCLUSIVE: f"whether a strategy reaches {claim} is open",
        Outcome.NOT_JUDGED: f"whether a strategy reaches {claim} cannot be judged here",
    }[outcome]
    listed = ", ".join(_member(name, verdict) for name, verdict in members)
    found = max((v.found for _, v in members if v.found is not None), default=None)
    return Verdict(
        gate=first.gate, outcome=outcome, claim=first.claim, found=found, sentence=f"{sentence}: {listed}"
    )


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The parts of a verdict's sentence, in the gate's own metric."""

    gate: Gate
    measurement: Measurement
    found: Interval
    gil: bool
    noun: str

    @property
    def claim(self) -> str:
        return _number(self.gate.claim)

    @property
    def least(self) -> str:
        return _number(self.gate.claim * (1 - TOLERANCE))

    def reached(self) -> str:
        if self.gate.of(self.found, self.measurement.workers).estimate >= self.gate.claim:
            return f"reaches {self.claim}"
        return f"is within the tolerance of {TOLERANCE * 100:.0f} % of {self.claim}"

    def verdict(self, outcome: Outcome, what: str, why: str) -> Verdict:
        m, own = self.measurement, self.gate.of(self.found, self.measurement.workers)
        figures = f"{_number(own.estimate)} [{_number(own.low)}, {_number(own.high)}]"
        where = f"{_counted(len(m.pairs), 'pairs')}, {_counted(m.usable_cores, 'usable cores')}"
        return Verdict(
            gate=self.gate.metric,
            outcome=outcome,
            claim=self.gate.claim,
            found=own.estimate,
            sentence=f"{self.gate.metric} {figures} with {_counted(m.workers, self.noun)} {what} "
            f"({where}, GIL {'on' if self.gil else 'off'}){why}",
        )


def _all_clear(gates: Sequence[Gate], workers: int, pairs: Sequence[Pair]) -> bool:
    if len(pairs) >= LOOKS[-1]:
        return True
    if len(pairs) not in LOOKS:
        return False
    found = interval(pairs, gated=True)
    sides = [_side(found, gate.least_speedup(workers)) for gate in gates]
    if 0 in sides:
        return False
    return all(side > 0 for side in sides) or not _busy(pairs)


def _narrow(pairs: Sequence[Pair]) -> bool:
    if len(pairs) not in _UNGATED_LOOKS:
        return False
    found = interval(pairs, gated=False)
    return (found.high - found.low) / 2 <= HALF_WIDTH * found.estimate


def _side(found: Interval, least: float) -> int:
    """1 where the interval lies above the limit, -1 below, 0 where it cannot tell."""
    if not found.confidence:
        return 0
    return (found.low > least) - (found.high < least)


def _busy(pairs: Sequence[Pair]) -> bool:
    sequential = contention([pair.sequential for pair in pairs])
    parallel = contention(list(chain.from_iterable(pair.parallel for pair in pairs)))
    return max(sequential or 0.0, parallel or 0.0) > CONTENDED


def _contended(measurement: Measurement, summary: Summary, *, gil: bool) -> float | None:
    """The contention that others caused where it is too much for a verdict, as far as it is known."""
    share = foreign(
        kind=summary.kind,
        sequential=(
            summary.contention_sequential,
            summary.cpu_seconds_sequential,
            summary.sequential_seconds,
        ),
        parallel=(summary.contention_parallel, summary.cpu_seconds, summary.parallel_seconds),
        workers=measurement.workers,
        cores=measurement.usable_cores,
        shares_gil=gil and measurement.isolation in ("none", "thread"),
    )
    return share if share is not None and share > CONTENDED else None


def _beyond_machine(gate: Gate, measurement: Measurement, summary: Summary, *, passed: bool) -> str | None:
    """Why this machine cannot judge the claim: fewer cores than workers, and CPU work to fill them."""
    workers, cores = measurement.workers, measurement.usable_cores
    if gate.as_speedup(workers) > workers and not passed:
        return f"{workers} workers cannot reach it on any machine, and the worker count is this machine's"
    if workers <= cores:
        return None
    if summary.kind is Kind.CPU:
        return f"the work is CPU-bound and {workers} workers share {_counted(cores, 'usable cores')}"
    # The CPU part of the work alone keeps the cores busy for cpu_share / cores of the sequential time.
    reachable = min(float(workers), cores / summary.cpu_share) if summary.cpu_share > 0 else float(workers)
    claim = gate.as_speedup(workers)
    if passed or claim <= reachable:
        return None
    most = _number(gate.claim * reachable / claim)
    return f"its CPU share of {summary.cpu_share * 100:.0f} % allows at most {most} here"


def _more_needed(measurement: Measurement, found: Interval, least: float) -> str:
    """What a verdict would need, in words: seconds for the point, or why no time would do."""
    pairs, most = measurement.pairs, LOOKS[-1]
    if len(pairs) >= most:
        return f"noise, {len(pairs)} pairs cannot tell"
    needed = _pairs_needed([pair.log_ratio for pair in pairs], abs(math.log(found.estimate / least)))
    look = next((n for n in LOOKS if n >= max(needed, len(pairs) + 1)), None)
    if look is None:
        return f"noise, even {most} pairs would not tell"
    rounds = math.fsum(p.sequential.seconds + math.fsum(r.seconds for r in p.parallel) for p in pairs)
    seconds = measurement.elapsed_seconds + rounds / len(pairs) * (look - len(pairs))
    return f"noise, a verdict would need about {_seconds(seconds)} ({look} pairs)"


def _pairs_needed(log_ratios: Sequence[float], distance: float) -> float:
    """Pairs whose half-width would be ``distance`` (of the log) at the spread that these have."""
    z = NormalDist().inv_cdf(1 - ALPHA / len(LOOKS))
    room = distance**2 - (z * BETWEEN_RUN) ** 2
    if room <= 0:
        return math.inf
    spread = stdev(log_ratios) if len(log_ratios) > 1 else 0.0
    return (z * max(spread, T_FLOOR_SD)) ** 2 * variance_inflation(log_ratios) / room


def _member(name: str, verdict: Verdict) -> str:
    figure = "" if verdict.found is None else f" {_number(verdict.found)}"
    return f"{name}{figure} {verdict.outcome.value}"


def _counted(count: int, plural: str) -> str:
    singular = plural.removesuffix("es") if plural.endswith("sses") else plural.removesuffix("s")
    return f"{count} {singular if count == 1 else plural}"


def _number(value: float) -> str:
    """Two decimals, half up: 1.50 less 5 % is 1.43, though the float product is 1.42499…; small ones more."""
    return f"{value * (1 + 1e-12):.2f}" if value >= 0.1 else f"{value:.2g}"


def _seconds(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds > 1 else "1 s"
