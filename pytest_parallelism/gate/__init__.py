"""Gates and verdicts: when there are enough pairs, which interval they give, and what it says of a claim.

Everything here is a function of the rounds: who measures them, and for how long, is the caller's affair.
"""

from __future__ import annotations

from ._claims import TOLERANCE, Gate, Metric
from ._families import judge_any
from ._judging import QUIET, REFERENCE, Quiet, bound_by_memory, contended, gave_less, judge
from ._procedure import (
    COMPARED,
    HALF_WIDTH,
    LEAST_PAIRS,
    TRACED,
    Where,
    alone,
    decider,
    interval,
    repeater,
    tracer,
)

__all__ = [
    "COMPARED",
    "HALF_WIDTH",
    "LEAST_PAIRS",
    "QUIET",
    "REFERENCE",
    "TOLERANCE",
    "TRACED",
    "Gate",
    "Metric",
    "Quiet",
    "Where",
    "alone",
    "bound_by_memory",
    "contended",
    "decider",
    "gave_less",
    "interval",
    "judge",
    "judge_any",
    "repeater",
    "tracer",
]
