from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_parallelism.measurement import Interval, Kind
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.results import Results
from pytest_parallelism.reports.yaml import render

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

Make = Callable[..., Entry]


def configuration(*entries: Entry) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(Results.of(entries)))
    assert list(found) == ["parallelization"]
    inside: dict[str, Any] = found["parallelization"]
    return inside


def test_a_test_gets_what_the_terminal_report_recommends(entry: Make) -> None:
    points = [
        entry("sequential", 1, 1.0),
        entry("threads", 2, 0.98),
        *(entry("processes", n, s) for n, s in ((2, 1.8), (4, 3.81), (8, 3.9))),
    ]
    assert configuration(*points) == {
        "default_executor": "processes",
        "max_workers": {"io_bound": None, "cpu_bound": 4},
        "backends": {"suite/test_doc.py::test_parse": "processes"},
    }


def test_the_default_is_what_most_of_the_tests_that_gain_should_use(entry: Make) -> None:
    points = [
        entry("loky", 2, 1.9, test="a"),
        entry("processes", 2, 1.2, test="b"),
        entry("processes", 2, 1.3, test="c"),
        *(entry("threads", 2, 1.0, test=test) for test in "def"),
    ]
    found = configuration(*points)
    assert found["default_executor"] == "processes"
    assert found["backends"] == {
        "a": "loky",
        "b": "processes",
        "c": "processes",
        **dict.fromkeys("def", "sequential"),
    }


def test_of_as_many_tests_the_larger_median_speedup_decides(entry: Make) -> None:
    slow, fast = entry("processes", 2, 1.2, test="a"), entry("loky", 2, 1.9, test="b")
    assert configuration(slow, fast)["default_executor"] == "loky"
    assert configuration(fast, slow)["default_executor"] == "loky"


def test_where_nothing_gains_it_is_sequential(entry: Make) -> None:
    assert configuration(entry("sequential", 1, 1.0), entry("threads", 2, 0.98)) == {
        "default_executor": "sequential",
        "max_workers": {"io_bound": None, "cpu_bound": 1},
        "backends": {"suite/test_doc.py::test_parse": "sequential"},
    }


def test_each_kind_has_its_largest_count_and_mixed_work_counts_for_cpu(entry: Make) -> None:
    points = [
        entry("threads", 16, 9.0, test="a", kind=Kind.IO),
        entry("threads", 8, 7.0, test="b", kind=Kind.IO),
        entry("processes", 2, 1.9, test="c"),
        entry("processes", 4, 2.9, test="d", kind=Kind.MIXED),
    ]
    assert configuration(*points)["max_workers"] == {"io_bound": 16, "cpu_bound": 4}


def test_tests_without_advice_have_no_part_in_it(entry: Make) -> None:
    lone = Interval(estimate=1.9, low=1.9, high=1.9, confidence=0.0)
    points = [
        entry("processes", 2, 1.9, test="traced", tracing="coverage"),
        entry("processes", 2, 1.9, test="lone", speedup=lone),
        entry("sequential", 1, 1.0, test="baseline"),
        entry("processes", 2, status="failed", test="failed"),
    ]
    gaining = entry("processes", 4, 3.8, test="gaining")
    assert configuration(*points, gaining) == {
        "default_executor": "processes",
        "max_workers": {"io_bound": None, "cpu_bound": 4},
        "backends": {"gaining": "processes"},
    }


@pytest.mark.parametrize(("strategy", "tracing"), [("processes", "coverage"), ("sequential", None)])
def test_without_any_advice_nothing_is_recommended_and_a_comment_says_so(
    entry: Make, strategy: str, tracing: str | None
) -> None:
    made = render(Results.of([entry(strategy, 2, 1.9, tracing=tracing)]))
    assert made.startswith("# pytest-parallelism recommends nothing here: no measurement shows")
    assert yaml.safe_load(made)["parallelization"] == {
        "default_executor": None,
        "max_workers": {"io_bound": None, "cpu_bound": None},
        "backends": {},
    }


def test_a_comment_says_that_it_holds_for_this_machine_and_its_conditions(entry: Make) -> None:
    hostile = {"python": "3.11.7\nparallelization: {}", "gil": True, "cpu_model": "A CPU"}
    made = render(Results.of([entry("processes", 2, 1.9, environment=hostile)]))
    comment = [line for line in made.splitlines() if line.startswith("#")]
    assert "this machine" in comment[0]
    assert comment[1].startswith("# 2 usable cores of A CPU, Python 3.11.7 parallelization: {}, GIL on")
    assert made.startswith("\n".join([*comment, "parallelization:\n"]))


def test_letters_of_all_languages_are_written_as_they_are(entry: Make) -> None:
    assert "    t.py::test_größe[日本]: processes\n" in render(
        Results.of([entry("processes", 2, 1.9, test="t.py::test_größe[日本]")])
    )


def test_marks_of_direction_and_control_characters_are_written_as_escapes(entry: Make) -> None:
    made = render(Results.of([entry("processes", 2, 1.9, test="t.py::\u202eé\x1b[1m")]))
    assert made.isascii()
    assert made.replace("\n", "").isprintable()


HOSTILE = {
    "anchors": "&a *b !!python/object:os.system",
    "yes": "yes",
    "number": "1e3",
    "null": "~",
    "merge": "<<",
    "colon": "a: b # c",
    "quotes": "'\"\\",
    "newlines": "a\nb\r\n\n c: d\n---\n",
    "spaces": "  a  ",
    "direction": "\u202ea\u200f\u2028b\x85c",
    "astral": "\U0001f600\ufeff\ufffe",
    "surrogate": "\ud800",
    "nul": "a\0b",
    "5,000 characters": "a b" * 1_667,
    "script": "<script>alert('x')</script>",
}


@pytest.mark.parametrize("test", HOSTILE.values(), ids=HOSTILE)
def test_hostile_ids_are_read_back_as_they_are(entry: Make, test: str) -> None:
    assert configuration(entry("processes", 2, 1.9, test=test))["backends"] == {test: "processes"}


@given(ids=st.lists(st.text(max_size=200), unique=True, max_size=3))
def test_any_ids_are_read_back_as_they_are(entry: Make, ids: list[str]) -> None:
    found = configuration(*(entry("processes", 2, 1.9, test=test) for test in ids))
    assert list(found["backends"]) == ids
