"""What to measure a workload with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..measurement import Pair
from ..resources import Cores
from ..strategy import Strategy, StrategyOptions

__all__ = ["Clock", "Plan"]

Clock = Callable[[], float]


def _never(_pairs: Sequence[Pair]) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure a workload with, and how long.

    ``decide(pairs)`` says when the pairs are enough; ``max_time``: seconds for the whole point, which ends
    it anyway (None: only ``decide`` does). ``notify(pairs)`` is called after each pair, outside the clocks.
    """

    strategy: Strategy
    workers: int
    requested: int | str
    baseline: Strategy
    cores: Cores
    decide: Callable[[Sequence[Pair]], bool]
    max_time: float | None
    options: StrategyOptions = field(default_factory=StrategyOptions)
    traced: Callable[[Sequence[Pair]], bool] = _never
    """Asked after each pair until it says yes: from then on it is noted when which task runs."""
    reference: bool = False
    """Whether to ask every now and then what the machine gives to a computation that divides perfectly."""
    again: Callable[[Sequence[Pair]], bool] = _never
    """Asked of the pairs that are enough: whether they shall be measured once more, if time allows."""
    notify: Callable[[Sequence[Pair]], object] = len
    inspect: Callable[[Sequence[Callable[..., Any]]], object] = len
    """Called once with the functions that the first round maps, outside the clocks."""
    clock: Clock = time.perf_counter

    @property
    def point(self) -> str:
        """Strategy and count as in the test's id: ``threads-w2``."""
        return f"{self.strategy.name}-w{self.requested}"
