"""What notebooks show of a run that `measure` made."""

from __future__ import annotations

from collections.abc import Callable

from pytest_parallelism import Measured
from pytest_parallelism.measurement import Interval
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.results import Results

Make = Callable[..., Entry]


def measured(*entries: Entry) -> Measured:
    return Measured(results=Results.of(entries))


def test_all_notes_of_the_terminal_report_are_there(entry: Make) -> None:
    made = measured(entry("processes", 2, 1.9, result="unchecked", tracing="coverage"))._repr_html_()
    assert "the parallel result was not checked" in made
    assert "traced by coverage, whose own cost is in the figures" in made


def test_without_advice_there_is_no_empty_paragraph(entry: Make) -> None:
    assert "<strong>" not in measured(entry("sequential", 1, 1.0))._repr_html_()
    assert "<strong>run it sequentially" in measured(entry("threads", 2, 0.98))._repr_html_()


def test_its_repr_says_no_gain_only_where_that_was_measured(entry: Make) -> None:
    assert "1 points, nothing faster" in repr(measured(entry("threads", 2, 0.98)))
    assert "1 points, no advice" in repr(measured(entry("threads", 2, 0.98, tracing="coverage")))
    alone = Interval(estimate=1.9, low=1.9, high=1.9, confidence=0.0)
    assert "1 points, no advice" in repr(measured(entry("threads", 2, 1.9, speedup=alone)))
