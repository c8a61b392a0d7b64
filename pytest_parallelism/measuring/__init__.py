"""Measuring points, with pytest or without: what is asked for, what was found, and `measure` for programs."""

from __future__ import annotations

from ._figures import Figures, measured, only_known, plan_of, weights
from ._measure import measure
from ._measured import Measured
from ._points import Point, points_of
from ._progress import EVERY, so_far

__all__ = [
    "EVERY",
    "Figures",
    "Measured",
    "Point",
    "measure",
    "measured",
    "only_known",
    "plan_of",
    "points_of",
    "so_far",
    "weights",
]
