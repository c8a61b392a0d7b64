"""What there is to draw: charts as plain data, from one test's points or from one point's history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..history import Series as History
from ..measurement import Interval
from ..record import Entry, Record
from . import text
from .axes import Axis, linear_axis, log_axis, workers_axis
from .findings import BASELINE, best, contenders, crowded, recommended

__all__ = [
    "Axis",
    "Chart",
    "Line",
    "Point",
    "Series",
    "Shade",
    "cost",
    "efficiency",
    "memory",
    "over_time",
    "speedup",
]

LONGEST_NAME = 60
"""Terminal cells of a name within a description."""
LONGEST_TITLE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A mark; ``low`` and ``high`` are the ends of its interval in y, None where it has none."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Points joined by a line. ``style``: from 0, the same for one strategy in all charts of a test."""

    name: str
    style: int
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A straight line to compare with, as drawn on these axes; the label stands at its end."""

    label: str
    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shade:
    """A range of x that is unlike the rest."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """All that a renderer needs. ``description`` says in sentences what the picture shows."""

    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    lines: tuple[Line, ...] = ()
    shade: Shade | None = None


def speedup(entries: Sequence[Entry]) -> Chart | None:
    """Speedup against workers, both log2, with the ideal line and the baseline's 1.

    ``entries`` are those of one test, as of all these functions. None where no point but the baseline is
    measured.
    """
    found = _series(entries, lambda r: _point(r.workers, r.speedup))
    if not found:
        return None
    records, x, shade = _against_workers(entries, found)
    # The ideal is shown as far as the cores reach: beyond them it would only squeeze the points.
    ideal = min(x.high, crowded(records) or x.high)
    y = log_axis("speedup", *_heights(found), 1.0, ideal)
    top = min(x.high, y.high)
    return Chart(
        title="Speedup against workers",
        description=f"{_measured(found, records)} {_best(records)} {_shaded(shade)}".strip(),
        x=x,
        y=y,
        series=found,
        lines=(Line(label="ideal", start=(x.low, x.low), end=(top, top)), *_baseline(x)),
        shade=shade,
    )


def efficiency(entries: Sequence[Entry]) -> Chart | None:
    """Efficiency against workers (log2), from 0."""
    found = _series(entries, lambda r: _point(r.workers, r.efficiency))
    if not found:
        return None
    records, x, shade = _against_workers(entries, found)
    heights, ends = _heights(found)
    y = linear_axis("efficiency", max(1.0, *heights, min(max(ends), 2 * max(heights))), text.percent)
    return Chart(
        title="Efficiency against workers",
        description=f"{_measured(found, records)} {_efficiencies(records)} {_shaded(shade)}".strip(),
        x=x,
        y=y,
        series=found,
        lines=(Line(label="ideal", start=(x.low, 1.0), end=(x.high, 1.0)),),
        shade=shade,
    )


def cost(entries: Sequence[Entry]) -> Chart | None:
    """Speedup against the CPU seconds of a round as a multiple of the sequential ones, both log2."""
    return _against_price(
        entries,
        _cpu,
        title="Speedup against CPU time",
        across=lambda prices: log_axis("CPU seconds a round / sequential ones", prices, (), 1.0),
        figure=lambda times: f"{text.speedup(times)} times the CPU time",
    )


def memory(entries: Sequence[Entry]) -> Chart | None:
    """Speedup (log2) against the peak bytes of the parent and its workers, from 0."""
    return _against_price(
        entries,
        _peak,
        title="Speedup against memory",
        across=lambda prices: linear_axis("peak memory", max(prices), text.size),
        figure=lambda peak: f"{text.size(peak)} of memory at peak",
    )


def over_time(series: History) -> Chart | None:
    """A point's speedup (log2) over stored runs, a line at each step; None where there is no run."""
    points = [_point(number, seen.speedup) for number, seen in enumerate(series.seen)]
    known = tuple(point for point in points if point is not None)
    if not known:
        return None
    last = len(points) - 1
    found = (Series(name=f"{text.speedup(known[-1].y)}x", style=0, points=known),)
    names = [text.shorten(text.clean(seen.when[:10] or seen.run), 12) for seen in series.seen]
    ends = tuple((float(n), names[n]) for n in dict.fromkeys([0, last]))
    # Half a run of room at both sides; one run alone stands in the middle.
    x = Axis(label="", scale="linear", low=-0.5, high=last + 0.5, ticks=ends)
    y = log_axis("speedup", *_heights(found))
    changes = [(n, text.change(seen.step)) for n, seen in enumerate(series.seen) if seen.step is not None]
    steps = [Line(label=label, start=(n - 0.5, y.low), end=(n - 0.5, y.high)) for n, label in changes]
    told = ", ".join(f"{label} at {names[n]}" for n, label in changes) or "none"
    return Chart(
        title=text.shorten(text.clean(series.point), LONGEST_TITLE),
        description=(
            f"Speedup over {text.counted(len(series.seen), 'stored run')}, from {text.speedup(known[0].y)}x "
            f"({names[0]}) to {text.speedup(known[-1].y)}x ({names[last]}). Steps: {told}."
        ),
        x=x,
        y=y,
        series=found,
        lines=(*(_baseline(x) if y.low < 1 < y.high else ()), *steps),
    )


