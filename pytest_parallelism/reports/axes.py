"""Axes of charts: their limits and ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Axis", "Scale", "linear_axis", "log_axis", "workers_axis"]

Scale = Literal["linear", "log2"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """From ``low`` to ``high``, above 0 on ``log2``; ``ticks`` are places and their texts."""

    label: str
    scale: Scale
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where ``value`` lies on the way from ``low`` (0) to ``high`` (1), which it may not leave."""
        value = min(max(value, self.low), self.high)
        if self.scale == "linear":
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)


def workers_axis(counts: Collection[int]) -> Axis:
    """Worker counts from 1 on log2, each with its figure where there is room."""
    low, high = _padded(1.0, max(2.0, *counts))
    axis = Axis(label="workers", scale="log2", low=low, high=high, ticks=())
    # Powers of two come first where not all counts have room for their figures.
    shown: list[int] = []
    for count in sorted(counts, key=lambda n: (n & (n - 1) != 0, n)):
        if all(abs(axis.share(count) - axis.share(other)) > 0.08 for other in shown):
            shown.append(count)
    ticks = tuple((float(n), f"{n:,}") for n in sorted(shown))
    return Axis(label="workers", scale="log2", low=low, high=high, ticks=ticks)


def log_axis(label: str, values: Sequence[float], ends: Sequence[float], *more: float) -> Axis:
    """Around ``values`` and ``more``, a factor of 1.5 at least; wide intervals get a factor of two beyond."""
    low, high = min([*values, *more]), max([*values, *more])
    low = max(low / 2, min([low, *ends]))
    high = min(high * 2, max([high, *ends]))
    widen = max(1.0, math.sqrt(1.5 * low / high))
    low, high = _padded(low / widen, high * widen)
    return Axis(label=label, scale="log2", low=low, high=high, ticks=_log_ticks(low, high))


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = (high / low) ** 0.05
    return low / pad, high * pad


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Powers of two, seven or so, or 1.5 times them too where few; in a narrow range round figures."""
    if high / low < 4:
        return tuple((at, f"{at:g}") for at in _round_figures(low, high))
    exponents = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    step = math.ceil(len(exponents) / 7)
    powers = {2.0**n: _power(n) for n in exponents if n % step == 0}
    if len(exponents) < 5:
        between = [1.5 * 2.0**n for n in exponents if n >= 0]
        powers.update({at: f"{at:g}" for at in between if at <= high})
    return tuple(sorted(powers.items()))


def _power(exponent: int) -> str:
    return f"{2**exponent:,}" if exponent >= 0 else f"1/{2**-exponent:,}"


def linear_axis(label: str, most: float, figure: Callable[[float], str]) -> Axis:
    """From 0 to a little above ``most``."""
    ticks = tuple((at, figure(at)) for at in _round_figures(0.0, 1.05 * most))
    return Axis(label=label, scale="linear", low=0.0, high=1.05 * most, ticks=ticks)


def _round_figures(low: float, high: float) -> list[float]:
    """Up to seven multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [float(f"{n * step:.12g}") for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
