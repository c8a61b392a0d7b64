"""One picture of all tests: a small panel of speedups for each, as SVG or PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from . import charts, text
from .charts import Chart
from .conditions import conditions
from .drawing import FONT, Box, Marks, Shape, Text, drawn, fitted, height_of, outline, wide
from .results import Results
from .svg import LIGHT, NAMESPACE, STYLE, add, element

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["png", "svg"]

COLUMNS = 3
WIDTH, HEIGHT = 440, 280
"""Pixels of a panel; a single one gets half as much again, and a row as much as its names need."""
MARGIN = 24
HEADING = 76

MOST = 120
"""Tests that are shown: nobody looks through more in one picture, and the HTML report has them all."""

SCALE = 2
"""Dots of the PNG for each pixel, for screens that have them …"""
MOST_DOTS = 20_000
"""… unless it gets higher than this."""

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """A chart and where it stands."""

    chart: Chart
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """Panels below a heading."""

    width: float
    height: float
    heading: tuple[Text, ...]
    panels: tuple[_Panel, ...]


def svg(results: Results) -> str:
    """A document of its own, light or dark as the reader prefers; its texts can be searched."""
    picture = _picture(results)
    size = {"width": f"{picture.width:g}", "height": f"{picture.height:g}"}
    box = f"0 0 {picture.width:g} {picture.height:g}"
    font = {"font-family": "system-ui,sans-serif", "font-size": f"{FONT:g}"}
    root = ET.Element("svg", {"xmlns": NAMESPACE, "viewBox": box, **size, **font, "fill": "currentColor"})
    ET.SubElement(root, "title").text = picture.heading[0].words
    ET.SubElement(root, "style").text = STYLE
    add(root, [Box("paper", 0, 0, picture.width, picture.height), *picture.heading])
    for number, panel in enumerate(picture.panels):
        drawing = element(panel.chart, ident=f"p{number}", width=panel.width, height=panel.height)
        for name in ("x", "y", "width", "height"):
            drawing.set(name, f"{getattr(panel, name):g}")
        root.append(drawing)
    return ET.tostring(root, encoding="unicode") + "\n"


def png(results: Results) -> bytes:
    """The same picture by matplotlib, light; ImportError where that is not installed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = _picture(results)
    dots = min(SCALE, MOST_DOTS / picture.height)
    figure = Figure(
        figsize=(picture.width / 72, picture.height / 72), dpi=72 * dots, facecolor=LIGHT["paper"]
    )
    # One pair of axes in pixels, y downwards; what is drawn is all our own.
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()
    _paint(axes, picture.heading, (0, 0))
    for panel in picture.panels:
        _paint(axes, drawn(panel.chart, panel.width, panel.height), (panel.x, panel.y))
    written = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is shown as boxes: nothing that anybody could change here.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        FigureCanvasAgg(figure).print_png(written)  # type: ignore[no-untyped-call]  # of matplotlib 3.11
    return written.getvalue()


def _picture(results: Results) -> _Picture:
    found = [(results.titles[test], charts.speedup(group)) for test, group in results.tests.items()]
    shown = _in_one_style([replace(chart, title=title) for title, chart in found if chart is not None])
    single = 1.5 if len(shown) == 1 else 1.0
    width, height = WIDTH * single, HEIGHT * single
    columns = max(1, min(COLUMNS, len(shown)))
    panels: list[_Panel] = []
    top = float(HEADING)
    for start in range(0, min(len(shown), MOST), columns):
        row = shown[start : min(start + columns, MOST)]
        tallest = max(height_of(chart, height) for chart in row)
        for column, chart in enumerate(row):
            left = MARGIN + column * (width + MARGIN)
            panels.append(_Panel(chart=chart, x=left, y=top, width=width, height=tallest))
        top += tallest + MARGIN
    whole = MARGIN + columns * (width + MARGIN)
    heading = tuple(_heading(results, len(shown), whole - 2 * MARGIN))
    return _Picture(width=whole, height=top, heading=heading, panels=tuple(panels))


def _in_one_style(found: Sequence[Chart]) -> list[Chart]:
    """Each strategy in the same style in all charts."""
    names = dict.fromkeys(series.name for chart in found for series in chart.series)
    styles = {name: style for style, name in enumerate(names)}
    return [
        replace(chart, series=tuple(replace(one, style=styles[one.name]) for one in chart.series))
        for chart in found
    ]


def _heading(results: Results, shown: int, room: float) -> Iterable[Text]:
    title = f"Speedup of {text.counted(shown, 'test')}" if shown else "No point with workers was measured."
    if shown > MOST:
        title += f", the first {MOST} of them"
    yield Text("ink", MARGIN, 28, fitted(title, room, 16, bold=True), size=16, bold=True)
    for sentence in conditions(results.records)[:1]:
        lines = text.wrapped(sentence, int(room / wide("n")))
        yield from (Text("muted", MARGIN, 46 + 14 * n, line) for n, line in enumerate(lines[:2]))


def _paint(axes: Axes, shapes: Iterable[Shape], corner: Place) -> None:
    """Draw the shapes, in their order, with ``corner`` as their upper left."""
    for shape in shapes:
        for artist in _artists(shape, corner):
            artist.set_zorder(1)  # else lines would hide all boxes, and texts all lines
            axes.add_artist(artist)


def _artists(shape: Shape, corner: Place) -> Iterator[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle, Polygon, Rectangle

    colour = LIGHT[shape.tone]
    if isinstance(shape, Box):
        place = _moved((shape.x, shape.y), corner)
        yield Rectangle(place, shape.width, shape.height, facecolor=colour, linewidth=0)
    elif isinstance(shape, Text):
        yield _written(shape, corner)
    elif isinstance(shape, Marks):
        sides = outline(shape.style, shape.size)
        for place in (_moved(place, corner) for place in shape.places):
            if sides:
                yield Polygon([_moved(side, place) for side in sides], facecolor=colour, linewidth=0)
            else:
                yield Circle(place, shape.size, facecolor=colour, linewidth=0)
    else:
        for line in shape.lines:
            xs, ys = zip(*(_moved(place, corner) for place in line), strict=True)
            artist = Line2D(xs, ys, color=colour, linewidth=shape.width, alpha=0.6 if shape.faint else 1.0)
            if shape.dash:
                artist.set_dashes([length / shape.width for length in shape.dash])
            yield artist


def _written(shape: Text, corner: Place) -> Artist:
    from matplotlib.text import Text as Label

    x, y = _moved((shape.x, shape.y), corner)
    horizontal: Any = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
    return Label(
        x,
        y,
        shape.words,
        color=LIGHT[shape.tone],
        fontsize=shape.size,
        fontweight="bold" if shape.bold else "normal",
        fontfamily="DejaVu Sans",  # comes with matplotlib
        horizontalalignment=horizontal,
        verticalalignment="baseline",
        parse_math=False,  # a dollar sign in a name is one
        usetex=False,
    )


def _moved(place: Place, corner: Place) -> Place:
    return place[0] + corner[0], place[1] + corner[1]
