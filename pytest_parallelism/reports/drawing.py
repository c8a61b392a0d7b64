"""What a chart looks like: boxes, strokes, marks and texts in pixels, which SVG and PNG only have to copy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from . import text
from .charts import Chart, Line, Point, Series

__all__ = [
    "STYLES",
    "Box",
    "Marks",
    "Shape",
    "Strokes",
    "Text",
    "apart",
    "drawn",
    "fitted",
    "height_of",
    "outline",
    "wide",
]

STYLES = 8
"""Colours and mark shapes; with more series they repeat, dashed."""

FONT = 11.0
DASHED, DOTTED = (4, 3), (1, 3)
ROW = 14.0
"""From one label at the right end to the next."""
TOP, BOTTOM, X_LABEL = 46.0, 24.0, 16.0
"""Room above the plot (title, what y is, what the shade is), below it (ticks), and for what x is."""
MARK = 4.0
HALO = 1.3
"""Paper around a mark, which parts it from the lines behind it."""
GLYPH = 16.0
"""From the plot's right end to the names of series, whose marks stand between; half of it for one alone."""
MOST_NAMES = 0.4
"""Part of the width that names may take."""

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Strokes:
    """Lines through two or more places each."""

    tone: str
    lines: tuple[tuple[Place, ...], ...]
    width: float = 1.0
    dash: tuple[int, int] | None = None
    """Pixels of a dash and of the gap behind it."""
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """One mark at each place: the shape of that style, ``size`` from its centre to its edge."""

    tone: str
    style: int
    size: float
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text on its base line."""

    tone: str
    x: float
    y: float
    words: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: float = FONT
    bold: bool = False


Shape = Box | Strokes | Marks | Text


def drawn(chart: Chart, width: float, height: float) -> list[Shape]:
    """The chart in pixels, x to the right and y downwards; no text leaves the picture."""
    return list(_Drawing(chart, width, height).shapes())


def height_of(chart: Chart, height: float) -> float:
    """``height``, or what the names at the right need if that is more."""
    return max(height, TOP + _below(chart) + ROW * (len(chart.series) + len(chart.lines) - 1))


def _below(chart: Chart) -> float:
    return BOTTOM + (X_LABEL if chart.x.label else 0.0)


def wide(words: str, size: float = FONT, *, bold: bool = False) -> float:
    """Pixels that ``words`` take in any common sans-serif font: rather too many than too few."""
    return size * sum(map(_em, words)) * (1.1 if bold else 1.0)


def _em(char: str) -> float:
    # By DejaVu Sans, the widest of the fonts that browsers and matplotlib fall back to.
    if char in "ijlI.,:;|'!()[]/ ":
        return 0.4
    if char in "mwMW@%" or not char.isascii():
        return 1.0
    return 0.85 if char.isupper() or char in "#&+<=>~" else 0.65


def fitted(words: str, room: float, size: float = FONT, *, bold: bool = False) -> str:
    """``words``, clean and in at most ``room`` pixels: what is too much is left out of the middle."""
    words = text.shorten(text.clean(words), max(1, int(room / size / 0.4)))
    while len(words) > 1 and wide(words, size, bold=bold) > room:
        words = text.shorten(words, text.cells(words) - 1)
    return words


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near ``wanted``, in the same order, ``gap`` from each other, from ``low`` to ``high``.

    Least squares (pooling of adjacent violators: Ayer et al., Ann. Math. Statist. 26 (1955) 641-647); closer
    than ``gap`` where there is no room.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    blocks: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, count = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (mean * count + before * many) / (count + many), count + many
        blocks.append((mean, count))
    bases = [mean for mean, count in blocks for _ in range(count)]
    highest = high - gap * (len(wanted) - 1)
    found = dict(zip(order, bases, strict=True))
    ranks = {index: rank for rank, index in enumerate(order)}
    return [min(max(found[i], low), highest) + ranks[i] * gap for i in range(len(wanted))]


class _Drawing:
    """One chart's layout."""

    def __init__(self, chart: Chart, width: float, height: float) -> None:
        self.chart, self.width = chart, width
        self.alone = len(chart.series) == 1
        self.glyph = GLYPH / 2 if self.alone else GLYPH
        names = [wide(text.clean(name)) for name in self._names()]
        self.names = min(max(names, default=0.0), MOST_NAMES * width)
        self.left = 10 + max((wide(label) for _, label in chart.y.ticks), default=0.0)
        self.right = width - self.glyph - self.names
        self.mark = MARK if max(len(series.points) for series in chart.series) <= 12 else MARK / 2
        self.top, self.bottom = TOP, height - _below(chart)

    def shapes(self) -> Iterator[Shape]:
        if self.chart.shade:
            left, right = self._x(self.chart.shade.low), self._x(self.chart.shade.high)
            yield Box("shade", left, self.top, right - left, self.bottom - self.top)
        yield from self._frame()
        yield from self._compared()
        # Shapes of one tone in a row make the smallest files.
        ends = self._ends()
        for series, end in zip(self.chart.series, ends, strict=False):
            yield from self._lines(series, end)
        places = tuple(self._at(point) for series in self.chart.series for point in series.points)
        yield Marks("paper", 0, self.mark + HALO, places)
        for series, end in zip(self.chart.series, ends, strict=False):
            yield self._marks(series, end)
        yield from self._point_labels()
        yield from self._end_labels(ends)
        yield from self._headings()

    def _x(self, value: float) -> float:
        return self.left + self.chart.x.share(value) * (self.right - self.left)

    def _y(self, value: float) -> float:
        return self.bottom - self.chart.y.share(value) * (self.bottom - self.top)

    def _at(self, point: Point) -> Place:
        return self._x(point.x), self._y(point.y)

    def _names(self) -> list[str]:
        return [one.name for one in self.chart.series] + [line.label for line in self._reaching()]

    def _reaching(self) -> list[Line]:
        """The lines that end at the right edge, where series are named too."""
        x, y = self.chart.x, self.chart.y
        return [line for line in self.chart.lines if x.share(line.end[0]) == 1 and y.share(line.end[1]) < 1]

    def _frame(self) -> Iterator[Shape]:
        rows = [(self._y(at), label) for at, label in self.chart.y.ticks]
        yield Strokes("grid", tuple(((self.left, y), (self.right, y)) for y, _ in rows))
        columns = [(self._x(at), label) for at, label in self.chart.x.ticks]
        edge = ((self.left, self.bottom), (self.right, self.bottom))
        yield Strokes("muted", (edge, *(((x, self.bottom), (x, self.bottom + 4)) for x, _ in columns)))
        for y, label in rows:
            yield Text("muted", self.left - 6, y + 4, label, "end")
        free = 0.0
        for figure in (self._centred(x, self.bottom + 16, label) for x, label in columns):
            half = wide(figure.words) / 2
            if figure.x - half >= free:
                free = figure.x + half
                yield figure
        if self.chart.x.label:
            yield self._centred((self.left + self.right) / 2, self.bottom + 32, self.chart.x.label)

    def _centred(self, x: float, y: float, words: str) -> Text:
        half = wide(words) / 2
        return Text("muted", min(max(x, half), self.width - half), y, words, "middle")

    def _headings(self) -> Iterator[Shape]:
        yield Text("ink", 0, 14, fitted(self.chart.title, self.width, 13, bold=True), size=13, bold=True)
        yield Text("muted", 0, self.top - 10, self.chart.y.label)
        if self.chart.shade:
            room = self.width - wide(self.chart.y.label) - 12
            note = fitted(self.chart.shade.label, room)
            left = min(self._x(self.chart.shade.low), self.width - wide(note))
            yield Text("muted", left, self.top - 10, note)

    def _compared(self) -> Iterator[Shape]:
        lines = tuple(
            ((self._x(a[0]), self._y(a[1])), (self._x(b[0]), self._y(b[1])))
            for a, b in ((line.start, line.end) for line in self.chart.lines)
        )
        if lines:
            yield Strokes("muted", lines, dash=DASHED)
        reaching = self._reaching()
        steep = [one for one in zip(self.chart.lines, lines, strict=True) if one[0] not in reaching]
        room = max((wide(line.label) for line, _ in steep), default=0.0)
        places = apart([end[0] for _, (_, end) in steep], room + 4, room / 2, self.width - room / 2)
        for (line, ((begin, _), (x, y))), place in zip(steep, places, strict=True):
            if begin == x:  # upright: named above its end, where it hides no point
                yield Text("muted", place, y - 4, line.label, "middle")
            else:
                yield Text("muted", x - 20, y + 9, line.label, "end")

    def _ends(self) -> list[tuple[Place, float]]:
        """Where each series and then each line that reaches the right edge ends, and the row of its name."""
        ends = [self._at(series.points[-1]) for series in self.chart.series]
        ends += [(self._x(line.end[0]), self._y(line.end[1])) for line in self._reaching()]
        return list(zip(ends, apart([y for _, y in ends], ROW, self.top, self.bottom), strict=True))

    def _lines(self, series: Series, end: tuple[Place, float]) -> Iterator[Shape]:
        tone = _tone(series)
        bars = tuple(
            ((self._x(p.x), self._y(p.low)), (self._x(p.x), self._y(p.high)))
            for p in series.points
            if p.low is not None and p.high is not None
        )
        if bars:
            yield Strokes(tone, bars, width=1.5, faint=True)
        if len(series.points) > 1:
            dash = DASHED if series.style >= STYLES else None
            yield Strokes(tone, (tuple(map(self._at, series.points)),), width=2.0, dash=dash)
        (x, y), row = end
        # Where points are labelled, they need not be in the order of x: a last one says nothing.
        if not self.alone and not series.points[-1].label and (self.right - x > GLYPH or abs(row - y) > 1):
            yield Strokes(tone, (((x, y), (self.right + self.glyph / 2, row)),), dash=DOTTED)

    def _marks(self, series: Series, end: tuple[Place, float]) -> Shape:
        key = [] if self.alone else [(self.right + self.glyph / 2, end[1])]
        places = (*map(self._at, series.points), *key)
        return Marks(_tone(series), series.style % STYLES, self.mark, places)

    def _point_labels(self) -> Iterator[Shape]:
        """Each beside its mark, at the first of four corners that is free; crowded ones have none."""
        points = [point for series in self.chart.series for point in series.points if point.label]
        taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in map(self._at, points)]
        for point in points:
            x, y = self._at(point)
            span = wide(point.label, 10)
            corners = [(x + 5, y - 5), (x - 5 - span, y - 5), (x + 5, y + 13), (x - 5 - span, y + 13)]
            boxes = [(left, base - 8, left + span, base) for left, base in corners]
            free = [box for box in boxes if not any(_overlap(box, other) for other in taken)]
            if free:
                taken.append(free[0])
                yield Text("muted", free[0][0], free[0][3], point.label, size=10)

    def _end_labels(self, ends: Sequence[tuple[Place, float]]) -> Iterator[Shape]:
        left = self.right + self.glyph
        for number, (name, (_, row)) in enumerate(zip(self._names(), ends, strict=True)):
            tone = "ink" if number < len(self.chart.series) else "muted"
            yield Text(tone, left, row + 4, fitted(name, self.names))


def _tone(series: Series) -> str:
    return f"s{series.style % STYLES}"


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def outline(style: int, size: float) -> tuple[Place, ...]:
    """The corners of that style's mark around (0, 0); none for a circle."""
    reach = size * _GROWN[style]
    return tuple((reach * x, reach * y) for x, y in _OUTLINES[style])


def _corners(count: int, turn: float = 0.0) -> tuple[Place, ...]:
    """Of a regular shape of radius 1, from the top on, turned by a part of a whole turn."""
    angles = [2 * math.pi * (n / count + turn) for n in range(count)]
    return tuple((math.sin(angle), -math.cos(angle)) for angle in angles)


_OUTLINES = (
    (),  # a circle
    _corners(4, 1 / 8),  # a square
    _corners(3),  # a triangle
    _corners(4),  # a diamond
    _corners(3, 1 / 2),  # a triangle upside down
    _corners(5),  # a pentagon
    _corners(3, 1 / 4),  # a triangle to the right
    _corners(3, 3 / 4),  # a triangle to the left
)
_GROWN = (1.0, 1.25, 1.35, 1.3, 1.35, 1.15, 1.35, 1.35)
"""So that all look alike in size."""
