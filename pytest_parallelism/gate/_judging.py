"""From the figures of a point to the verdict on a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev

from ..contention import CONTENDED, foreign, others
from ..inference import ALPHA, BETWEEN_RUN, LOOKS, T_FLOOR_SD, variance_inflation
from ..measurement import Interval, Kind, Measurement, Outcome, Verdict
from ..scaling import Summary
from ._claims import TOLERANCE, Gate, side
from ._texts import counted, number, seconds

__all__ = ["QUIET", "REFERENCE", "Quiet", "bound_by_memory", "contended", "gave_less", "judge"]

QUIET = 1.15
"""Sequential rounds that cost more than this many times their CPU time on a quiet machine were slowed by
foreign load in a way that no ratio shows (UNCONTENDED.md, what it cannot see). Work that grows by more when
a quiet machine divides it is bound by what workers share, memory and caches: of what foreign load takes of
those no estimate knows. Measured: 1.2 to 1.5 for a memory-bound workload, 1.1 for one that computes
(benchmarks/results/verdicts.txt)."""

REFERENCE = 0.8
"""A machine whose cores give less than this share of their number to a computation that divides perfectly
is not calm, whatever its run queues say: its host has other guests (MEASURING.md, procedure)."""


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """What rounds cost on a quiet machine, and where that is from, in words."""

    cpu_seconds: float
    """Of a sequential round."""
    growth: float
    """CPU seconds of a parallel round / those of a sequential one."""
    source: str


def judge(
    gate: Gate,
    *,
    measurement: Measurement,
    summary: Summary,
    tracing: str | None,
    gil: bool,
    noun: str,
    quiet: Quiet | None = None,
) -> Verdict:
    """The verdict on one gate of one point.

    Not judged: traced code (``tracing`` names what traces it), and claims that this machine cannot decide
    (`_beyond_machine`). On a calm machine the wall clock decides: passed where the whole interval lies above
    the claim less `TOLERANCE`, failed where it lies below. On a loaded one the uncontended estimate does;
    it is a bound from above, so that a pass needs what `QUIET` says of a ``quiet`` run. Else inconclusive.
    ``noun`` (threads, processes, workers) is for the sentence.
    """
    share = contended(measurement, summary, gil=gil)
    estimated = summary.uncontended.speedup if share is not None else None
    words = _Words(
        gate=gate,
        measurement=measurement,
        found=estimated or summary.speedup,
        gil=gil,
        noun=noun,
        wall=summary.speedup if estimated else None,
        share=share,
    )
    least = gate.least_speedup(measurement.workers)
    where = side(words.found, least)
    reason = f"{tracing} traces the code" if tracing is not None else None
    reason = reason or _beyond_machine(gate, measurement, summary, passed=where > 0)
    if reason is not None:
        return words.verdict(Outcome.NOT_JUDGED, f"is not judged against {words.claim}", f": {reason}")
    if where == 0:
        reason = _more_needed(measurement, words.found, least)
        return words.verdict(Outcome.INCONCLUSIVE, f"cannot be told from {words.claim}", f": {reason}")
    if where > 0:
        doubt = _pass_doubts(measurement, summary, share, quiet)
        if doubt is None:
            return words.verdict(Outcome.PASSED, words.reached(), "")
        return words.verdict(Outcome.INCONCLUSIVE, words.reached(), f", but {doubt}")
    if (doubt := _fail_doubts(measurement, summary, least, share)) is not None:
        return words.verdict(
            Outcome.INCONCLUSIVE, f"is below {words.claim}", f", but {doubt}: no fair verdict"
        )
    limit = f"; tolerance {TOLERANCE * 100:.0f} %: fails below {words.least}"
    return words.verdict(Outcome.FAILED, f"is below {words.claim}", limit)


def contended(measurement: Measurement, summary: Summary, *, gil: bool) -> float | None:
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
        others=others(measurement.pairs),
    )
    return share if share is not None and share > CONTENDED else None


def gave_less(reference: float | None, workers: int, cores: int) -> str | None:
    """That a machine did not give what it has (`REFERENCE`), in words; None where it did, or nobody asked."""
    if reference is None or reference >= REFERENCE * min(workers, cores):
        return None
    return f"this machine gave only {number(reference)} to a computation that divides perfectly"


def bound_by_memory(growth: float, kind: Kind, where: str) -> str | None:
    """That work is bound by more than cores (`QUIET`), in words; None where it is not. ``growth``: as in
    `Quiet`, of the quiet run that ``where`` names."""
    if growth <= QUIET or kind is Kind.IO:  # of work that waits, dispatching alone may double the CPU time
        return None
    return (
        f"the work cost {growth:.2f} times the CPU time in parallel {where}, and what foreign load takes of "
        f"memory and caches may flatter it"
    )


def _pass_doubts(
    measurement: Measurement, summary: Summary, share: float | None, quiet: Quiet | None
) -> str | None:
    """Why an interval above the claim is no pass, in words."""
    dearer = summary.cpu_seconds_sequential / quiet.cpu_seconds if quiet and quiet.cpu_seconds > 0 else None
    if dearer is not None and dearer > QUIET and quiet and (share is not None or _others(measurement)):
        return (
            f"foreign load made the work dearer, {dearer:.2f} times its CPU time {quiet.source}, "
            f"which may flatter the speedup"
        )
    if share is None:
        return None
    if quiet and (doubt := bound_by_memory(quiet.growth, summary.kind, quiet.source)) is not None:
        return doubt
    if summary.uncontended.speedup is None:
        # Foreign processes take more from several workers than from one, but for the memory's bandwidth.
        if measurement.workers <= measurement.usable_cores and (dearer or summary.kind is not Kind.CPU):
            return None
        return f"{_waited(share)}, and {summary.uncontended.reason}"
    if summary.uncontended.bound:
        return f"{summary.uncontended.bound}, and the estimate is a bound from above"
    if dearer is None:
        return "foreign load may flatter it, and no quiet run is known whose CPU time would say"
    return None


def _fail_doubts(measurement: Measurement, summary: Summary, least: float, share: float | None) -> str | None:
    """Why an interval below the claim is no miss, in words."""
    if share is None:
        doubt = gave_less(measurement.reference_speedup, measurement.workers, measurement.usable_cores)
        # The estimate's pairs are those in which the host gave both arms the same.
        estimated = summary.uncontended.speedup
        return None if estimated is not None and side(estimated, least) < 0 else doubt
    if summary.uncontended.speedup is None:
        return f"{_waited(share)}, and {summary.uncontended.reason}"
    if side(summary.speedup, least) > 0:
        return f"by wall clock it is above it, {number(summary.speedup.estimate)}"
    return None


def _others(measurement: Measurement) -> bool:
    """Whether others used so much of the machine that it might tell in the CPU time."""
    return (measurement.foreign_load or 0.0) > CONTENDED


def _waited(share: float) -> str:
    return f"{share * 100:.0f} % of its runnable time went by waiting for a core"


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The parts of a verdict's sentence, in the gate's own metric."""

    gate: Gate
    measurement: Measurement
    found: Interval
    gil: bool
    noun: str
    wall: Interval | None = None
    """By wall clock, where ``found`` is the uncontended estimate."""
    share: float | None = None
    """Contention, where it is too much for the wall clock."""

    @property
    def claim(self) -> str:
        return number(self.gate.claim)

    @property
    def least(self) -> str:
        return number(self.gate.claim * (1 - TOLERANCE))

    def reached(self) -> str:
        if self.gate.of(self.found, self.measurement.workers).estimate >= self.gate.claim:
            return f"reaches {self.claim}"
        return f"is within the tolerance of {TOLERANCE * 100:.0f} % of {self.claim}"

    def verdict(self, outcome: Outcome, what: str, why: str) -> Verdict:
        m, own = self.measurement, self.gate.of(self.found, self.measurement.workers)
        figures = f"{number(own.estimate)} [{number(own.low)}, {number(own.high)}]"
        kind = "uncontended " if self.wall else ""
        cores = "on a cluster of yours" if m.elsewhere else counted(m.usable_cores, "usable cores")
        where = f"{counted(len(m.pairs), 'pairs')}, {cores}"
        if self.wall is not None and self.share is not None:
            clock = number(self.gate.of(self.wall, m.workers).estimate)
            where += f", {self.share * 100:.0f} % contention, {clock} by wall clock"
        return Verdict(
            gate=self.gate.metric,
            outcome=outcome,
            claim=self.gate.claim,
            found=own.estimate,
            sentence=f"{kind}{self.gate.metric} {figures} with {counted(m.workers, self.noun)} {what} "
            f"({where}, GIL {'on' if self.gil else 'off'}){why}",
        )


