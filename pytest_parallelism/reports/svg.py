"""Charts as SVG: small, without scripts and style attributes, its colours the page's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby, pairwise
from xml.etree import ElementTree as ET

from . import text
from .charts import Chart
from .drawing import FONT, Box, Marks, Shape, Strokes, Text, drawn, height_of, outline

__all__ = ["DARK", "LIGHT", "NAMESPACE", "STYLE", "add", "draw", "element"]

NAMESPACE = "http://www.w3.org/2000/svg"

# Eight colours after Okabe and Ito, darkened till each stands out from its paper by 3:1 (WCAG 1.4.11), and
# moved till the nearest two differ by 0.05 at least in OKLab, with any colour vision (Machado, Oliveira and
# Fernandes, IEEE TVCG 15 (2009) 1291-1298); those of text by 4.5:1 (WCAG 1.4.3).
LIGHT: Mapping[str, str] = {
    "s0": "#0a4fd0",
    "s1": "#ee4a1a",
    "s2": "#0a9a58",
    "s3": "#a05aa6",
    "s4": "#7a3c05",
    "s5": "#5486ea",
    "s6": "#6f299d",
    "s7": "#65665c",
    "ink": "#1f2328",
    "muted": "#5b636e",
    "grid": "#e4e7eb",
    "shade": "#f2f4f6",
    "paper": "#ffffff",
}
DARK: Mapping[str, str] = {
    "s0": "#6c86dc",
    "s1": "#ff7420",
    "s2": "#12b894",
    "s3": "#ee9bf0",
    "s4": "#e5e070",
    "s5": "#a0ecf8",
    "s6": "#a482ff",
    "s7": "#aeca96",
    "ink": "#e6e9ed",
    "muted": "#9aa4b1",
    "grid": "#2c313a",
    "shade": "#1f232b",
    "paper": "#16181d",
}


def _properties(colours: Mapping[str, str]) -> str:
    return ":root{" + "".join(f"--pp-{tone}:{colour};" for tone, colour in colours.items()) + "}"


STYLE = "\n".join(
    [
        _properties(LIGHT),
        f"@media screen and (prefers-color-scheme: dark){{{_properties(DARK)}}}",
        *(f".pp-{tone}{{color:var(--pp-{tone})}}" for tone in LIGHT),
    ]
)
"""CSS that gives each class its colour by a custom property, so that a page can give it another."""


def draw(chart: Chart, *, ident: str, width: int = 480, height: int = 320) -> str:
    """The chart as one ``<svg>`` element, for a page whose style holds `STYLE` or for none.

    ``ident``: unique within the page. ``height`` grows where that many names need it.
    """
    root = element(chart, ident=ident, width=width, height=height_of(chart, height))
    root.set("xmlns", NAMESPACE)
    return ET.tostring(root, encoding="unicode")


def element(chart: Chart, *, ident: str, width: float, height: float) -> ET.Element:
    """The same as an element, exactly so high; its names need ``NAMESPACE`` on the outermost one."""
    root = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {_figure(width)} {_figure(height)}",
            "role": "img",
            "aria-labelledby": f"{ident}-title {ident}-desc",
            "font-family": "system-ui,sans-serif",
            "font-size": _figure(FONT),
            "fill": "currentColor",
        },
    )
    for tag, name, words in (("title", "title", chart.title), ("desc", "desc", chart.description)):
        ET.SubElement(root, tag, {"id": f"{ident}-{name}"}).text = text.clean(words)
    add(root, drawn(chart, width, height))
    return root


def add(parent: ET.Element, shapes: Iterable[Shape]) -> None:
    """Put the shapes into ``parent``, in their order; those in a row that are alike in tone share a group."""
    for (tone, stroked), alike in groupby(shapes, key=lambda shape: (shape.tone, isinstance(shape, Strokes))):
        attributes = {"class": f"pp-{tone}", "color": LIGHT[tone]}
        if stroked:
            attributes |= {"fill": "none", "stroke": "currentColor"}
        group = ET.SubElement(parent, "g", attributes)
        for shape in alike:
            _put(group, shape)


def _put(group: ET.Element, shape: Shape) -> None:
    if isinstance(shape, Text):
        attributes = {"x": _figure(shape.x), "y": _figure(shape.y)}
        if shape.size != FONT:
            attributes["font-size"] = _figure(shape.size)
        if shape.anchor != "start":
            attributes["text-anchor"] = shape.anchor
        if shape.bold:
            attributes["font-weight"] = "600"
        ET.SubElement(group, "text", attributes).text = text.clean(shape.words)
    elif isinstance(shape, Box):
        sides = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
        ET.SubElement(group, "rect", {side: _figure(value) for side, value in sides.items()})
    elif isinstance(shape, Marks):
        ET.SubElement(group, "path", _marks(shape))
    else:
        attributes = {"d": "".join(map(_line, shape.lines))}
        if shape.width != 1:
            attributes["stroke-width"] = _figure(shape.width)
        if shape.dash:
            attributes["stroke-dasharray"] = "{} {}".format(*shape.dash)
        if shape.faint:
            attributes["stroke-opacity"] = ".6"
        ET.SubElement(group, "path", attributes)


def _marks(marks: Marks) -> dict[str, str]:
    if not (corners := outline(marks.style, marks.size)):
        # A line without length and with round ends is a dot, in a quarter of the characters.
        dots = "".join(f"M{_figure(x)} {_figure(y)}h0" for x, y in marks.places)
        size = _figure(2 * marks.size)
        return {"d": dots, "stroke": "currentColor", "stroke-width": size, "stroke-linecap": "round"}
    sides = " ".join(f"{_figure(x - a)} {_figure(y - b)}" for (a, b), (x, y) in pairwise(corners))
    sides = sides.replace(" -", "-")
    right, down = corners[0]
    return {"d": "".join(f"M{_figure(x + right)} {_figure(y + down)}l{sides}z" for x, y in marks.places)}


def _figure(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # + 0.0: no "-0"


def _line(places: Iterable[tuple[float, float]]) -> str:
    (x, y), *others = ((_figure(x), _figure(y)) for x, y in places)
    path = f"M{x} {y}"
    for right, down in others:
        path += f"V{down}" if right == x else f"H{right}" if down == y else f"L{right} {down}"
        x, y = right, down
    return path
