"""One run beside another, as the page and Markdown both show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_parallelism.measurement import Interval
from pytest_parallelism.record import Contention, Entry
from pytest_parallelism.reports.comparison import Change, changes, counted, telling
from pytest_parallelism.reports.results import Results

Make = Callable[..., Entry]

BUSY = Contention(sequential=0.5, parallel=0.5, reference_speedup=None, contended=True)


def an_interval(estimate: float, confidence: float = 0.98) -> Interval:
    return Interval(estimate=estimate, low=estimate - 0.03, high=estimate + 0.03, confidence=confidence)


def beside(now: list[Entry], then: list[Entry]) -> dict[str, Change]:
    return changes(Results.of(now), Results.of(then, name="0003"))


def of_two(now: Entry, then: Entry) -> Change:
    (found,) = beside([now], [then]).values()
    return found


def test_a_point_is_worse_or_better_beyond_noise_alone(entry: Make) -> None:
    then = [entry("processes", 2, 1.8), entry("loky", 2, 1.2), entry("threads", 2, 0.98)]
    now = [entry("processes", 2, 1.0), entry("loky", 2, 1.8), entry("threads", 2, 0.99)]
    assert [change.outcome for change in beside(now, then).values()] == ["worse", "better", "within noise"]


def test_a_faster_baseline_makes_nothing_worse_and_a_bound_nothing_better(entry: Make) -> None:
    """As for gates: the parallel rounds did not become slower; an uncontended estimate may be too high."""
    then = entry("processes", 2, 1.8, parallel_seconds=0.2)
    assert of_two(entry("processes", 2, 1.0, parallel_seconds=0.19), then).outcome == "within noise"
    estimated = {"contention": BUSY, "uncontended_speedup": an_interval(1.95)}
    assert of_two(entry("processes", 2, 1.0, **estimated), then).outcome == "within noise"


def test_the_baseline_and_what_one_run_lacks_are_not_compared(entry: Make) -> None:
    now = [entry("sequential", 1, 1.0), entry("loky", 2, 1.8), entry("processes", 2, status="skipped")]
    assert beside(now, [entry("sequential", 1, 1.0), entry("processes", 2, 1.8)]) == {}


UNTELLING: dict[str, tuple[dict[str, Any], str]] = {
    "tracer": ({"tracing": "coverage"}, "{} was traced by coverage"),
    "single pair": (
        {"speedup": an_interval(1.8, confidence=0.0)},
        "{} has a single pair, which proves nothing",
    ),
    "load": ({"contention": BUSY}, "the machine was busy with other things during {}"),
    "estimate of a single pair": (
        {"contention": BUSY, "uncontended_speedup": an_interval(1.8, confidence=0.0)},
        "{} has a single pair, which proves nothing",
    ),
}


@pytest.mark.parametrize(("spoilt", "said"), UNTELLING.values(), ids=UNTELLING)
@pytest.mark.parametrize("which", ["this run", "0003"])
def test_what_no_gate_would_judge_is_neither_worse_nor_better(
    entry: Make, spoilt: dict[str, Any], said: str, which: str
) -> None:
    fine, doubtful = entry("processes", 2, 1.0), entry("processes", 2, 1.8, **spoilt)
    change = of_two(doubtful, fine) if which == "this run" else of_two(fine, doubtful)
    assert (change.outcome, change.reason, change.figure) == ("not comparable", said.format(which), "")


def test_other_surroundings_are_named(entry: Make) -> None:
    change = of_two(entry("loky", 2, 1.2), entry("loky", 2, 1.8, usable_cores=4))
    assert change.reason == "usable cores were 4 and are 2"


def test_of_a_loaded_machine_the_estimate_is_compared_and_shown(entry: Make) -> None:
    loaded = entry("processes", 2, 1.2, contention=BUSY, uncontended_speedup=an_interval(1.89))
    change = of_two(loaded, entry("processes", 2, 1.9))
    assert (change.outcome, change.figure) == ("within noise", "-0.5 %")
    assert (counted(change.then), counted(change.now)) == ("1.90 ±.03", "1.89 ±.03 (uncontended)")


def of_test(now: list[Entry], then: list[Entry]) -> tuple[str, str]:
    change = telling(now, beside(now, then))
    return (change.entry.strategy, change.figure) if change else ("", "")


def test_a_test_is_told_by_what_it_should_use(entry: Make) -> None:
    now = [entry("loky", 2, 1.2), entry("processes", 2, 1.9)]
    assert of_test(now, [entry("loky", 2, 1.3), entry("processes", 2, 1.88)]) == ("processes", "+1.1 %")


def test_where_nothing_gains_any_more_by_what_it_should_have_used(entry: Make) -> None:
    now = [entry("loky", 2, 0.99), entry("processes", 2, 1.0)]
    assert of_test(now, [entry("loky", 2, 1.4), entry("processes", 2, 1.9)]) == ("processes", "-47.4 %")


def test_a_loss_is_not_hidden_by_another_point_that_is_recommended_instead(entry: Make) -> None:
    now = [entry("processes", 2, 1.0), entry("loky", 2, 1.4)]
    assert of_test(now, [entry("processes", 2, 1.9), entry("loky", 2, 1.4)]) == ("processes", "-47.4 %")
    assert of_test(now, [entry("processes", 2, 1.9)]) == ("processes", "-47.4 %")


def test_where_neither_run_gains_nothing_is_told(entry: Make) -> None:
    assert of_test([entry("loky", 2, 0.9)], [entry("loky", 2, 1.0)]) == ("", "")
