"""This run beside stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...history import Series
from ...record import Entry
from .. import charts, svg, text
from ..comparison import Change, changes, counted
from ..machines import FACTS, facts, name_of_run, runs, titles, used
from ..results import Results
from .shapes import Cell, Content, Row, Table, groups, known, name_of, outcomes

__all__ = ["compared", "history", "machines"]

MOST_PLOTS = 60
"""Of stored runs; the table has them all."""


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
    beside = runs(results)
    if not beside:
        return None
    here = {group.test: group for group in groups(results)}
    rows = []
    for test, title in titles(beside).items():
        group = here.get(test)
        rows.append(
            Row(
                name=title,
                href=group.ident if group else "",
                cells=[Cell(used(run, test)) for run in beside],
                outcomes=outcomes(group.entries if group else []),
                words=group.words if group else test,
            )
        )
    heads = ("Run", *(head[0].upper() + head[1:] for head in FACTS))
    known_of = [Row(name=name_of_run(run), cells=[Cell(fact) for fact in facts(run)]) for run in beside]
    return {
        "machines": Table(caption="Machines", heads=heads, rows=known_of),
        "tests": Table(
            caption="What each run recommends: speedup ± half-width and memory at peak",
            heads=("Test", *map(name_of_run, beside)),
            rows=rows,
        ),
    }


def history(results: Results) -> Content:
    """Every point over its stored runs in a table, and up to MOST_PLOTS of them as small plots too."""
    entries = {entry.nodeid: entry for entry in results.entries}
    chosen = {id(group.chosen) for group in groups(results) if group.chosen}
    found: list[tuple[int, Row, Series]] = []
    for series in results.history:
        if len(series.seen) > 1:  # one run is no history
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


def _then_and_now(results: Results, change: Change) -> Row:
    entry, ratio = change.entry, change.ratio
    if ratio is None:
        figures = [Cell(), Cell()]
    else:
        ends = f"{text.change(ratio.low)} to {text.change(ratio.high)}"
        figures = [Cell(change.figure), Cell(ends)]
    cells = [
        Cell(name_of(entry)),
        Cell(counted(change.then)),
        Cell(counted(change.now)),
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


def _over_time(results: Results, series: Series, entry: Entry | None) -> Row:
    name = f"{results.titles[entry.test]} {name_of(entry)}" if entry else series.point
    speedups = [seen.speedup for seen in series.seen]
    ranked = sorted(speedups, key=lambda found: found.estimate)
    step = next((seen for seen in reversed(series.seen) if seen.step is not None), None)
    return Row(
        name=name,
        cells=[
            Cell(f"{len(speedups):,}"),
            *(Cell(text.interval(found)) for found in (speedups[0], speedups[-1], ranked[0], ranked[-1])),
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
                Cell(text.moment(seen.when)),
                Cell(text.commit(seen.commit)),
                Cell(text.interval(seen.speedup)),
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
