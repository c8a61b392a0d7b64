"""When the waiting of a point's rounds for a core is the machine's doing, and spoils a verdict. A leaf.

`Summary.contention_…` are shares of runnable time. Whether they mean anything for the speedup depends on
what the rounds did besides: this module holds that rule, for gates and for reports alike.
"""

from __future__ import annotations

from .measurement import Kind

__all__ = ["CONTENDED", "HANDED_OVER", "foreign"]

CONTENDED = 0.10
"""Contention above which a miss is the machine's and not the strategy's (MEASURING.md, procedure)."""

HANDED_OVER = 0.25
"""The same for parallel rounds of threads that share a GIL: a woken thread awaits it in the run queue, too.

Measured: two such threads waited 5 to 13 % of their runnable time on two cores with under 3 % foreign load
(25 rounds of 170 ms). By arithmetic: two threads that release the GIL wait a third of it when one foreign
process halves one of two cores."""


def foreign(
    *,
    kind: Kind,
    sequential: tuple[float | None, float, float],
    parallel: tuple[float | None, float, float],
    workers: int,
    cores: int,
    shares_gil: bool,
) -> float | None:
    """The contention of a point that others caused: the larger of its arms; None where it is unknown.

    An arm is (contention, CPU seconds of a round, wall seconds of a round). CPU-bound arms count with their
    contention as it is. Others lose by waiting only what it is of their workers' wall time: four
    milliseconds in the run queue matter to a task of eight, not to one that then sleeps for two hundred.
    More workers than cores stand in each other's way, so there only the sequential rounds tell, and so
    where threads that share a GIL (``shares_gil``) wait no more than `HANDED_OVER`.
    """
    shares = [_share(kind, *sequential, workers=1)]
    hands_over = shares_gil and (parallel[0] or 0.0) <= HANDED_OVER
    if workers <= cores and not hands_over:
        shares.append(_share(kind, *parallel, workers=workers))
    return max((share for share in shares if share is not None), default=None)


def _share(
    kind: Kind, contention: float | None, cpu_seconds: float, seconds: float, *, workers: int
) -> float | None:
    if contention is None or kind is Kind.CPU or contention >= 1:
        return contention
    delay = cpu_seconds * contention / (1 - contention)
    return min(contention, delay / (seconds * workers))
