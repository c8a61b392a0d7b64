"""Figures for spreadsheets and data frames: one row for each round, or for each point.

Numbers are read back to the last digit; they are never quoted or localized. What is missing is empty. Texts
are quoted where RFC 4180 asks for it, and changed in three cases. One that begins as a formula does, such as
``=HYPERLINK(...)``, gets a ``'`` before it: a spreadsheet would compute it, and tests' names and failures'
messages may come from anywhere. One that begins with ``'`` gets another, so that taking one off always gives
the text. NUL, where some readers end a cell, becomes U+FFFD.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass, replace
from io import StringIO
from itertools import repeat
from typing import Any, get_args, get_origin, get_type_hints

from ..measurement import Outcome
from ..record import CONDITIONS, Entry, Record, to_json
from .results import Results

__all__ = ["rounds", "summary"]

ESCAPED = ("'", "=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings that spreadsheets compute (OWASP, CSV Injection), the last four full-width; and the escape."""

WORST_FIRST = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED, Outcome.PASSED)

LEADING = ("nodeid", "test", "strategy", "workers", "workers_requested", "status", "reason", "verdict")

END = csv.excel.lineterminator
"""RFC 4180's too."""

Row = dict[str, Any]


def rounds(results: Results) -> str:
    """One row for each round that the records hold (those of 64 pairs a point at most), in their order."""
    head = ("test", "strategy", "workers", "workers_requested", "pair", "arm", "round", "seconds")
    return _written([head]) + "".join(line for record in results.records for line in _rounds(record))


def summary(results: Results) -> str:
    """One row for each point: all scalars of its record, in columns named by their places in the JSON.

    Such as ``speedup.low`` and ``verdicts.0.outcome``; ``verdict`` is the worst outcome. A point without
    figures has its status and reason.
    """
    rows = [_summary(entry) for entry in results.entries]
    columns = dict.fromkeys([*LEADING, *_columns(Record), *(f"environment.{key}" for key in CONDITIONS)])
    for row in rows:
        columns.update(dict.fromkeys(row))
    return _written([columns, *(map(row.get, columns) for row in rows)])


def _written(rows: Iterable[Iterable[Any]]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _rounds(record: Record) -> Iterator[str]:
    cells = map(_cell, (record.test, record.strategy, record.workers, record.workers_requested))
    point = _written([cells]).removesuffix(END)
    # Older records tell neither the numbers of their pairs nor the parallel rounds of each.
    numbers = record.pair_numbers or range(len(record.sequential_seconds))
    beside = record.parallel_pair_seconds or repeat(())
    for pair, sequential, parallel in zip(numbers, record.sequential_seconds, beside, strict=False):
        yield f"{point},{pair},sequential,0,{sequential!r}{END}"
        for number, seconds in enumerate(parallel):
            yield f"{point},{pair},parallel,{number},{seconds!r}{END}"


def _summary(entry: Entry) -> Row:
    row = {name: _cell(getattr(entry, name)) for name in LEADING[:-1]}
    if entry.record is not None:
        outcomes = {verdict.outcome for verdict in entry.record.verdicts}
        row["verdict"] = next((outcome.value for outcome in WORST_FIRST if outcome in outcomes), None)
        # What `rounds` writes is left out.
        figures = replace(entry.record, pair_numbers=(), sequential_seconds=(), parallel_pair_seconds=())
        _flatten(to_json(figures), "", row)
    return row


def _flatten(data: Any, path: str, row: Row) -> None:
    """Puts the scalars of ``data`` into ``row`` by their paths, without those that are missing."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, (dict, list)):
            _flatten(value, f"{path}{key}.", row)
        elif value is not None:
            row[f"{path}{key}"] = _cell(value)


def _columns(shape: Any, path: str = "") -> Iterator[str]:
    """The paths that every record has, known or not; those inside lists and mappings differ by record."""
    for name, kind in get_type_hints(shape).items():
        nested = next(filter(is_dataclass, (kind, *get_args(kind))), None)
        if get_origin(kind) in (tuple, Mapping):
            continue
        if nested is None:
            yield path + name
        else:
            yield from _columns(nested, f"{path}{name}.")


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return ("'" + value if value.startswith(ESCAPED) else value).replace("\0", "\ufffd")
