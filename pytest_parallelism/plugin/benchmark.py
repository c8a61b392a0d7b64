"""The one place that knows pytest-benchmark from the inside.

Two private names of its are used, ``_mode`` and ``_make_stats`` (the same in 4.0, 5.0 and 5.3): with them a
record is made of rounds that we timed ourselves, after everything has succeeded. Nothing is made before,
since an empty record loses the whole JSON at the end of the session.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

__all__ = ["claim", "drop", "forget", "hide_table", "only_ours", "put", "run_plainly", "why_not_measured"]


def why_not_measured(benchmark: Any) -> str | None:
    """Why this session measures nothing, None where it does."""
    if not hasattr(benchmark, "_make_stats"):
        return "another plugin's benchmark fixture is in force"
    if not benchmark.enabled:
        xdist = "PYTEST_XDIST_WORKER" in os.environ
        return "pytest-xdist is on (-n0 measures)" if xdist else "--benchmark-disable"
    return None


def claim(benchmark: Any) -> None:
    """Mark the benchmark fixture as used by us, also where nothing is measured; another use is refused."""
    if hasattr(benchmark, "_mode"):
        benchmark._mode = "parallel(...)"


def run_plainly(benchmark: Any, call: Any) -> Any:
    """Run something once; through another plugin's fixture where that has replaced pytest-benchmark's."""
    return call() if hasattr(benchmark, "_make_stats") else benchmark(call)


def put(benchmark: Any, *, group: str, seconds: Sequence[float]) -> None:
    """Make the record: wall seconds of the parallel rounds. Our figures go into ``extra_info``."""
    benchmark.group = benchmark.group or group
    stats = benchmark._make_stats(1)
    for value in seconds:
        stats.update(value)


def drop(benchmark: Any) -> None:
    """Take the record back: the test has failed for another reason than a missed gate."""
    benchmark.has_error = True
    forget(benchmark)


def forget(benchmark: Any) -> None:
    """Remove what this test has stored: it has failed, or is repeated (pytest-rerunfailures)."""
    session = _session(benchmark)
    if session is not None:
        session[:] = [b for b in session if b.fullname != benchmark.fullname]


def only_ours(config: pytest.Config) -> bool:
    """True where all records of the session are ours."""
    records = _records(config)
    return bool(records) and all("parallelism" in b.extra_info for b in records)


def hide_table(config: pytest.Config) -> None:
    """Keep pytest-benchmark from printing its own table (its comparison verdicts stay)."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None and not session.verbose:
        session.quiet = True


def _records(config: pytest.Config) -> list[Any]:
    return list(getattr(getattr(config, "_benchmarksession", None), "benchmarks", ()))


def _session(benchmark: Any) -> list[Any] | None:
    """The session's list of records: what the fixture's ``_add_stats`` appends to."""
    owner = getattr(getattr(benchmark, "_add_stats", None), "__self__", None)
    return owner if isinstance(owner, list) else None
