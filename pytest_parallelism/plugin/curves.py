"""What stands once in pytest-benchmark's JSON: each test's scaling curves, and what to use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..record import SCHEMA, Entry, Record
from ..reports.findings import recommended

__all__ = ["block"]


def block(entries: Iterable[Entry]) -> dict[str, Any]:
    """The top-level ``parallelism`` block: ``{schema, tests: {test: {curves, recommended}}}``.

    ``curves`` is ``{strategy: {workers: speedup}}``; ``recommended`` the best strategy at its smallest worker
    count within 5 % of the best, None where nothing is faster beyond noise.
    """
    tests: dict[str, list[Record]] = {}
    for entry in entries:
        if entry.record is not None:
            tests.setdefault(entry.test, []).append(entry.record)
    return {"schema": SCHEMA, "tests": {test: _test(records) for test, records in tests.items()}}


def _test(records: list[Record]) -> dict[str, Any]:
    curves: dict[str, dict[str, float]] = {}
    for record in records:
        curves.setdefault(record.strategy, {})[str(record.workers)] = record.speedup.estimate
    chosen = recommended(records)
    return {"curves": curves, "recommended": chosen and _choice(chosen)}


def _choice(record: Record) -> dict[str, Any]:
    return {
        "strategy": record.strategy,
        "workers": record.workers,
        "speedup": record.speedup.estimate,
    }
