"""Speedups and throughputs as the list of records that chart tools for CI take, bigger being better.

The shape is that of github-action-benchmark's ``customBiggerIsBetter``: ``name``, ``unit``, ``value``,
``range`` (such as ``± 0.03``: it reads a number behind the sign) and ``extra``, a line that charts show with
the value. A name is what a tool knows a series by, so it is made of the node id alone, whatever else was
measured. Tools show names as code in tables of Markdown: what would end the code or the cell is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..measurement import Interval
from ..record import Record
from . import text
from .conditions import conditions
from .results import Results

__all__ = ["render"]

_SHOWN = str.maketrans({"`": "'", "|": "\u00a6"})


def render(results: Results) -> str:
    """A JSON list: each measured point's speedup, and its items and bytes a second where they are known."""
    found = [
        chart
        for entry in results.entries
        if entry.record is not None
        for chart in _charts(text.clean(entry.nodeid).translate(_SHOWN), entry.record)
    ]
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _charts(name: str, record: Record) -> Iterator[dict[str, Any]]:
    extra = {"extra": _extra(record)}
    speedup = record.speedup
    yield {"name": f"{name} speedup", "unit": "x", "value": speedup.estimate, **_range(speedup), **extra}
    rates = {"items": record.throughput.items_per_second, "bytes": record.throughput.bytes_per_second}
    for what, rate in rates.items():
        if rate is not None:
            yield {"name": f"{name} {what} per second", "unit": f"{what}/s", "value": rate, **extra}


def _range(interval: Interval) -> dict[str, str]:
    """Half of the interval; nothing where a single pair has no spread."""
    return {"range": f"± {(interval.high - interval.low) / 2:.3g}"} if interval.confidence else {}


def _extra(record: Record) -> str:
    verdicts = [f"{verdict.gate} {verdict.outcome.value}" for verdict in record.verdicts]
    return text.clean("; ".join([*verdicts, *conditions([record])]))
