from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_parallelism.measurement import Interval, Kind, Memory
from pytest_parallelism.record import Contention, Cpu, Entry, Record, Switches, Throughput

ENVIRONMENT = {
    "python": "3.11.7",
    "gil": True,
    "start_method": None,
    "blas_threads": 1,
    "cpu_model": "AMD EPYC 9R14 96-Core Processor",
    "cores": 8,
    "quota": None,
}


def _interval(estimate: float, half: float) -> Interval:
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half, confidence=0.98)


def _record(strategy: str, workers: int, estimate: float, half: float = 0.03, **changes: Any) -> Record:
    """A record with that speedup ± half; ``changes`` replace any of its other values."""
    share = changes.pop("waited", 0.004)
    values: dict[str, Any] = {
        "schema": 1,
        "test": "suite/test_doc.py::test_parse",
        "strategy": strategy,
        "strategy_version": "1.0",
        "strategy_info": {},
        "workers": workers,
        "workers_requested": workers,
        "isolation": "thread" if "thread" in strategy else "process",
        "chunk_size": None,
        "usable_cores": 2,
        "kind": Kind.CPU,
        "scaling": "strong",
        "pairs": 14,
        "items": 64,
        "size_bytes": 14_200_000,
        "sequential_seconds": (0.412,),
        "sequential_median": 0.412,
        "first_sequential_seconds": 0.412,
        "parallel_seconds": 0.412 / estimate,
        "speedup": _interval(estimate, half),
        "uncontended_speedup": None,
        "efficiency": _interval(estimate / workers, half / workers),
        "cold_speedup": 1.72,
        "open_seconds": 0.038,
        "close_seconds": 0.002,
        "elapsed_seconds": 9.0,
        "workload_seconds": 8.8,
        "throughput": Throughput(items_per_second=297.0, bytes_per_second=65.8e6),
        "cpu": Cpu(seconds=0.43, sequential_seconds=0.41, utilization=1.9, sequential_share=1.0),
        "memory": Memory(peak_bytes=182_000_000, per_worker_bytes=20_000_000),
        "context_switches": Switches(voluntary=100, involuntary=20),
        "threads": 2,
        "contention": Contention(sequential=share, parallel=share, reference_speedup=None),
        "serial_fraction": 0.02,
        "result": "equal",
        "verdicts": (),
        "notes": (),
        "tracing": None,
        "environment": ENVIRONMENT,
    }
    return Record(**(values | changes))


def _entry(
    strategy: str,
    workers: int,
    estimate: float | None = None,
    half: float = 0.03,
    *,
    status: str = "measured",
    reason: str = "",
    **changes: Any,
) -> Entry:
    """A point; with an ``estimate`` it has a record, to which the ``changes`` go."""
    test = changes.setdefault("test", "suite/test_doc.py::test_parse")
    asked = changes.setdefault("workers_requested", workers)
    return Entry(
        nodeid=f"{test}[{strategy}-w{asked}]",
        test=test,
        strategy=strategy,
        workers_requested=asked,
        workers=workers,
        status=status,  # type: ignore[arg-type]  # a plain str lets tests be short
        reason=reason,
        record=None if estimate is None else _record(strategy, workers, estimate, half, **changes),
    )


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return _record


@pytest.fixture(scope="session")
def entry() -> Callable[..., Entry]:
    return _entry
