"""Runs that pytest-benchmark has stored, as far as they hold records of ours.

A run's records are read only when they are asked for: a thousand runs of a hundred points are read in
seconds.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .measurement import Outcome
from .record import Entry, Record, from_json

__all__ = ["Run", "failed", "newest_first", "read", "runs", "stored_entry"]

KEY = "parallelism"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One stored file. ``points``: our records as JSON, by the full name of their test."""

    path: Path
    when: str
    """Its date and time as pytest-benchmark wrote it (ISO 8601, UTC); empty where it has none."""
    commit: str
    points: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As people call it: the file's name without its ending, such as ``0003_baseline``."""
        return self.path.stem

    def entries(self) -> list[Entry]:
        """Its points, as a session would have reported them. Raises `UsageError` for a broken one."""
        found = ((fullname, self.record(fullname)) for fullname in self.points)
        return [stored_entry(fullname, record) for fullname, record in found if record is not None]

    def readable(self) -> Iterator[tuple[str, Record]]:
        """The full names and records of its points but for broken ones."""
        for fullname in self.points:
            with contextlib.suppress(UsageError):
                record = self.record(fullname)
                if record is not None:
                    yield fullname, record

    def record(self, fullname: str) -> Record | None:
        """The record of that point, None where the run has none. Raises `UsageError` for a broken one."""
        if fullname not in self.points:
            return None
        try:
            return _sound(from_json(self.points[fullname]))
        except UsageError as error:
            raise UsageError(f"{self.path.name}: {error}") from None


def stored_entry(fullname: str, record: Record) -> Entry:
    """A stored point as a session would have reported it."""
    return Entry(
        nodeid=fullname,
        test=record.test,
        strategy=record.strategy,
        workers_requested=record.workers_requested,
        workers=record.workers,
        status="measured",
        reason="",
        record=record,
    )


def read(path: Path) -> Run:
    """The run in that file. Raises `UsageError`, one sentence, for what pytest-benchmark did not write."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path.name} is no whole JSON file ({error})") from None
    benchmarks = data.get("benchmarks") if isinstance(data, dict) else None
    if not isinstance(benchmarks, list):
        raise UsageError(f"{path.name} is not of pytest-benchmark: it has no list of benchmarks")
    commit = data.get("commit_info")
    return Run(
        path=path,
        when=str(data.get("datetime") or ""),
        commit=str(commit.get("id") or "") if isinstance(commit, dict) else "",
        points=dict(_points(benchmarks)),
    )


def _points(benchmarks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for benchmark in benchmarks:
        extra = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
        if isinstance(extra, dict) and KEY in extra:
            yield str(benchmark.get("fullname")), extra[KEY]


def runs(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs that can be read, newest first, and a sentence for each file that cannot."""
    found: list[Run] = []
    unread: list[str] = []
    for path in paths:
        try:
            found.append(read(path))
        except UsageError as error:
            unread.append(str(error))
    return newest_first(found), unread


def newest_first(found: Sequence[Run]) -> list[Run]:
    """By their own dates; of the same date, by the numbers in their names."""
    return sorted(found, key=lambda run: (run.when, run.name), reverse=True)


def _sound(record: Record) -> Record:
    """A record whose figures can be compared. Raises `UsageError` for one that none of ours can be."""
    intervals = [record.speedup, record.efficiency]
    intervals += [record.uncontended_speedup] if record.uncontended_speedup else []
    figures = [value for found in intervals for value in (found.estimate, found.low, found.high)]
    figures += [record.parallel_seconds, record.sequential_median, float(record.workers)]
    figures += [record.throughput.items_per_second] if record.throughput.items_per_second is not None else []
    if not all(figure > 0 for figure in figures):
        raise UsageError("the record has a speedup, a time or a worker count that is not above 0")
    return record


def failed(record: Record) -> bool:
    """Whether a gate of that point failed: no baseline, unless it is named."""
    return any(verdict.outcome is Outcome.FAILED for verdict in record.verdicts)
