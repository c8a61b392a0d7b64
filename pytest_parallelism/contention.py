"""When the waiting of a point's rounds for a core is the machine's doing, and spoils a verdict. A leaf.

`Summary.contention_…` are shares of runnable time. Whether they mean anything for the speedup depends on
what the rounds did besides: this module holds that rule, for gates and for reports alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .measurement import Kind, Pair

__all__ = ["CONTENDED", "HANDED_OVER", "TICK", "foreign", "others", "reference"]

CONTENDED = 0.10
"""Contention above which a miss is the machine's and not the strategy's (MEASURING.md, procedure)."""

HANDED_OVER = 0.25
"""The same for parallel rounds of threads that share a GIL: a woken thread awaits it in the run queue, too.

Measured: two such threads waited 5 to 13 % of their runnable time on two cores with under 3 % foreign load
(25 rounds of 170 ms). By arithmetic: two threads that release the GIL wait a third of it when one foreign
process halves one of two cores."""


TICK = 0.01
"""Seconds by which the counters of a core's time may be late: they count in ticks (proc(5))."""


def foreign(
    *,
    kind: Kind,
    sequential: tuple[float | None, float, float],
    parallel: tuple[float | None, float, float],
    workers: int,
    cores: int,
    shares_gil: bool,
    others: tuple[float, float] | None,
) -> float | None:
    """The contention of a point that others caused: the larger of its arms; None where it is unknown.

    An arm is (contention, CPU seconds of a round, wall seconds of a round). CPU-bound arms count with their
    contention as it is. Others lose by waiting only what it is of their workers' wall time: four
    milliseconds in the run queue matter to a task of eight, not to one that then sleeps for two hundred.
    More workers than cores stand in each other's way, so there only the sequential rounds tell, and so
    where threads that share a GIL (``shares_gil``) wait no more than `HANDED_OVER`.

    ``others``: (cores that others used meanwhile, seconds for which that was watched), None where unknown.
    They bound what is theirs: while a foreign process computes it keeps all workers waiting at most. Beyond
    that workers waited for each other, as where the scheduler wakes two of them on one core. Measured beside
    nobody: 10 to 20 % of the runnable time of two workers that begin while the test's process computes.
    """
    most = None if others is None else max(0.0, others[0] + cores * TICK / others[1])
    shares = [_share(kind, *sequential, workers=1, most=most)]
    hands_over = shares_gil and (parallel[0] or 0.0) <= HANDED_OVER
    if workers <= cores and not hands_over:
        shares.append(_share(kind, *parallel, workers=workers, most=most))
    return max((share for share in shares if share is not None), default=None)


def others(pairs: Sequence[Pair]) -> tuple[float, float] | None:
    """(cores that others used on average, seconds that this is of) during these pairs; None where unknown."""
    used = watched = since = 0.0
    for pair in pairs:
        since += pair.seconds
        if pair.foreign is not None:
            used, watched, since = used + pair.foreign * since, watched + since, 0.0
    return (used / watched, watched) if watched else None


def reference(pairs: Sequence[Pair]) -> float | None:
    """The speedup that the machine gave meanwhile to a computation that divides perfectly (the median);
    None where nobody asked."""
    found = [pair.reference for pair in pairs if pair.reference is not None]
    return median(found) if found else None


def _share(
    kind: Kind,
    contention: float | None,
    cpu_seconds: float,
    seconds: float,
    *,
    workers: int,
    most: float | None,
) -> float | None:
    if contention is None or contention >= 1:
        return contention
    delay = cpu_seconds * contention / (1 - contention)
    if most is not None and delay > (theirs := most * seconds * workers):
        delay, contention = theirs, theirs / (cpu_seconds + theirs)
    return contention if kind is Kind.CPU else min(contention, delay / (seconds * workers))
