"""What is claimed of a point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..measurement import Interval
from ..scaling import divided

__all__ = ["TOLERANCE", "Gate", "Metric", "side"]

TOLERANCE = 0.05
"""A gate fails below ``claim * (1 - TOLERANCE)``: 40 pairs cannot see a loss of 5 % (MEASURING.md)."""

Metric = Literal["speedup", "efficiency"]


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


def side(found: Interval, least: float) -> int:
    """1 where the interval lies above the limit, -1 below, 0 where it cannot tell."""
    if not found.confidence:
        return 0
    return (found.low > least) - (found.high < least)
