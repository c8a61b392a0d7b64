"""From a measurement and its figures to the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..measurement import Measurement, Usage, Verdict
from ._shapes import SCHEMA, Contention, Cpu, Io, Record, Scalar, Shipped, Switches, Throughput

if TYPE_CHECKING:
    from ..scaling import Summary

__all__ = ["CONDITIONS", "make"]

MOST_SECONDS = 64
"""Pairs whose seconds a record holds at most: pytest-benchmark saves extra_info whole, always."""

CONDITIONS = ("python", "gil", "start_method", "blas_threads", "cpu_model", "cores", "quota")
"""Keys that every environment has, None where the system does not tell."""


def make(
    test: str,
    measurement: Measurement,
    summary: Summary,
    verdicts: Sequence[Verdict] = (),
    *,
    contended: bool = False,
) -> Record:
    """The record of one measured point; ``test`` is its node id without our two parameters.

    ``contended``: the machine was too loaded for the wall clock to decide.
    """
    m, s = measurement, summary
    environment: dict[str, Scalar] = dict.fromkeys(CONDITIONS) | dict(m.environment)
    tracing = environment.pop("tracing", None)
    return Record(
        schema=SCHEMA,
        test=test,
        strategy=m.strategy,
        strategy_version=m.strategy_version,
        strategy_info=dict(m.strategy_info),
        workers=m.workers,
        workers_requested=m.workers_requested,
        isolation=m.isolation,
        chunk_size=m.chunk_size,
        usable_cores=m.usable_cores,
        scaling="strong",
        pairs=len(m.pairs),
        items=m.items,
        size_bytes=m.size_bytes,
        **_rounds(m),
        first_sequential_seconds=m.first_sequential_seconds,
        open_seconds=m.open_seconds,
        close_seconds=m.close_seconds,
        elapsed_seconds=m.elapsed_seconds,
        workload_seconds=m.workload_seconds,
        contention=_contention(m, s, contended),
        result=m.result,
        verdicts=tuple(verdicts),
        notes=m.notes,
        tracing=str(tracing) if tracing else None,
        environment=environment,
        **_figures(s),
        **_resources(m, s),
    )


def _rounds(m: Measurement) -> dict[str, Any]:
    numbers = _thinned(len(m.pairs))
    pairs = [m.pairs[number] for number in numbers]
    return {
        "pair_numbers": numbers,
        "sequential_seconds": tuple(pair.sequential.seconds for pair in pairs),
        "parallel_pair_seconds": tuple(tuple(r.seconds for r in pair.parallel) for pair in pairs),
    }


def _figures(s: Summary) -> dict[str, Any]:
    return {
        "kind": s.kind,
        "sequential_median": s.sequential_seconds,
        "parallel_seconds": s.parallel_seconds,
        "speedup": s.speedup,
        "uncontended_speedup": s.uncontended.speedup,
        "efficiency": s.efficiency,
        "cold_speedup": s.cold_speedup,
        "serial_fraction": s.serial_fraction,
    }


def _resources(m: Measurement, s: Summary) -> dict[str, Any]:
    used, rounds = Usage.total(m.parallel_usages), len(m.parallel_usages)
    return {
        "throughput": _throughput(m, s),
        "cpu": _cpu(s, used, rounds),
        "memory": m.memory,
        "context_switches": _switches(used, rounds),
        "io": _io(used, rounds),
        "shipped": _shipped(m, used, rounds),
        "threads": m.threads,
    }


def _throughput(m: Measurement, s: Summary) -> Throughput:
    return Throughput(
        items_per_second=s.items_per_second,
        bytes_per_second=s.bytes_per_second,
        items_per_cpu_second=_ratio(m.items, s.cpu_seconds),
        items_per_gigabyte=_ratio(m.items, (m.memory.peak_bytes or 0) / 1e9),
    )


def _cpu(s: Summary, used: Usage, rounds: int) -> Cpu:
    # As the kernel does: the time is exact, and ticks say which part of it was which.
    ticked = (used.user_seconds or 0.0) + (used.system_seconds or 0.0)
    user = _ratio(used.user_seconds, ticked)
    return Cpu(
        seconds=s.cpu_seconds,
        sequential_seconds=s.cpu_seconds_sequential,
        utilization=s.cpu_utilization,
        sequential_share=s.cpu_share,
        user_seconds=None if user is None else s.cpu_seconds * user,
        system_seconds=None if user is None else s.cpu_seconds * (1 - user),
        delay_seconds=_ratio(used.delay_seconds, rounds),
    )


def _switches(used: Usage, rounds: int) -> Switches:
    return Switches(
        voluntary=used.voluntary_switches / rounds, involuntary=used.involuntary_switches / rounds
    )


def _contention(m: Measurement, s: Summary, contended: bool) -> Contention:
    return Contention(
        sequential=s.contention_sequential,
        parallel=s.contention_parallel,
        reference_speedup=m.reference_speedup,
        foreign=m.foreign_load,
        contended=contended,
    )


def _io(used: Usage, rounds: int) -> Io:
    return Io(
        read_bytes=_mean(used.read_bytes, rounds),
        written_bytes=_mean(used.written_bytes, rounds),
        read_chars=_mean(used.read_chars, rounds),
        written_chars=_mean(used.written_chars, rounds),
    )


def _shipped(m: Measurement, used: Usage, rounds: int) -> Shipped:
    # Nothing sent to another process means that the workload does not use map, but sends by itself.
    if m.isolation not in ("none", "thread") and not used.shipped_out_bytes:
        return Shipped()
    return Shipped(
        out_bytes=_mean(used.shipped_out_bytes, rounds), in_bytes=_mean(used.shipped_in_bytes, rounds)
    )


def _mean(amount: int | None, rounds: int) -> int | None:
    return None if amount is None else round(amount / rounds)


def _ratio(amount: float | None, by: float) -> float | None:
    return None if amount is None or by <= 0 else amount / by


def _thinned(pairs: int) -> tuple[int, ...]:
    """Numbers of at most `MOST_SECONDS` pairs, evenly thinned."""
    if pairs <= MOST_SECONDS:
        return tuple(range(pairs))
    step = (pairs - 1) / (MOST_SECONDS - 1)
    return tuple(round(i * step) for i in range(MOST_SECONDS))