def _beyond_machine(gate: Gate, measurement: Measurement, summary: Summary, *, passed: bool) -> str | None:
    """Why this machine cannot judge the claim: fewer cores than workers, and CPU work to fill them."""
    workers, cores = measurement.workers, measurement.usable_cores
    if gate.as_speedup(workers) > workers and not passed:
        return f"{workers} workers cannot reach it on any machine, and the worker count is this machine's"
    if workers <= cores or measurement.elsewhere:
        return None
    if summary.kind is Kind.CPU:
        return f"the work is CPU-bound and {workers} workers share {counted(cores, 'usable cores')}"
    # The CPU part of the work alone keeps the cores busy for cpu_share / cores of the sequential time.
    reachable = min(float(workers), cores / summary.cpu_share) if summary.cpu_share > 0 else float(workers)
    claim = gate.as_speedup(workers)
    if passed or claim <= reachable:
        return None
    most = number(gate.claim * reachable / claim)
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
    rounds = math.fsum(pair.seconds for pair in pairs)
    needed_seconds = measurement.elapsed_seconds + rounds / len(pairs) * (look - len(pairs))
    return f"noise, a verdict would need about {seconds(needed_seconds)} ({look} pairs)"


def _pairs_needed(log_ratios: Sequence[float], distance: float) -> float:
    """Pairs whose half-width would be ``distance`` (of the log) at the spread that these have."""
    z = NormalDist().inv_cdf(1 - ALPHA / len(LOOKS))
    room = distance**2 - (z * BETWEEN_RUN) ** 2
    if room <= 0:
        return math.inf
    spread = stdev(log_ratios) if len(log_ratios) > 1 else 0.0
    return (z * max(spread, T_FLOOR_SD)) ** 2 * variance_inflation(log_ratios) / room
