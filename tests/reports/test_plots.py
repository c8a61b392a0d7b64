"""All tests in one picture."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_parallelism.record import Entry
from pytest_parallelism.reports import plots, svg
from pytest_parallelism.reports.drawing import HALO, Marks, drawn
from pytest_parallelism.reports.results import Results

Make = Callable[..., Entry]
SVG = f"{{{svg.NAMESPACE}}}"
PAPER = (255, 255, 255)


@pytest.fixture
def suite(entry: Make) -> Callable[[int], Results]:
    def made(tests: int) -> Results:
        return Results.of(
            entry(strategy, workers, 1 + 0.4 * workers, test=f"test_doc.py::test_{number}")
            for number in range(tests)
            for strategy in ("processes", "threads")
            for workers in (1, 2, 4)
        )

    return made


def panels(root: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom by title."""
    found = {}
    for panel in root.iter(f"{SVG}svg"):
        if panel is not root:
            x, y, width, height = (float(panel.get(name, "")) for name in ("x", "y", "width", "height"))
            found[panel[0].text or ""] = (x, y, x + width, y + height)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_each_test_has_a_panel_of_its_own_in_up_to_three_columns(
    suite: Callable[[int], Results], count: int
) -> None:
    root = ET.fromstring(plots.svg(suite(count)))
    found = panels(root)
    assert list(found) == [f"test_{number}" for number in range(count)]
    assert len({left for left, *_ in found.values()}) == min(count, 3)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for left, top, right, bottom in found.values():
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for one, other in itertools.combinations(found.values(), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart


def test_more_tests_than_anybody_looks_at_are_counted(suite: Callable[[int], Results]) -> None:
    root = ET.fromstring(plots.svg(suite(plots.MOST + 5)))
    assert len(panels(root)) == plots.MOST
    assert f"Speedup of {plots.MOST + 5} tests, the first {plots.MOST} of them" in svg_words(root)


def svg_words(root: ET.Element) -> list[str]:
    return [found.text or "" for found in root.iter(f"{SVG}text")]


def test_it_stands_alone_light_or_dark_and_says_its_conditions(suite: Callable[[int], Results]) -> None:
    root = ET.fromstring(plots.svg(suite(2)))
    (style,) = root.iter(f"{SVG}style")
    assert style.text == svg.STYLE
    paper = next(found for found in root.iter(f"{SVG}g") if found.get("class") == "pp-paper")
    assert paper[0].get("width") == root.get("width")
    assert paper[0].get("height") == root.get("height")
    assert any("2 usable cores of AMD EPYC 9R14, Python 3.11.7" in words for words in svg_words(root))
    named = [found.get("id") for found in root.iter() if found.get("id")]
    assert len(set(named)) == len(named) == 4


def test_a_strategy_has_one_colour_in_all_panels(entry: Make) -> None:
    points = [entry(name, 2, 1.5, test=f"test_{name}") for name in ("a", "b", "c")]
    points.append(entry("c", 2, 1.5, test="test_a"))
    root = ET.fromstring(plots.svg(Results.of(points)))
    colours = {
        panel[0].text: {found.get("class") for found in panel.iter(f"{SVG}g")} & {"pp-s0", "pp-s1", "pp-s2"}
        for panel in root.iter(f"{SVG}svg")
        if panel is not root
    }
    assert colours == {"test_a": {"pp-s0", "pp-s1"}, "test_b": {"pp-s2"}, "test_c": {"pp-s1"}}


def test_results_without_a_measured_point_say_so(entry: Make) -> None:
    for results in (Results.of([]), Results.of([entry("p", 2, status="skipped", reason="no")])):
        root = ET.fromstring(plots.svg(results))
        assert panels(root) == {}
        assert "No point with workers was measured." in svg_words(root)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\"'&\u202e\x00", "W" * 5000, "$\\frac$", "日本語"], ids=ascii
)
def test_a_hostile_test_and_strategy_are_text_in_both(entry: Make, name: str) -> None:
    results = Results.of([entry(name, n, 0.9 * n, test=f"test_doc.py::test[{name}]") for n in (1, 2)])
    root = ET.fromstring(plots.svg(results))
    assert not list(root.iter(f"{SVG}script"))
    assert all(words.isprintable() for words in svg_words(root))
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    assert plots.png(results).startswith(b"\x89PNG")


def pixels(png: bytes) -> Any:
    image = pytest.importorskip("matplotlib.image", reason="a PNG needs matplotlib")
    return (image.imread(io.BytesIO(png))[..., :3] * 255).round().astype(int)


def test_the_png_is_the_same_picture_with_twice_the_dots(suite: Callable[[int], Results]) -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    results = suite(2)
    found = pixels(plots.png(results))
    root = ET.fromstring(plots.svg(results))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    assert found.shape[:2] == pytest.approx((2 * height, 2 * width), abs=1)
    assert tuple(found[0, 0]) == tuple(found[-1, -1]) == PAPER
    for left, top, right, bottom in panels(root).values():
        panel = found[int(2 * top) : int(2 * bottom), int(2 * left) : int(2 * right)]
        for tone in ("s0", "s1", "muted", "shade"):
            colour = [int(svg.LIGHT[tone][n : n + 2], 16) for n in (1, 3, 5)]
            assert (panel == colour).all(axis=-1).any(), tone


def test_marks_of_the_png_stand_where_those_of_the_svg_do(entry: Make) -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    results = Results.of([entry("p", n, 0.9 * n) for n in (1, 2, 4)])
    root = ET.fromstring(plots.svg(results))
    ((left, top, _, _),) = panels(root).values()
    dots = next(found.get("d", "") for found in root.iter() if found.get("stroke-linecap") and found.get("d"))
    places = [tuple(map(float, place.removesuffix("h0").split())) for place in dots.split("M")[1:]]
    found = pixels(plots.png(results))
    blue = [int(svg.LIGHT["s0"][n : n + 2], 16) for n in (1, 3, 5)]
    assert len(places) == 3
    for x, y in places:
        assert list(found[round(2 * (top + y)), round(2 * (left + x))]) == blue


def test_marks_of_the_png_cover_the_lines_behind_them(entry: Make) -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    results = Results.of([entry("p", n, 1.5, 0.0) for n in (1, 2, 4)])
    (panel,) = plots._picture(results).panels
    marks = [shape for shape in drawn(panel.chart, panel.width, panel.height) if isinstance(shape, Marks)]
    halo = next(shape for shape in marks if shape.tone == "paper")
    found = pixels(plots.png(results))
    x, y = halo.places[1]
    edge = halo.size - HALO / 2  # between the mark and the line that begins where its halo ends
    assert tuple(found[round(2 * (panel.y + y)), int(2 * (panel.x + x + edge))]) == PAPER


def test_a_png_of_nothing_is_a_picture_too() -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    assert (pixels(plots.png(Results.of([]))) != 255).any()


def test_the_users_own_matplotlib_settings_do_not_change_the_png(suite: Callable[[int], Results]) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    plain = plots.png(suite(1))
    changed = {"text.usetex": True, "savefig.dpi": 30, "figure.facecolor": "red", "savefig.bbox": "tight"}
    with matplotlib.rc_context(changed):
        assert (pixels(plots.png(suite(1))) == pixels(plain)).all()
