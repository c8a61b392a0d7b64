from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pytest_parallelism.measurement import Interval, Outcome, Verdict
from pytest_parallelism.record import Entry, Throughput, to_json
from pytest_parallelism.reports.chart_json import render
from pytest_parallelism.reports.results import Results

Make = Callable[..., Entry]

UNKNOWN = Throughput(items_per_second=None, bytes_per_second=None)


def charts(*entries: Entry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render(Results.of(entries)))
    return found


def test_the_shape_is_what_chart_tools_take(entry: Make) -> None:
    points = [entry("processes", 2, 1.91), entry("threads", 2, 0.98), entry("loky", 2, status="skipped")]
    found = charts(*points)
    assert len(found) == 6
    for chart in found:
        assert chart.keys() - {"range"} == {"name", "unit", "value", "extra"}
        assert type(chart["value"]) is float
        assert all(type(chart[key]) is str for key in chart if key != "value")
    assert len({chart["name"] for chart in found}) == 6


def test_the_values_are_those_of_the_stored_json(entry: Make) -> None:
    point = entry(
        "processes", 2, 1 / 3, throughput=Throughput(items_per_second=0.1 + 0.2, bytes_per_second=1e22)
    )
    assert point.record is not None
    stored = to_json(point.record)
    assert [(c["name"].removeprefix(point.nodeid), c["unit"], c["value"]) for c in charts(point)] == [
        (" speedup", "x", stored["speedup"]["estimate"]),
        (" items per second", "items/s", stored["throughput"]["items_per_second"]),
        (" bytes per second", "bytes/s", stored["throughput"]["bytes_per_second"]),
    ]


def test_what_is_unknown_has_no_record(entry: Make) -> None:
    assert [chart["unit"] for chart in charts(entry("processes", 2, 1.9, throughput=UNKNOWN))] == ["x"]


def test_the_range_is_half_the_interval_as_github_action_benchmark_reads_it(entry: Make) -> None:
    wide = Interval(estimate=1.9, low=1.85, high=1.975, confidence=0.98)
    (chart,) = charts(entry("processes", 2, 1.9, speedup=wide, throughput=UNKNOWN))
    # The pattern of its extractRangeInfo.
    read = re.search(r"(?P<prefix>(\+-|±)\s*)(?P<value>\d.+)", chart["range"])
    assert read is not None
    assert float(read["value"]) == 0.0625


def test_a_single_pair_has_no_range(entry: Make) -> None:
    lone = Interval(estimate=1.9, low=1.9, high=1.9, confidence=0.0)
    (chart,) = charts(entry("processes", 2, 1.9, speedup=lone, throughput=UNKNOWN))
    assert "range" not in chart


def test_extra_is_one_line_of_verdicts_and_conditions(entry: Make) -> None:
    verdict = Verdict(gate="speedup", outcome=Outcome.FAILED, claim=2.0, found=1.9, sentence="too\nlong")
    environment = {"python": "3.13.0\nx", "gil": False, "cpu_model": "A CPU"}
    (chart,) = charts(
        entry("processes", 2, 1.9, verdicts=(verdict,), environment=environment, throughput=UNKNOWN)
    )
    assert chart["extra"].startswith("speedup failed; 2 usable cores of A CPU, Python 3.13.0 x, GIL off")
    assert "\n" not in chart["extra"]


def test_a_name_is_the_same_whatever_else_is_measured(entry: Make) -> None:
    point, other = entry("processes", 2, 1.9), entry("processes", 2, 1.9, test="other.py::test_parse")
    assert charts(point)[0]["name"] == charts(other, point)[3]["name"]
    assert charts(point)[0]["name"] == "suite/test_doc.py::test_parse[processes-w2] speedup"


def test_a_hostile_name_stays_one_line_in_its_code_and_cell(entry: Make) -> None:
    name = charts(entry("processes", 2, 1.9, test="t\n`@octocat`|\u202e"))[0]["name"]
    assert name == "t '@octocat'\u00a6?[processes-w2] speedup"


def test_without_points_the_list_is_empty() -> None:
    assert charts() == []
