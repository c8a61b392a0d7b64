"""What is shown of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...measurement import Outcome, Verdict
from ...record import Entry, Record
from .. import charts, svg, text
from ..conditions import conditions as sentences
from ..findings import BASELINE, advice, best, contention, cost, described, ending, notes_of
from ..resources import COLUMNS, LEGEND
from .shapes import Cell, Content, Group, Row, Table, known, merged, name_of, outcomes
from .shapes import signed_seconds as signed

__all__ = ["conditions", "plots", "points", "resources", "startup", "untried", "verdicts"]

DRAWN: Sequence[tuple[str, Callable[[Sequence[Entry]], charts.Chart | None]]] = (
    ("speedup", charts.speedup),
    ("efficiency", charts.efficiency),
    ("cost", charts.cost),
    ("memory", charts.memory),
)


def plots(group: Group) -> Content:
    """Nothing where a single point beside the baseline was measured: that is no curve."""
    if sum(record.strategy != BASELINE for record in group.records) < 2:
        return None
    drawn = [(name, chart(group.entries)) for name, chart in DRAWN]
    found = [svg.draw(chart, ident=f"{group.ident}-{name}") for name, chart in drawn if chart]
    return {"plots": found, "folded": group.folded} if found else None


def points(group: Group) -> Content:
    """What to use, and the figures of every measured point."""
    if not group.records:
        return None
    top = best(group.records)
    heads = (
        "Point",
        "Workers",
        "Speedup",
        "Interval",
        "Efficiency",
        "Time",
        "Saved",
        "CPU",
        "Memory",
        "Contention",
        "Verdicts",
    )
    rows = [
        _row(entry, _figures(entry.record), entry.record is top) for entry in group.entries if entry.record
    ]
    return {
        "advice": advice(group.records),
        "cost": cost(group.chosen) if group.chosen else "",
        "table": Table(
            caption=f"Points of {text.shorten(group.title, 80)}",
            heads=heads,
            rows=rows,
            note=described(group.records),
        ),
    }


def verdicts(group: Group) -> Content:
    """The sentences of the gates, and what was noted while measuring."""
    told = [(entry, v) for entry in group.entries if entry.record for v in entry.record.verdicts]
    listed = {
        outcome.value: _listed((entry, v.sentence) for entry, v in told if v.outcome is outcome)
        for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED, Outcome.PASSED)
    }
    notes = _listed((entry, n) for entry in group.entries if entry.record for n in notes_of(entry.record))
    found = {outcome: sentences for outcome, sentences in listed.items() if sentences}
    return {"verdicts": found, "notes": notes} if found or notes else None


def untried(group: Group) -> Content:
    """Points that were not measured, were skipped or failed, with their reasons."""
    missing = [e for e in group.entries if e.record is None]
    rows = []
    for status in dict.fromkeys(map(ending, missing)):
        about = merged((e, e.reason or "no reason given") for e in missing if ending(e) == status)
        for reason, entries in about.items():
            names = ", ".join(map(name_of, entries))
            cells = [Cell(chips=[(status, status)]), Cell(reason)]
            rows.append(Row(name=names, cells=cells, outcomes=[status], words=group.words))
    if not rows:
        return None
    heads = ("Points", "Outcome", "Reason")
    caption = f"Points of {text.shorten(group.title, 80)} without figures"
    return {"table": Table(caption=caption, heads=heads, rows=rows)}


def startup(group: Group) -> Content:
    """What opening and closing the pool takes, and how each point was measured."""
    heads = (
        "Point",
        "Open",
        "Close",
        "Speedup with both",
        "First sequential",
        "Whole point",
        "Pairs",
        "Chunk size",
        "Result",
        "Serial fraction",
        "Version",
        "Besides",
    )
    rows = [_row(entry, _method(entry.record), False) for entry in group.entries if entry.record]
    caption = f"Start-up, closing and method of {text.shorten(group.title, 80)}"
    return {"table": Table(caption=caption, heads=heads, rows=rows)} if rows else None


def resources(group: Group) -> Content:
    """What a round of each point used; a figure that no point knows has no column."""
    figures = [(" ".join(filter(None, c.head)), [c.figure(r) for r in group.records]) for c in COLUMNS]
    telling = [(head, column) for head, column in figures if any(column)]
    measured = [entry for entry in group.entries if entry.record]
    rows = [
        _row(entry, [Cell(column[number]) for _, column in telling], False)
        for number, entry in enumerate(measured)
    ]
    heads = ("Point", *(head for head, _ in telling))
    caption = f"Resources of {text.shorten(group.title, 80)}"
    return {"table": Table(caption=caption, heads=heads, rows=rows, note=LEGEND)} if rows else None


def conditions(group: Group) -> Content:
    """The sentences that the terminal ends with, of this test alone."""
    return {"sentences": sentences(group.records)} if group.records else None


def _row(entry: Entry, cells: Sequence[Cell], best: bool) -> Row:
    return Row(name=name_of(entry), cells=cells, outcomes=outcomes([entry]), best=best)


def _figures(r: Record) -> list[Cell]:
    low, high = text.speedup(r.speedup.low), text.speedup(r.speedup.high)
    return [
        Cell(str(r.workers)),
        Cell(text.interval(r.speedup)),
        Cell(f"{low} to {high}" if r.speedup.confidence else "unknown"),
        Cell(text.percent(r.efficiency.estimate)),
        Cell(text.seconds(r.parallel_seconds)),
        Cell(signed(r.sequential_median - r.parallel_seconds)),
        Cell(text.seconds(r.cpu.seconds)),
        known(text.size, r.memory.peak_bytes),
        known(text.percent, contention(r)),
        Cell(chips=[_chip(v) for v in r.verdicts]),
    ]


def _chip(verdict: Verdict) -> tuple[str, str]:
    claim = text.change(verdict.claim) if verdict.against else text.speedup(verdict.claim)
    if verdict.gate == "efficiency" and not verdict.against:
        claim = text.percent(verdict.claim)
    return verdict.outcome.value, f"{verdict.outcome.value} {verdict.gate} {claim}"


def _method(r: Record) -> list[Cell]:
    info = ", ".join(f"{key} {value}" for key, value in r.strategy_info.items() if value is not None)
    tracing = f"traced by {r.tracing}" if r.tracing else ""
    return [
        Cell(text.seconds(r.open_seconds)),
        Cell(text.seconds(r.close_seconds)),
        Cell(text.speedup(r.cold_speedup)),
        Cell(text.seconds(r.first_sequential_seconds)),
        Cell(text.seconds(r.elapsed_seconds)),
        Cell(str(r.pairs)),
        Cell("" if r.chunk_size is None else str(r.chunk_size)),
        Cell(r.result),
        known(text.percent, r.serial_fraction),
        Cell(r.strategy_version),
        Cell(", ".join(filter(None, [tracing, info]))),
    ]


def _listed(found: Iterable[tuple[Entry, str]]) -> list[tuple[str, str]]:
    return [(", ".join(map(name_of, about)), sentence) for sentence, about in merged(found).items()]
