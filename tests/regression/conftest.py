"""Points of stored runs, made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pytest_parallelism.measurement import Interval, Measurement, Memory, Pair, Round, Usage
from pytest_parallelism.record import Record, make
from pytest_parallelism.scaling import summarize
from pytest_parallelism.settings import Limit

IDLE = Usage(cpu_seconds=0.4)
FIVE = Limit(metric="speedup", loss=0.05)


def record(speedup: float = 1.8, /, spread: float = 0.01, sequential: float = 1.0, **changes: Any) -> Record:
    """A point whose interval reaches ``spread`` (of the log) to each side."""
    pair = Pair(
        sequential=Round(seconds=sequential, usage=IDLE),
        parallel=(Round(seconds=sequential / speedup, usage=IDLE),),
    )
    measurement = Measurement(
        strategy="threads",
        strategy_version="1",
        workers=2,
        workers_requested=2,
        isolation="thread",
        pairs=(pair,) * 10,
        first_sequential_seconds=1.0,
        open_seconds=0.0,
        close_seconds=0.0,
        elapsed_seconds=20.0,
        workload_seconds=19.0,
        usable_cores=2,
        result="equal",
        items=10,
        memory=Memory(peak_bytes=100_000_000),
        environment={"cpu_model": "A", "python": "3.11.7", "gil": True},
    )
    found = Interval(
        estimate=speedup, low=speedup * math.exp(-spread), high=speedup * math.exp(spread), confidence=0.98
    )
    return replace(make("t", measurement, summarize(measurement, found)), **changes)
