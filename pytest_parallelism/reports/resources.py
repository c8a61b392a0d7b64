"""What the points of one test used: a table of points by figures, for ``-v``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..record import Entry, Record
from . import text
from .findings import point_name

RowStyle = Literal["", "dim"]

__all__ = ["COLUMNS", "LEGEND", "resources"]

LEGEND = (
    "resources: of a parallel round, parent and workers together. cpu = user + system; cores: kept busy; "
    "delay: waiting for a core, summed over threads; switches: voluntary + involuntary; shipped: to workers "
    "and back by map; storage and calls: bytes read and written on storage, and by all calls. Memory: peak "
    "of all, a worker's peak as PSS and USS, helper processes now"
)

INDENT = "  "
GAP = 2

_NOTHING = {"", "0", "0 B", "0 s"}


@dataclass(frozen=True)
class _Column:
    """A figure of each record, '' where it is unknown, under one or two words."""

    head: tuple[str, str]
    figure: Callable[[Record], str]


def _switches(record: Record) -> str:
    both = record.context_switches
    return f"{text.amount(round(both.voluntary))}+{text.amount(round(both.involuntary))}"


COLUMNS = (
    _Column(("items", "/s"), lambda r: text.known(text.amount, r.throughput.items_per_second)),
    _Column(("bytes", "/s"), lambda r: text.known(text.size, r.throughput.bytes_per_second)),
    _Column(("", "cpu"), lambda r: text.seconds(r.cpu.seconds)),
    _Column(("", "user"), lambda r: text.known(text.seconds, r.cpu.user_seconds)),
    _Column(("", "system"), lambda r: text.known(text.seconds, r.cpu.system_seconds)),
    _Column(("", "cores"), lambda r: text.speedup(r.cpu.utilization)),
    _Column(("", "delay"), lambda r: text.known(text.seconds, r.cpu.delay_seconds)),
    _Column(("items", "/cpu s"), lambda r: text.known(text.amount, r.throughput.items_per_cpu_second)),
    _Column(("memory", "peak"), lambda r: text.known(text.size, r.memory.peak_bytes)),
    _Column(("worker", "PSS"), lambda r: text.known(text.size, r.memory.per_worker_pss_bytes)),
    _Column(("worker", "USS"), lambda r: text.known(text.size, r.memory.per_worker_bytes)),
    _Column(("", "helpers"), lambda r: text.known(text.size, r.memory.helpers_bytes)),
    _Column(("items", "/GB"), lambda r: text.known(text.amount, r.throughput.items_per_gigabyte)),
    _Column(("", "threads"), lambda r: text.known(text.amount, r.threads)),
    _Column(("", "switches"), _switches),
    _Column(("shipped", "out"), lambda r: text.known(text.size, r.shipped.out_bytes)),
    _Column(("shipped", "in"), lambda r: text.known(text.size, r.shipped.in_bytes)),
    _Column(("storage", "read"), lambda r: text.known(text.size, r.io.read_bytes)),
    _Column(("storage", "written"), lambda r: text.known(text.size, r.io.written_bytes)),
    _Column(("calls", "read"), lambda r: text.known(text.size, r.io.read_chars)),
    _Column(("calls", "written"), lambda r: text.known(text.size, r.io.written_chars)),
)


def resources(group: Sequence[Entry], width: int) -> Iterator[tuple[str, RowStyle]]:
    """Lines with their styles: as many columns beside the points as ``width`` cells hold, then the next ones.

    A figure that no point knows, or that is 0 for all, has no column.
    """
    measured = [e for e in group if e.record]
    names = [text.clean(point_name(e.strategy, e.workers_requested)) for e in measured]
    wide = min(max(map(text.cells, names), default=0), max(12, width // 3))
    records = [e.record for e in measured if e.record]
    columns = [[*column.head, *map(column.figure, records)] for column in COLUMNS]
    telling = [column for column in columns if not _NOTHING.issuperset(column[2:])]
    labels = ["", "", *(text.shorten(name, wide) for name in names)]
    for block in _blocks(telling, width - len(INDENT) - wide):
        for number, (label, *cells) in enumerate(zip(labels, *block, strict=True)):
            figures = "".join(c.rjust(GAP + _wide(column)) for c, column in zip(cells, block, strict=True))
            if line := (INDENT + text.padded(label, wide) + figures).rstrip():
                yield line, "dim" if number < 2 else ""


def _wide(column: Sequence[str]) -> int:
    return max(map(len, column))


def _blocks(columns: Sequence[list[str]], room: int) -> list[list[list[str]]]:
    """Columns that fit beside each other, one at least, in as few blocks as that takes, alike in width."""
    found = _filled(columns, room)
    while room > 0 and len(narrower := _filled(columns, room - 1)) == len(found):
        found, room = narrower, room - 1
    return found


def _filled(columns: Sequence[list[str]], room: int) -> list[list[list[str]]]:
    blocks: list[list[list[str]]] = []
    left = 0
    for column in columns:
        left -= GAP + _wide(column)
        if left < 0:
            blocks.append([])
            left = room - GAP - _wide(column)
        blocks[-1].append(column)
    return blocks
