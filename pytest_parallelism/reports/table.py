"""One test's table: strategies by worker counts, in blocks of as many columns as the width holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..measurement import Outcome
from ..record import Entry, Record
from . import text
from .findings import point_name

__all__ = ["table"]

INDENT = "  "
GAP = 3
"""Cells between columns; the last of them holds the mark of the best point."""

RowStyle = Literal["", "good", "bad", "dim"]


@dataclass(frozen=True)
class _Cell:
    """The three figures of a measured point, or one word."""

    figures: tuple[str, ...]
    best: bool = False
    bad: bool = False


Rows = dict[str, dict[int, Entry]]
Cells = dict[tuple[str, int], _Cell]


def table(
    group: Sequence[Entry], best: Record | None, width: int, *, crowded: int | None
) -> Iterator[tuple[str, RowStyle]]:
    """Lines with their styles. ``best`` is marked; above ``crowded`` workers the columns are said to be."""
    rows = _rows(group)
    if not rows:
        return
    found = {(name, n): _cell(entry, best) for name, row in rows.items() for n, entry in row.items()}
    heads = {n: _head(n, [row[n] for row in rows.values() if n in row]) for _, n in found}
    heads = dict(sorted(heads.items()))
    widths = _widths(found)
    column = max([sum(widths) + len(widths) - 1, *map(text.cells, heads.values())])
    names = min(max(map(text.cells, rows)), max(12, width // 3))
    room = max(1, (width - len(INDENT) - names) // (column + GAP))
    for counts in _blocks(list(heads), room):
        yield from _headings(heads, counts, names, column, width, crowded)
        for name in rows:
            cells = [found.get((name, n)) for n in counts]
            if any(cells):
                label = text.padded(text.shorten(name, names), names)
                figures = "".join(_figures(cell, widths, column) for cell in cells)
                yield (INDENT + label + figures).rstrip(), _style(cells)


def _rows(group: Sequence[Entry]) -> Rows:
    """Points by strategy and by the worker count that ran; a second one in its place gets its own row."""
    rows: Rows = {}
    for entry in group:
        workers = entry.record.workers if entry.record else entry.workers
        if workers is None or entry.status in ("skipped", "not measured"):
            continue
        row = rows.setdefault(text.clean(entry.strategy), {})
        if workers in row:
            row = rows.setdefault(text.clean(point_name(entry.strategy, entry.workers_requested)), {})
        row[workers] = entry
    return rows


def _cell(entry: Entry, best: Record | None) -> _Cell:
    record = entry.record
    if record is None:
        return _Cell((entry.status,), bad=True)
    missed = any(verdict.outcome is Outcome.FAILED for verdict in record.verdicts)
    figures = (
        text.speedup(record.speedup.estimate),
        text.half_width(record.speedup),
        text.percent(record.efficiency.estimate),
    )
    return _Cell(figures, best=record is best, bad=missed or entry.status != "measured")


def _head(workers: int, column: Sequence[Entry]) -> str:
    # A strategy that chooses its count was asked for none, and is explained below the table.
    named = [e for e in column if not (e.record and "chosen" in e.record.strategy_info)]
    asked = {str(entry.workers_requested) for entry in named}
    if len(asked) == 1 and asked != {str(workers)}:
        return f"{text.clean(asked.pop())} ({workers})"
    return text.counted(workers, "worker")


def _widths(found: Mapping[tuple[str, int], _Cell]) -> list[int]:
    """The widest of each of the three figures."""
    measured = [cell.figures for cell in found.values() if len(cell.figures) == 3]
    # "100%" is the widest that most efficiencies get: without it columns of tables below each other differ.
    return [max(map(len, part)) for part in zip(*measured, ("0.00", "±.00", "100%"), strict=True)]


def _blocks(counts: Sequence[int], room: int) -> Iterator[Sequence[int]]:
    """Parts of nearly equal length, none longer than ``room``."""
    blocks = -(-len(counts) // room)
    size = -(-len(counts) // blocks)
    for start in range(0, len(counts), size):
        yield counts[start : start + size]


def _headings(
    heads: Mapping[int, str], counts: Sequence[int], names: int, column: int, width: int, crowded: int | None
) -> Iterator[tuple[str, RowStyle]]:
    line = INDENT + " " * names + "".join(" " * GAP + text.padded(heads[n], column) for n in counts)
    line = line.rstrip()
    above = [n for n in counts if crowded is not None and n > crowded]
    if not above:
        yield line, "dim"
        return
    which = "" if above == [counts[-1]] else "all " if above == list(counts) else f"from {above[0]} on "
    note = f"({which}more than the {text.counted(crowded or 0, 'usable core')})"
    if text.cells(line) + 1 + text.cells(note) <= width:
        yield f"{line} {note}", "dim"
    else:
        yield line, "dim"
        yield note.rjust(min(width, max(len(line), len(INDENT) + len(note)))), "dim"


def _figures(cell: _Cell | None, widths: Sequence[int], column: int) -> str:
    if cell is None:
        return " " * (GAP + column)
    mark = "*" if cell.best else " "
    parts = zip(cell.figures, widths, strict=False)
    figures = (
        " ".join(figure.rjust(width) for figure, width in parts) if len(cell.figures) > 1 else cell.figures[0]
    )
    return " " * (GAP - 1) + mark + text.padded(figures, column)


def _style(cells: Sequence[_Cell | None]) -> RowStyle:
    if any(cell.bad for cell in cells if cell):
        return "bad"
    return "good" if any(cell.best for cell in cells if cell) else ""
