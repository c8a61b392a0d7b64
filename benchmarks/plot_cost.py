"""What a chart costs as SVG of our own, and drawn by matplotlib: milliseconds and kilobytes.

Usage: python benchmarks/plot_cost.py [rounds]

The same chart of speedups (10 strategies at 4 worker counts) is written by `reports.svg` and, from the same
description, by matplotlib's SVG canvas in the plain way: one ``errorbar`` a strategy on log2 axes, text as
text. Rounds of both alternate; medians. A report of 1,000 charts has 10 ms and 10 kB for each: exit status 1
where our own takes more.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable

import matplotlib as mpl
import noise
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pytest_parallelism.reports import svg
from pytest_parallelism.reports.axes import Axis, log_axis, workers_axis
from pytest_parallelism.reports.charts import Chart, Line, Point, Series, Shade

STRATEGIES = 10
COUNTS = (1, 2, 4, 8)
ROUNDS = 50
WARM_UP = 3
LIMIT_MS = 10.0
LIMIT_KB = 10.0


def chart() -> Chart:
    """Strategies that scale more or less well."""
    series = tuple(
        Series(
            name=f"strategy-{style}",
            style=style,
            points=tuple(point(n, n / (1 + 0.08 * style * (n - 1))) for n in COUNTS),
        )
        for style in range(STRATEGIES)
    )
    x, y = workers_axis(COUNTS), log_axis("speedup", [1.0, 8.0], [])
    return Chart(
        title="Speedup against workers",
        description="What a benchmark draws.",
        x=x,
        y=y,
        series=series,
        lines=(Line(label="ideal", start=(x.low, x.low), end=(y.high, y.high)),),
        shade=Shade(label="more than 4 usable cores", low=4.5, high=x.high),
    )


def point(workers: int, speedup: float) -> Point:
    return Point(x=workers, y=speedup, low=0.97 * speedup, high=1.03 * speedup)


def ours(found: Chart) -> str:
    return svg.draw(found, ident="t0-speedup")


def matplotlibs(found: Chart) -> str:
    """As its gallery does it, with names at the right ends."""
    figure = Figure(figsize=(480 / 72, 320 / 72), layout="constrained")
    axes = figure.add_subplot(title=found.title)
    scaled(axes.set_xscale, axes.set_xlim, axes.set_xticks, found.x)
    scaled(axes.set_yscale, axes.set_ylim, axes.set_yticks, found.y)
    axes.set_xlabel(found.x.label)
    axes.set_ylabel(found.y.label)
    axes.grid(visible=True, axis="y")
    for line in found.lines:
        axes.plot(*zip(line.start, line.end, strict=True), "--", color="grey")
    if found.shade:
        axes.axvspan(found.shade.low, found.shade.high, color="whitesmoke")
    for series in found.series:
        xs, ys = [p.x for p in series.points], [p.y for p in series.points]
        below = [p.y - (p.low or 0) for p in series.points]
        above = [(p.high or 0) - p.y for p in series.points]
        axes.errorbar(xs, ys, yerr=(below, above), marker="os^Dv"[series.style % 5])
        axes.annotate(series.name, (xs[-1], ys[-1]), xytext=(8, 0), textcoords="offset points")
    written = io.StringIO()
    FigureCanvasSVG(figure).print_svg(written)
    return written.getvalue()


def scaled(
    scale: Callable[..., object], limit: Callable[..., object], tick: Callable[..., object], axis: Axis
) -> None:
    scale("log", base=2)
    limit(axis.low, axis.high)
    tick([at for at, _ in axis.ticks], [label for _, label in axis.ticks])


def main(rounds: int) -> int:
    """The exit status."""
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text, which is smaller and can be read aloud
    found = chart()
    arms = {"reports.svg": ours, f"matplotlib {mpl.__version__}": matplotlibs}
    milliseconds: dict[str, list[float]] = {name: [] for name in arms}
    kilobytes: dict[str, float] = {}
    print(noise.machine())
    print(
        f"{STRATEGIES} strategies at {len(COUNTS)} worker counts as SVG, medians of {rounds} rounds in turn:"
    )
    for number in range(-WARM_UP, rounds):
        for name, draw in arms.items():
            begun = time.perf_counter()
            drawn = draw(found)
            if number >= 0:
                milliseconds[name].append(1000 * (time.perf_counter() - begun))
                kilobytes[name] = len(drawn.encode()) / 1000
    taken = {name: statistics.median(values) for name, values in milliseconds.items()}
    for name in arms:
        print(f"  {name:18} {taken[name]:7.2f} ms {kilobytes[name]:7.1f} kB a chart")
    own, other = arms
    print(f"matplotlib: {taken[other] / taken[own]:.0f} times the time, ", end="")
    print(f"{kilobytes[other] / kilobytes[own]:.1f} times the size")
    return int(taken[own] > LIMIT_MS or kilobytes[own] > LIMIT_KB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
