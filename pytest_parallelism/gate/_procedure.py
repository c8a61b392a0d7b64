"""When there are enough pairs, and which interval they give.

A gate is looked at after `inference.LOOKS` pairs and each look takes its part of the miss probability, so
that stopping at the first clear answer keeps the stated confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from ..contention import CONTENDED, foreign, others, reference
from ..inference import ALPHA, LOOKS, ratio_interval
from ..measurement import Interval, Pair, Round
from ..scaling import contention, cpu_share, kind_of
from ..uncontended import CPU_RATIO, Uncontended, cpu_ratio, estimate, traced
from ._claims import Gate, side
from ._judging import gave_less

__all__ = [
    "COMPARED",
    "HALF_WIDTH",
    "LEAST_PAIRS",
    "TRACED",
    "alone",
    "decider",
    "interval",
    "repeater",
    "tracer",
]

HALF_WIDTH = 0.03
"""Half-width, as a part of the estimate, at which a point without a gate is measured well enough."""

COMPARED = 0.025
"""The same for a point that is compared with a stored run, whose interval counts as well. `BETWEEN_RUN`
alone is .023."""

LEAST_PAIRS = 5
"""A point without a gate stops no earlier on its own."""

TRACED = CONTENDED / 2
"""Contention of one pair from which on its point's tasks are noted (see `uncontended`)."""

MISS_SECONDS = 0.5
"""Seconds of rounds in which a miss is seen before it is one, unless the last look comes first: what a host
does to its guests comes in bursts, which the spread of ten short pairs cannot show. Chosen on a false fail of
ten pairs in .28 s, to which the next four gave the lie (benchmarks/results/verdicts.txt)."""

# Each step takes 1.4 times the pairs of the last: on average 20 % more than needed, and few looks.
_UNGATED_LOOKS = frozenset(round(LEAST_PAIRS * 2 ** (step / 2)) for step in range(60))

Pairs = Sequence[Pair]


@dataclass(frozen=True, kw_only=True)
class Where:
    """On what a point runs: its workers, the usable cores, and whether its workers share a GIL."""

    workers: int
    cores: int
    shares_gil: bool = False


def decider(
    gates: Sequence[Gate],
    where: Where,
    *,
    rounds: int | None = None,
    half_width: float | None = None,
) -> Callable[[Pairs], bool]:
    """A function that says, called after each pair with all pairs so far, whether they are enough.

    With ``rounds``: exactly that many pairs. With gates: at each of `LOOKS`, whether every gate is clearly
    kept or missed, by wall clock on a calm machine, by the uncontended estimate on a loaded one; at the last
    look in any case. Without gates: once the interval is as narrow as ``half_width`` (`HALF_WIDTH` where
    nothing is said), looked at after 5, 7, 10, 14, 20 … pairs; with both, when both are content.

    The caller may stop earlier, out of time: `interval` stays true for any number of pairs.
    """
    if rounds is not None:
        return lambda pairs: len(pairs) >= rounds
    if not gates:
        return lambda pairs: _narrow(pairs, half_width or HALF_WIDTH)
    limits = [gate.least_speedup(where.workers) for gate in gates]
    return lambda pairs: (
        len(pairs) >= LOOKS[-1]
        or (
            len(pairs) in LOOKS
            and _clear(limits, pairs, where)
            and (half_width is None or _narrow(pairs, half_width))
        )
    )


def tracer(where: Where) -> Callable[[Pairs], bool]:
    """A function that says whether the last pair was so contended that its point's tasks shall be noted, or
    cost so much more CPU time in parallel that the machine's host may be behind it; so where the machine
    gave less than it has."""
    return lambda pairs: (
        bool(pairs)
        and (
            _waiting(pairs[-1:], where) > TRACED
            or _growth(pairs[-1]) > CPU_RATIO[1]
            # Asked of all pairs only where there is a new answer: points without a gate have thousands.
            or (
                pairs[-1].reference is not None
                and gave_less(reference(pairs), where.workers, where.cores) is not None
            )
        )
    )


def repeater(gates: Sequence[Gate], where: Where) -> Callable[[Pairs], bool]:
    """A function that says whether pairs that are enough shall be measured once more.

    That is where contention kept a gate of the point from a verdict.
    """
    limits = [gate.least_speedup(where.workers) for gate in gates]
    return lambda pairs: (
        bool(limits) and _waiting(pairs, where) > CONTENDED and not _clear(limits, pairs, where)
    )


