"""Points of a loaded machine in the terminal report."""

from __future__ import annotations

from collections.abc import Callable

from pytest_parallelism.measurement import Interval, Outcome, Verdict
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.terminal import render

Make = Callable[..., Entry]


def test_what_a_loaded_point_would_have_reached_is_said(entry: Make) -> None:
    alone = Interval(estimate=1.86, low=1.8, high=1.92, confidence=0.98)
    verdict = Verdict(
        gate="speedup", outcome=Outcome.PASSED, claim=1.5, found=1.86, sentence="uncontended speedup 1.86 …"
    )
    report = "\n".join(
        line.text
        for line in render(
            [entry("threads", 2, 1.02, waited=0.5, uncontended_speedup=alone, verdicts=(verdict,))],
            width=160,
            saved=True,
        )
    )
    assert "threads-w2 50% (1.86x without that)" in report
    assert "1.86 >= 1.50 threads-w2" in report
