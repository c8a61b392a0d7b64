"""What the rounds of one point say: speedup, efficiency, serial fraction, throughput, contention, kind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .measurement import Interval, Kind, Measurement, Pair, Round
from .uncontended import Uncontended

__all__ = [
    "CPU_SHARE",
    "IO_SHARE",
    "Summary",
    "contention",
    "cpu_share",
    "divided",
    "karp_flatt",
    "kind_of",
    "summarize",
]

CPU_SHARE = 0.8
"""CPU-bound is more CPU time than this share of its time: each core then serves at most 1.25 workers."""

IO_SHARE = 0.2
"""I/O-bound is less CPU time than this share of its time: each core then serves 5 workers and more."""

_NOT_ASKED = Uncontended(reason="nobody has asked")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of one measurement."""

    speedup: Interval
    efficiency: Interval
    uncontended: Uncontended = _NOT_ASKED
    """The speedup without foreign load, from the traced rounds."""
    cold_speedup: float
    """Speedup with opening and closing the pool counted in the parallel time."""
    sequential_seconds: float
    """Median of the sequential rounds."""
    parallel_seconds: float
    """Median of the parallel rounds."""
    kind: Kind
    cpu_share: float
    """CPU time / (wall - run-queue delay) of the sequential rounds."""
    contention_sequential: float | None
    """Share of runnable time that the sequential rounds waited for a core; None where unknown."""
    contention_parallel: float | None
    serial_fraction: float | None
    """Karp-Flatt; None at one worker."""
    cpu_seconds: float
    """CPU seconds of a parallel round, parent and workers together (median)."""
    cpu_seconds_sequential: float
    cpu_utilization: float
    """CPU seconds / wall seconds of the parallel rounds, in cores."""
    items_per_second: float | None
    bytes_per_second: float | None


def summarize(
    measurement: Measurement, interval: Interval, uncontended: Uncontended | None = None
) -> Summary:
    """The figures of ``measurement``, whose speedup has ``interval`` (see `gate.interval`, `gate.alone`).

    The cold speedup is median sequential / (median parallel + opening + closing): what somebody gets who
    opens a pool, maps once and closes it. It uses the warm parallel median, so first-round costs beyond
    opening (imports in workers, caches) are not in it. Raises ValueError for a measurement without pairs.
    """
    pairs = measurement.pairs
    if not pairs:
        raise ValueError("a measurement without pairs has no figures: measure at least one pair")
    sequential, parallel = _sequential(pairs), _parallel(pairs)
    sequential_seconds = median(r.seconds for r in sequential)
    parallel_seconds = median(r.seconds for r in parallel)
    share = cpu_share(sequential)
    opening = measurement.open_seconds + measurement.close_seconds
    return Summary(
        speedup=interval,
        efficiency=divided(interval, measurement.workers),
        uncontended=uncontended or _NOT_ASKED,
        cold_speedup=sequential_seconds / (parallel_seconds + opening),
        sequential_seconds=sequential_seconds,
        parallel_seconds=parallel_seconds,
        kind=measurement.kind or kind_of(share),
        cpu_share=share,
        contention_sequential=contention(sequential),
        contention_parallel=contention(parallel),
        serial_fraction=karp_flatt(interval.estimate, measurement.workers),
        cpu_seconds=median(r.usage.cpu_seconds for r in parallel),
        cpu_seconds_sequential=median(r.usage.cpu_seconds for r in sequential),
        cpu_utilization=_total_cpu(parallel) / math.fsum(r.seconds for r in parallel),
        items_per_second=_rate(measurement.items, parallel_seconds),
        bytes_per_second=_rate(measurement.size_bytes, parallel_seconds),
    )


def divided(interval: Interval, by: float) -> Interval:
    """The interval of a figure that is a fixed part of another: efficiency is speedup / workers."""
    return Interval(
        estimate=interval.estimate / by,
        low=interval.low / by,
        high=interval.high / by,
        confidence=interval.confidence,
    )


def karp_flatt(speedup: float, workers: int) -> float | None:
    """The experimentally determined serial fraction, (1/S - 1/n) / (1 - 1/n); None at one worker.

    Karp and Flatt, "Measuring parallel processor performance", CACM 33(5), 1990. It is negative for a
    speedup above n and above 1 for a slowdown; both are reported as they are.
    """
    return None if workers < 2 else (1 / speedup - 1 / workers) / (1 - 1 / workers)


def cpu_share(rounds: Sequence[Round]) -> float:
    """CPU time / (wall - run-queue delay) over all these rounds: how much of its time a workload computes.

    Sums, because CPU clocks may tick in 10 ms and a single short round would read 0. Above 1 where the
    rounds use native threads. An unknown delay counts as none.
    """
    wall = math.fsum(r.seconds for r in rounds)
    delay = math.fsum(r.usage.delay_seconds or 0.0 for r in rounds)
    # The delays of several threads are summed and can pass the wall time, which then is all that is known.
    return _total_cpu(rounds) / (wall - delay if wall > delay else wall)


def kind_of(share: float) -> Kind:
    """The kind that a CPU share means, by `CPU_SHARE` and `IO_SHARE`."""
    if share > CPU_SHARE:
        return Kind.CPU
    return Kind.IO if share < IO_SHARE else Kind.MIXED


def contention(rounds: Sequence[Round]) -> float | None:
    """Run-queue delay / (CPU time + delay) over all these rounds; None where a delay is unknown.

    The share of the time in which something was ready to run that it stood waiting for a core.
    """
    delays = [r.usage.delay_seconds for r in rounds]
    known = [delay for delay in delays if delay is not None]
    if len(known) < len(delays):
        return None
    waited = math.fsum(known)
    runnable = _total_cpu(rounds) + waited
    return waited / runnable if runnable > 0 else 0.0


def _sequential(pairs: Iterable[Pair]) -> list[Round]:
    return [pair.sequential for pair in pairs]


def _parallel(pairs: Iterable[Pair]) -> list[Round]:
    return [r for pair in pairs for r in pair.parallel]


def _total_cpu(rounds: Iterable[Round]) -> float:
    return math.fsum(r.usage.cpu_seconds for r in rounds)


def _rate(amount: int | None, seconds: float) -> float | None:
    return None if amount is None else amount / seconds