def interval(pairs: Pairs, *, gated: bool, rounds: int | None = None) -> Interval:
    """The speedup of these pairs, with a confidence of 98 % that holds for the procedure of `decider`.

    Each side may miss with `ALPHA`. Fixed ``rounds`` are one look, which takes all of it. So is a gated
    point that ran out of time before the first look. Once `LOOKS` were begun each of at most five takes a
    fifth (Bonferroni; an end by the clock between two looks stands for the next one). Without a gate the
    decision to stop sees the interval's width and never where it lies: optional stopping then costs
    nothing measurable, and all of `ALPHA` is taken. Simulated and live: benchmarks/interval_coverage.py.

    One pair has a confidence of 0 (see `inference.log_interval`). Raises ValueError for no pairs.
    """
    alpha = _alpha(pairs, gated=gated, rounds=rounds)
    return _stated(ratio_interval([pair.log_ratio for pair in pairs], alpha=alpha))


def alone(pairs: Pairs, *, workers: int, cores: int, gated: bool, rounds: int | None = None) -> Uncontended:
    """The uncontended estimate of these pairs, with the confidence of `interval`."""
    alpha = _alpha(pairs, gated=gated, rounds=rounds)
    found = estimate(pairs, workers=workers, cores=cores, alpha=alpha)
    return found if found.speedup is None else replace(found, speedup=_stated(found.speedup))


def _alpha(pairs: Pairs, *, gated: bool, rounds: int | None) -> float:
    return ALPHA / len(LOOKS) if gated and rounds is None and len(pairs) >= LOOKS[0] else ALPHA


def _stated(found: Interval) -> Interval:
    return replace(found, confidence=1 - 2 * ALPHA if found.confidence else 0.0)


def _clear(limits: Sequence[float], pairs: Pairs, where: Where) -> bool:
    """Whether these pairs decide every gate."""
    found, busy = interval(pairs, gated=True), _waiting(pairs, where) > CONTENDED
    sides = [side(found, limit) for limit in limits]
    if min(sides) < 0 and len(pairs) < LOOKS[-1] and math.fsum(p.seconds for p in pairs) < MISS_SECONDS:
        return False
    if not busy and (not all(sides) or min(sides) > 0 or not _doubtful(pairs, where)):
        return all(sides)
    estimated = alone(pairs, workers=where.workers, cores=where.cores, gated=True).speedup
    if estimated is None:  # then a claim that is kept all the same is all that is clear
        return where.workers <= where.cores and min(sides) > 0
    if busy:
        return all(side(estimated, limit) for limit in limits)
    # The host may be behind these misses, but for those that the estimate shows, too.
    return all(
        by_wall > 0 or side(estimated, limit) < 0 for limit, by_wall in zip(limits, sides, strict=True)
    )


def _doubtful(pairs: Pairs, where: Where) -> bool:
    """Whether the machine gave less than it has, or tasks mostly cost more CPU time in parallel, as far as
    they were noted."""
    if gave_less(reference(pairs), where.workers, where.cores) is not None:
        return True
    ratios = [cpu_ratio(pair) for pair in pairs if traced(pair)]
    return bool(ratios) and median(ratios) > CPU_RATIO[1]


def _growth(pair: Pair) -> float:
    """CPU seconds of its rounds, parallel / sequential; 0 where the clock is too coarse for one."""
    sequential = pair.sequential.usage.cpu_seconds
    return fmean(r.usage.cpu_seconds for r in pair.parallel) / sequential if sequential > 0 else 0.0


def _waiting(pairs: Pairs, where: Where) -> float:
    """Contention that others caused, by the rule that `judge` uses; 0 where it is unknown."""
    sequential = [pair.sequential for pair in pairs]
    found = foreign(
        kind=kind_of(cpu_share(sequential)),
        sequential=_arm(sequential),
        parallel=_arm([r for pair in pairs for r in pair.parallel]),
        workers=where.workers,
        cores=where.cores,
        shares_gil=where.shares_gil,
        others=others(pairs),
    )
    return found or 0.0


def _arm(rounds: Sequence[Round]) -> tuple[float | None, float, float]:
    return (
        contention(rounds),
        median(r.usage.cpu_seconds for r in rounds),
        median(r.seconds for r in rounds),
    )


def _narrow(pairs: Pairs, half_width: float) -> bool:
    if len(pairs) not in _UNGATED_LOOKS:
        return False
    found = interval(pairs, gated=False)
    return (found.high - found.low) / 2 <= half_width * found.estimate
