"""Charts as SVG: harmless, small, readable by people and by their software."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_parallelism.history import Seen
from pytest_parallelism.history import Series as History
from pytest_parallelism.measurement import Interval
from pytest_parallelism.record import Entry
from pytest_parallelism.reports import charts, drawing, svg
from pytest_parallelism.reports.charts import Chart

Make = Callable[..., Entry]
SVG = f"{{{svg.NAMESPACE}}}"
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quotes\" 'and' & ]]> -->",
    "\u202eright to left",
    "W" * 5000,
    "nul\x00 esc\x1b[31m \ufffe \ud800 tab\t line\nbreak",
    "日本語のとても長い名前" * 10,
)


def chart(points: list[Entry], of: Callable[[list[Entry]], Chart | None] = charts.speedup) -> Chart:
    found = of(points)
    assert found is not None
    return found


def parsed(source: Chart, **size: int) -> ET.Element:
    return ET.fromstring(svg.draw(source, ident="t0", **size))


def texts(root: ET.Element) -> list[ET.Element]:
    return list(root.iter(f"{SVG}text"))


def words(root: ET.Element) -> list[str]:
    return [found.text or "" for found in texts(root)]


@pytest.fixture
def points(entry: Make) -> list[Entry]:
    return [entry(f"strategy-{i}", n, 1 + 0.1 * i * n) for i in range(10) for n in (1, 2, 4, 8)]


def test_it_is_an_image_with_a_title_and_a_description(points: list[Entry]) -> None:
    source = chart(points)
    root = ET.fromstring(svg.draw(source, ident="t3-speedup"))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    named = {found.get("id"): found.text for found in root if found.get("id")}
    assert root.get("aria-labelledby") == " ".join(filter(None, named))
    assert named == {"t3-speedup-title": source.title, "t3-speedup-desc": source.description}


def test_its_size_is_left_to_the_page(points: list[Entry]) -> None:
    root = parsed(chart(points), width=400, height=300)
    assert root.get("viewBox") == "0 0 400 300"
    assert root.get("width") is None
    assert root.get("height") is None


def test_it_needs_no_style_and_no_script(points: list[Entry]) -> None:
    """What a content security policy without 'unsafe-inline' would stop."""
    for found in parsed(chart(points)).iter():
        assert found.tag not in (f"{SVG}style", f"{SVG}script")
        assert not [name for name in found.attrib if name == "style" or name.startswith("on")]


def test_every_colour_is_there_as_an_attribute_and_as_a_class(points: list[Entry]) -> None:
    groups = list(parsed(chart(points)).iter(f"{SVG}g"))
    tones = {(found.get("class"), found.get("color")) for found in groups}
    assert tones <= {(f"pp-{tone}", colour) for tone, colour in svg.LIGHT.items()}
    assert {f"pp-s{n}" for n in range(8)} <= {name for name, _ in tones}


@pytest.mark.parametrize("of", [charts.speedup, charts.efficiency, charts.cost, charts.memory])
def test_ten_strategies_at_four_counts_are_less_than_ten_kilobytes(
    points: list[Entry], of: Callable[[list[Entry]], Chart | None]
) -> None:
    assert len(svg.draw(chart(points, of), ident="t0")) < 10_000


def test_series_are_named_at_the_right_in_the_order_of_their_ends(entry: Make) -> None:
    root = parsed(chart([entry("slow", 2, 1.1), entry("fast", 2, 1.9), entry("middle", 2, 1.5)]))
    named = {found.text: found for found in texts(root)}
    rows = [float(named[name].get("y", "")) for name in ("fast", "middle", "slow", "sequential")]
    assert rows == sorted(rows)
    assert len({named[name].get("x") for name in ("fast", "middle", "slow")}) == 1


def test_names_of_equal_ends_do_not_overlap_and_stay_inside(entry: Make) -> None:
    for count in (2, 12, 40):
        root = parsed(chart([entry(f"s-{n}", 2, 1.5) for n in range(count)]))
        rows = sorted(float(found.get("y", "")) for found in texts(root) if "s-" in (found.text or ""))
        height = float(root.get("viewBox", "").split()[3])
        assert len(rows) == count
        assert min(b - a for a, b in itertools.pairwise(rows)) >= drawing.FONT + 1
        assert drawing.FONT < rows[0] < rows[-1] < height


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
@pytest.mark.parametrize("of", [charts.speedup, charts.efficiency, charts.cost, charts.memory])
def test_a_hostile_name_is_text(entry: Make, name: str, of: Callable[[list[Entry]], Chart | None]) -> None:
    root = parsed(chart([entry(name, n, 0.9 * n) for n in (1, 2, 1024)] + [entry("other", 2, 1.5)], of))
    assert {found.tag.removeprefix(SVG) for found in root.iter()} <= {
        "svg", "title", "desc", "g", "path", "rect", "text",
    }  # fmt: skip
    assert all(word.isprintable() for word in words(root))
    assert any(word[:3] == name[:3].replace("\u202e", "?") for word in words(root))
    assert_nothing_is_cut_off(root)


def test_a_hostile_title_is_text() -> None:
    interval = Interval(estimate=1.5, low=1.4, high=1.6, confidence=0.98)
    for name in HOSTILE:
        seen = (Seen(run=name, when="", commit=name, speedup=interval, step=0.5),)
        source = charts.over_time(History(point=name, seen=seen))
        assert source is not None
        root = parsed(source, width=240, height=160)
        assert all(word.isprintable() for word in words(root))
        assert_nothing_is_cut_off(root)


def test_whatever_a_chart_holds_the_title_and_description_are_clean(points: list[Entry]) -> None:
    root = parsed(replace(chart(points), title="nul\x00 \ud800", description="\u202e"))
    assert [found.text for found in root][:2] == ["nul? ?", "?"]


def test_history_keeps_its_dates_and_steps_inside_and_apart() -> None:
    interval = Interval(estimate=1.5, low=1.4, high=1.6, confidence=0.98)
    seen = tuple(
        Seen(
            run=f"{n}",
            when=f"2026-10-{n + 1:02}",
            commit="",
            speedup=interval,
            step=0.5 if n in (1, 2, 23) else None,
        )
        for n in range(24)
    )
    source = charts.over_time(History(point="p", seen=seen))
    assert source is not None
    root = parsed(source, width=240, height=160)
    assert {"2026-10-01", "2026-10-24"} <= set(words(root))
    assert_nothing_is_cut_off(root)
    places = sorted(float(found.get("x", "")) for found in texts(root) if found.text == "-50.0 %")
    assert len(places) == 3
    assert min(b - a for a, b in itertools.pairwise(places)) > drawing.wide("-50.0 %")


@pytest.mark.parametrize(
    "name",
    ["multiprocessing-pool-forkserver", "WMQOG@%mw", "<script>#&+=~", "illicit.,'|", "Ждать", "0123_456"],
)
def test_widths_are_not_underestimated(name: str) -> None:
    paths = pytest.importorskip("matplotlib.textpath", reason="matplotlib brings a font to compare with")
    real = paths.TextPath((0, 0), name, size=11, prop={"family": "DejaVu Sans"}).get_extents().width
    assert 0.6 * drawing.wide(name) < real < drawing.wide(name)


def assert_nothing_is_cut_off(root: ET.Element) -> None:
    width = float(root.get("viewBox", "").split()[2])
    for found in texts(root):
        x, size = float(found.get("x", "")), float(found.get("font-size", drawing.FONT))
        wide = drawing.wide(found.text or "", size, bold=found.get("font-weight") is not None)
        part = {None: 0.0, "middle": 0.5, "end": 1.0}[found.get("text-anchor")]
        assert x - part * wide >= -0.1, found.text
        assert x + (1 - part) * wide <= width + 0.1, found.text


@pytest.mark.parametrize("size", [(240, 160), (320, 200), (480, 320), (900, 500)])
def test_nothing_is_cut_off_at_any_size(points: list[Entry], size: tuple[int, int]) -> None:
    assert_nothing_is_cut_off(parsed(chart(points), width=size[0], height=size[1]))


def test_an_interval_is_a_bar_and_none_where_a_single_pair_tells_none(entry: Make) -> None:
    def bars(points: list[Entry]) -> int:
        strokes = [found for found in parsed(chart(points)).iter() if found.get("stroke-opacity")]
        return sum((found.get("d") or "").count("M") for found in strokes)

    lone = Interval(estimate=1.5, low=1.5, high=1.5, confidence=0)
    assert bars([entry("p", 1, 1.0, 0.1), entry("p", 2, 1.5, 0.1)]) == 2
    assert bars([entry("p", 2, 1.5, speedup=lone)]) == 0


def test_the_ninth_series_has_the_first_colour_and_another_line(entry: Make) -> None:
    root = parsed(chart([entry(f"s{i}", n, 1 + 0.1 * i) for i in range(9) for n in (1, 2)]))
    lines = [found for found in root.iter() if found.get("stroke-width") == "2"]
    assert [found.get("stroke-dasharray") is not None for found in lines] == [False] * 8 + [True]


def test_points_of_cost_are_labelled_with_their_workers_and_no_two_labels_overlap(entry: Make) -> None:
    apart = parsed(chart([entry("p", n, 0.9 * n) for n in (1, 2, 4)], charts.cost))
    assert [found.text for found in texts(apart) if found.get("font-size") == "10"] == ["1", "2", "4"]
    crowd = parsed(chart([entry(f"s{i}", n, 1.5) for i in range(5) for n in (1, 2, 4)], charts.cost))
    places = [(found.get("x"), found.get("y")) for found in texts(crowd) if found.get("font-size") == "10"]
    assert 1 <= len(places) == len(set(places))


def test_shapes_differ_as_well_as_colours() -> None:
    outlines = [drawing.outline(style, 4.0) for style in range(drawing.STYLES)]
    assert len(set(outlines)) == drawing.STYLES
    assert len({svg.LIGHT[f"s{style}"] for style in range(drawing.STYLES)}) == drawing.STYLES


@pytest.mark.parametrize("colours", [svg.LIGHT, svg.DARK], ids=["light", "dark"])
def test_colours_stand_out_from_the_paper_and_the_shade(colours: Mapping[str, str]) -> None:
    for ground in ("paper", "shade"):
        for tone, colour in colours.items():
            if tone.startswith("s") and tone != "shade":
                assert contrast(colour, colours[ground]) >= 3, tone
            if tone in ("ink", "muted"):
                assert contrast(colour, colours[ground]) >= 4.5, tone


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_style_gives_each_class_a_property_with_a_light_and_a_dark_value() -> None:
    light, dark = svg.STYLE.split("@media screen and (prefers-color-scheme: dark)")
    for tone in svg.LIGHT:
        assert f"--pp-{tone}:{svg.LIGHT[tone]};" in light
        assert f"--pp-{tone}:{svg.DARK[tone]};" in dark
        assert re.search(rf"\.pp-{tone}\s*{{color:var\(--pp-{tone}\)}}", svg.STYLE)


@given(
    st.lists(st.floats(0, 100), max_size=20),
    st.floats(0, 20),
)
def test_places_moved_apart_keep_their_order_and_bounds(wanted: list[float], gap: float) -> None:
    found = drawing.apart(wanted, gap, 0, 100)
    ranked = [place for _, place in sorted(zip(wanted, found, strict=True))]
    least = min(gap, 100 / max(1, len(wanted) - 1))
    assert all(b - a >= least - 1e-6 for a, b in itertools.pairwise(ranked))
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in found)


def test_places_that_are_apart_stay_and_others_move_no_further_than_they_must() -> None:
    assert drawing.apart([10, 50, 90], 14, 0, 100) == [10, 50, 90]
    assert drawing.apart([50, 50], 14, 0, 100) == [43, 57]
    assert drawing.apart([99, 100], 14, 0, 100) == [86, 100]
    assert drawing.apart([], 14, 0, 100) == []


@given(st.text(), st.floats(20, 400))
def test_a_fitted_text_is_no_wider_than_its_room(name: str, room: float) -> None:
    found = drawing.fitted(name, room)
    assert drawing.wide(found) <= room
    assert found.isprintable()
