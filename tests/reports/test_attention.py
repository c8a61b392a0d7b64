from __future__ import annotations

from collections.abc import Callable

from pytest_parallelism.measurement import Outcome, Verdict
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.attention import failing, troubles
from pytest_parallelism.reports.results import Results
from pytest_parallelism.reports.terminal import render

Make = Callable[..., Entry]


def verdict(outcome: Outcome, sentence: str) -> Verdict:
    return Verdict(gate="speedup", outcome=outcome, claim=1.5, found=1.2, sentence=sentence)


def failures(*entries: Entry, strict: bool = False) -> list[tuple[str, str, str]]:
    results = Results.of(entries, strict=strict)
    return [
        (", ".join(entry.strategy for entry in found.entries), found.outcome, found.sentence)
        for found in troubles(results, failing(results))
    ]


def test_what_is_said_of_several_points_of_a_test_is_said_once(entry: Make) -> None:
    missed = (verdict(Outcome.FAILED, "below"),)
    found = failures(
        entry("processes", 2, 1.2, verdicts=missed),
        entry("loky", 2, 1.2, verdicts=missed),
        entry("loky", 2, 1.2, verdicts=missed, test="other"),
    )
    assert found == [("processes, loky", "failed", "below"), ("loky", "failed", "below")]


def test_what_could_not_be_judged_fails_under_parallel_strict_alone(entry: Make) -> None:
    verdicts = (
        verdict(Outcome.PASSED, "reached"),
        verdict(Outcome.INCONCLUSIVE, "noise"),
        verdict(Outcome.NOT_JUDGED, "2 cores"),
    )
    point = entry("processes", 2, 1.5, verdicts=verdicts)
    assert failures(point) == []
    assert failures(point, strict=True) == [
        ("processes", "inconclusive", "noise"),
        ("processes", "not judged", "2 cores"),
    ]


def test_a_point_that_was_expected_to_fail_is_no_failure(entry: Make) -> None:
    found = failures(
        entry("loky", 2, status="failed", reason="as expected: bug 7"),
        entry("mpire", 2, status="failed", reason="as expected"),
        entry("processes", 2, status="failed", reason="as expected by nobody"),
        entry("threads", 2, status="error"),
        entry("ray", 2, status="skipped", reason="as expected: not installed"),
    )
    assert found == [
        ("processes", "failed", "as expected by nobody"),
        ("threads", "error", "no reason given"),
    ]


def test_the_terminal_does_not_call_it_failed_either(entry: Make) -> None:
    points = [entry("loky", 2, 1.9), entry("mpire", 2, status="failed", reason="as expected: bug 7")]
    lines = {line.text: line.style for line in render(points, width=100, saved=True)}
    assert lines["  xfailed  mpire-w2: as expected: bug 7"] == "dim"
    assert "points: 1 measured, 1 xfailed" in lines
