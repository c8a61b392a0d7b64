"""This run beside stored ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ... import regression
from ...history import Series
from ...measurement import Interval
from ...record import Entry, Record
from .. import charts, svg, text
from ..findings import BASELINE, point_name, recommended
from ..results import Results
from .shapes import Cell, Content, Row, Table, groups, interval, known, moment, name_of, outcomes

__all__ = ["Change", "changes", "compared", "history", "machines"]

MOST_PLOTS = 60
"""Of stored runs; the table has them all."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A point that both runs have: the ratio of its speedups, or why they cannot be compared."""

    OUTCOMES: ClassVar[Sequence[str]] = ("worse", "better", "within noise", "not comparable")

    entry: Entry
    now: Record
    then: Record
    ratio: Interval | None
    reason: str

    @property
    def outcome(self) -> str:
        """One of OUTCOMES: beyond noise is where the whole interval lies on one side."""
        if self.ratio is None:
            return "not comparable"
        return "worse" if self.ratio.high < 1 else "better" if self.ratio.low > 1 else "within noise"


def changes(results: Results, against: Results) -> dict[str, Change]:
    """The points, by node id, that both runs measured; of the baseline there is nothing to compare."""
    stored = {entry.nodeid: entry.record for entry in against.entries}
    found: dict[str, Change] = {}
    for entry in results.entries:
        then = stored.get(entry.nodeid)
        if entry.record is None or then is None or entry.strategy == BASELINE:
            continue
        reason = _incomparable(entry.record, then)
        ratio = None if reason else regression.change("speedup", entry.record, then)
        found[entry.nodeid] = Change(
            entry=entry, now=entry.record, then=then, ratio=ratio, reason=reason or ""
        )
    return found


def compared(results: Results) -> Content:
    """Each point then and now, where there is one run to compare with."""
    if len(results.others) != 1:
        return None
    against = results.others[0]
    found = changes(results, against)
    telling_first = sorted(found.values(), key=lambda change: Change.OUTCOMES.index(change.outcome))
    rows = [_then_and_now(results, change) for change in telling_first]
    name = text.shorten(text.clean(against.name), 60) or "a stored run"
    return {
        "title": f"Compared with {name}",
        "against": against,
        "table": Table(
            caption=f"Speedup then and now, against {name}",
            heads=("Test", "Point", "Then", "Now", "Change", "Interval", "Judgement"),
            rows=rows,
        ),
        "new": _only(results, against),
        "gone": _only(against, results),
    }


def machines(results: Results) -> Content:
    """Several runs beside each other: their machines, and what each recommends."""
    if len(results.others) < 2:
        return None
    runs = [*results.others, results]
    names = [run.name or "this run" for run in runs]
    facts = [Row(name=name, cells=_facts(run)) for name, run in zip(names, runs, strict=True)]
    chosen = [{test: recommended(_records(es)) for test, es in run.tests.items()} for run in runs]
    tests = {test: title for run in runs for test, title in run.titles.items()} | results.titles
    links = {group.test: group.ident for group in groups(results)}
    rows = [
        Row(name=title, href=links.get(test, ""), cells=[_use(one, test) for one in chosen])
        for test, title in tests.items()
    ]
    heads = ("Run", "When", "Commit", "Usable cores", "CPU", "Python", "GIL", "Memory at peak")
    return {
        "machines": Table(caption="Machines", heads=heads, rows=facts),
        "tests": Table(
            caption="What each run recommends: speedup ± half-width and memory at peak",
            heads=("Test", *names),
            rows=rows,
        ),
    }


def history(results: Results) -> Content:
    """Every point over stored runs in a table, and up to MOST_PLOTS of them as small plots too."""
    entries = {entry.nodeid: entry for entry in results.entries}
    chosen = {id(group.chosen) for group in groups(results) if group.chosen}
    found: list[tuple[int, Row, Series]] = []
    for series in results.history:
        if series.seen:
            entry = entries.get(series.point)
            stepped = any(seen.step is not None for seen in series.seen)
            recommended = entry is not None and id(entry.record) in chosen
            found.append((2 * stepped + recommended, _over_time(results, series, entry), series))
    if not found:
        return None
    heads = ("Point", "Runs", "First", "Latest", "Lowest", "Highest", "Last step", "Step in")
    table = Table(caption="Speedup over stored runs", heads=heads, rows=[row for _, row, _ in found])
    # Those with a step first, then those recommended.
    first = sorted(found, key=lambda one: -one[0])[:MOST_PLOTS]
    plots = [_plotted(row, series, f"h{number}") for number, (_, row, series) in enumerate(first)]
    return {"table": table, "plots": [plot for plot in plots if plot]}