def _against_price(
    entries: Sequence[Entry],
    price: Callable[[Record], float | None],
    *,
    title: str,
    across: Callable[[list[float]], Axis],
    figure: Callable[[float], str],
) -> Chart | None:
    """Speedup (log2) against what it costs."""
    found = _series(entries, lambda r: _point(price(r), r.speedup, f"{r.workers:,}"))
    if not found:
        return None
    x = across(_across(found))
    return Chart(
        title=title,
        description=_priced(entries, price, figure),
        x=x,
        y=log_axis("speedup", *_heights(found), 1.0),
        series=found,
        lines=_baseline(x),
    )


def _against_workers(
    entries: Sequence[Entry], found: Sequence[Series]
) -> tuple[list[Record], Axis, Shade | None]:
    """What charts against workers have in common: records, axis, and what lies beyond the cores."""
    records = _records(entries)
    x = workers_axis({int(count) for count in _across(found)})
    return records, x, _shade(crowded(records), found, x)


def _records(entries: Sequence[Entry]) -> list[Record]:
    return [entry.record for entry in entries if entry.record is not None]


def _series(entries: Sequence[Entry], point: Callable[[Record], Point | None]) -> tuple[Series, ...]:
    """One for each strategy but the baseline, its points by workers; styles count unmeasured ones too."""
    points: dict[str, list[tuple[int, Point]]] = {}
    for entry in entries:
        if entry.strategy == BASELINE:
            continue
        found = points.setdefault(entry.strategy, [])
        if entry.record is not None and (drawn := point(entry.record)) is not None:
            found.append((entry.record.workers, drawn))
    return tuple(
        Series(
            name=text.clean(name),
            style=style,
            points=tuple(drawn for _, drawn in sorted(found, key=lambda one: one[0])),
        )
        for style, (name, found) in enumerate(points.items())
        if found
    )


def _point(x: float | None, y: Interval, label: str = "") -> Point | None:
    if x is None or y.estimate <= 0:
        return None
    if not y.confidence:
        return Point(x=x, y=y.estimate, label=label)
    return Point(x=x, y=y.estimate, low=y.low, high=y.high, label=label)


def _cpu(record: Record) -> float | None:
    """CPU seconds of a parallel round as a multiple of those of a sequential one."""
    seconds, sequential = record.cpu.seconds, record.cpu.sequential_seconds
    return seconds / sequential if seconds > 0 and sequential > 0 else None


def _peak(record: Record) -> float | None:
    return record.memory.peak_bytes or None


def _across(series: Iterable[Series]) -> list[float]:
    return [point.x for one in series for point in one.points]