def _incomparable(now: Record, then: Record) -> str | None:
    if not (now.speedup.confidence and then.speedup.confidence):
        return "one pair of rounds shows no noise"
    return regression.differing(now, then)


def _then_and_now(results: Results, change: Change) -> Row:
    entry, ratio = change.entry, change.ratio
    if ratio is None:
        figures = [Cell(), Cell()]
    else:
        ends = f"{text.change(ratio.low)} to {text.change(ratio.high)}"
        figures = [Cell(text.change(ratio.estimate)), Cell(ends)]
    cells = [
        Cell(name_of(entry)),
        Cell(interval(change.then.speedup)),
        Cell(interval(change.now.speedup)),
        *figures,
        Cell(change.reason, chips=[(change.outcome, change.outcome)]),
    ]
    return Row(name=results.titles[entry.test], cells=cells, outcomes=outcomes([entry]), words=entry.nodeid)


def _only(run: Results, other: Results) -> list[str]:
    """Names of the points that the other run has no figures of."""
    there = {entry.nodeid for entry in other.entries if entry.record}
    return [
        f"{run.titles[entry.test]} {name_of(entry)}"
        for entry in run.entries
        if entry.record and entry.nodeid not in there
    ]


def _records(entries: Iterable[Entry]) -> list[Record]:
    return [entry.record for entry in entries if entry.record is not None]


def _facts(run: Results) -> list[Cell]:
    records = run.records
    peaks = [
        chosen.memory.peak_bytes
        for entries in run.tests.values()
        if (chosen := recommended(_records(entries))) and chosen.memory.peak_bytes is not None
    ]
    return [
        Cell(moment(run.when)),
        Cell(run.commit[:10]),
        Cell(_distinct(str(r.usable_cores) for r in records)),
        Cell(_distinct(_told(r, "cpu_model") for r in records)),
        Cell(_distinct(_told(r, "python") for r in records)),
        Cell(_distinct(_told(r, "gil") for r in records)),
        known(text.size, max(peaks, default=None)),
    ]


def _told(record: Record, key: str) -> str:
    value = record.environment.get(key)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unknown" if value is None else str(value)


def _distinct(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _use(chosen: dict[str, Record | None], test: str) -> Cell:
    if test not in chosen:
        return Cell("not in this run")
    record = chosen[test]
    if record is None:
        return Cell("sequential")
    peak = record.memory.peak_bytes
    memory = "" if peak is None else f", {text.size(peak)}"
    return Cell(f"{interval(record.speedup)} {point_name(record.strategy, record.workers)}{memory}")


def _over_time(results: Results, series: Series, entry: Entry | None) -> Row:
    name = f"{results.titles[entry.test]} {name_of(entry)}" if entry else series.point
    speedups = [seen.speedup for seen in series.seen]
    ranked = sorted(speedups, key=lambda found: found.estimate)
    step = next((seen for seen in reversed(series.seen) if seen.step is not None), None)
    return Row(
        name=name,
        cells=[
            Cell(f"{len(speedups):,}"),
            *(Cell(interval(found)) for found in (speedups[0], speedups[-1], ranked[0], ranked[-1])),
            Cell() if step is None else known(text.change, step.step),
            Cell(step.run if step else ""),
        ],
        outcomes=outcomes([entry] if entry else []),
        words=series.point,
    )


def _plotted(row: Row, series: Series, ident: str) -> dict[str, object] | None:
    chart = charts.over_time(series)
    if chart is None:
        return None
    runs = [
        Row(
            name=seen.run,
            cells=[
                Cell(moment(seen.when)),
                Cell(seen.commit[:10]),
                Cell(interval(seen.speedup)),
                known(text.change, seen.step),
            ],
        )
        for seen in series.seen
    ]
    heads: Sequence[str] = ("Run", "When", "Commit", "Speedup", "Step")
    return {
        "row": row,
        "svg": svg.draw(replace(chart, title=row.name), ident=ident, width=320, height=200),
        "table": Table(caption=f"The stored runs of {row.name}", heads=heads, rows=runs),
    }