def _heights(series: Iterable[Series]) -> tuple[list[float], list[float]]:
    """The estimates, and the ends of their intervals."""
    points = [point for one in series for point in one.points]
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    return [point.y for point in points], ends or [point.y for point in points]


def _baseline(x: Axis) -> tuple[Line, ...]:
    return (Line(label=BASELINE, start=(x.low, 1.0), end=(x.high, 1.0)),)


def _shade(above: int | None, series: Sequence[Series], x: Axis) -> Shade | None:
    if above is None or max(_across(series)) <= above:
        return None
    label = f"more than {text.counted(above, 'usable core')}"
    # Counts are whole: half a worker more than the cores lies between those that fit and those that do not.
    return Shade(label=label, low=max(x.low, above + 0.5), high=x.high)


def _shaded(shade: Shade | None) -> str:
    return "" if shade is None else f"Shaded: {shade.label}."


def _measured(series: Sequence[Series], records: Sequence[Record]) -> str:
    counts = sorted({r.workers for r in records if r.strategy != BASELINE})
    ends = " to ".join(f"{n:,}" for n in dict.fromkeys([counts[0], counts[-1]]))
    strategies = "1 strategy" if len(series) == 1 else f"{len(series)} strategies"
    return f"{strategies} at {ends} worker{'s' * (counts[-1] != 1)}."


def _named(record: Record) -> str:
    name = text.shorten(text.clean(record.strategy), LONGEST_NAME)
    return f"{name} with {text.counted(record.workers, 'worker')}"


def _best(records: Sequence[Record]) -> str:
    """The best point, and where its strategy stops scaling, by the rule of `findings.recommended`."""
    top, chosen = best(records), recommended(records)
    if top is None or chosen is None:
        most = max((r for r in records if r.strategy != BASELINE), key=lambda r: r.speedup.estimate)
        figure = f"{text.speedup(most.speedup.estimate)}x ({text.half_width(most.speedup)})"
        said = "Nothing is faster beyond noise" if contenders(records) else "No advice"
        return f"{said}; the highest figure is {figure}, {_named(most)}."
    figure = f"{text.speedup(top.speedup.estimate)}x ({text.half_width(top.speedup)})"
    largest = max(r.workers for r in records if r.strategy == top.strategy)
    if chosen.workers < largest:
        end = f"it stops scaling at {chosen.workers:,} of {largest:,}"
    else:
        end = "no more were measured"
    return f"The best is {figure}, {_named(top)}: {end}."


def _efficiencies(records: Sequence[Record]) -> str:
    """Those of the recommended strategy, or of the most efficient one at its most workers."""
    others = [r for r in records if r.strategy != BASELINE]
    chosen = recommended(records) or max(others, key=lambda r: (r.workers, r.efficiency.estimate))
    same = sorted((r for r in others if r.strategy == chosen.strategy), key=lambda r: r.workers)
    ends = {r.workers: r for r in (same[0], chosen, same[-1])}.values()
    name = text.shorten(text.clean(chosen.strategy), LONGEST_NAME)
    figures = ", ".join(
        f"{text.percent(r.efficiency.estimate)} at {text.counted(r.workers, 'worker')}" for r in ends
    )
    return f"Efficiency of {name}: {figures}."


def _priced(
    entries: Sequence[Entry], price: Callable[[Record], float | None], figure: Callable[[float], str]
) -> str:
    """The prices of the best point and of the cheapest, in sentences."""
    prices = [(paid, r) for r in _records(entries) if r.strategy != BASELINE and (paid := price(r))]
    top = best([r for _, r in prices])
    sentences = [
        f"{_named(r)}: {text.speedup(r.speedup.estimate)}x for {figure(paid)}, the best speedup."
        for paid, r in prices
        if r is top
    ]
    paid, least = min(prices, key=lambda one: one[0])
    if least is not top:
        sentences.append(
            f"{_named(least)}: {text.speedup(least.speedup.estimate)}x for {figure(paid)}, the lowest cost."
        )
    return " ".join(sentences)
