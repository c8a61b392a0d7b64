"""Verdicts where the wall clock does not decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_parallelism.gate import (
    Gate,
    Quiet,
    Where,
    decider,
    repeater,
    tracer,
)
from pytest_parallelism.measurement import Outcome, Pair, Span, Task, Trace
from pytest_parallelism.uncontended import Uncontended

from .conftest import TWO, exactly, judged, pair, spread

# A loaded machine: the wall clock says 1.0, and the estimate decides

LOADED: dict[str, Any] = {"waited": 0.5, "parallel": 0.5}
CPU = 0.1
"""CPU seconds of the sequential rounds of `spread(1.0, …)`."""


def estimated(*figures: float, **how: Any) -> Uncontended:
    return Uncontended(speedup=exactly(*figures), pairs=14, **how)


def quiet(cpu_seconds: float, growth: float = 1.0) -> Quiet:
    return Quiet(cpu_seconds=cpu_seconds, growth=growth, source="in 0001_main")


def test_on_a_loaded_machine_the_estimate_fails_a_gate() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.0, 14, **LOADED), alone=estimated(1.2, 1.15, 1.25))
    assert verdict.outcome is Outcome.FAILED
    assert verdict.found == pytest.approx(1.2)
    assert verdict.sentence == (
        "uncontended speedup 1.20 [1.15, 1.25] with 2 threads is below 1.50 "
        "(14 pairs, 2 usable cores, 50 % contention, 1.00 by wall clock, GIL on); "
        "tolerance 5 %: fails below 1.43"
    )


@pytest.mark.parametrize(
    ("known", "outcome", "said"),
    [
        (quiet(CPU), Outcome.PASSED, "reaches 1.50"),
        (quiet(CPU / 1.1), Outcome.PASSED, "reaches 1.50"),
        (quiet(CPU / 1.3), Outcome.INCONCLUSIVE, "1.30 times its CPU time in 0001_main"),
        (quiet(CPU, growth=1.1), Outcome.PASSED, "reaches 1.50"),
        (quiet(CPU, growth=1.3), Outcome.INCONCLUSIVE, "1.30 times the CPU time in parallel in 0001_main"),
        (None, Outcome.INCONCLUSIVE, "no quiet run is known"),
    ],
)
def test_it_passes_one_only_where_the_work_cost_what_it_costs_on_a_quiet_machine(
    known: Quiet | None, outcome: Outcome, said: str
) -> None:
    alone = estimated(1.9, 1.85, 1.95)
    verdict = judged(Gate(claim=1.5), spread(1.0, 14, **LOADED), alone=alone, quiet=known)
    assert verdict.outcome is outcome
    assert said in verdict.sentence


def test_what_dispatching_adds_to_work_that_waits_keeps_no_pass_back() -> None:
    waiting = spread(1.9, 14, cpu=0.02, waited=0.5)
    known = quiet(0.0038, growth=3.0)
    assert judged(Gate(claim=1.5), waiting, quiet=known).outcome is Outcome.PASSED


def test_an_estimate_that_is_a_bound_passes_nothing() -> None:
    alone = estimated(1.9, 1.85, 1.95, bound="its threads hold the GIL for 50 % of their CPU time")
    verdict = judged(Gate(claim=1.5), spread(1.0, 14, **LOADED), alone=alone, quiet=quiet(CPU))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "hold the GIL for 50 %" in verdict.sentence


def test_evidence_that_contradicts_itself_is_inconclusive() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.9, 14, **LOADED), alone=estimated(1.2, 1.15, 1.25))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "by wall clock it is above it, 1.90" in verdict.sentence


def test_without_an_estimate_it_says_why() -> None:
    alone = Uncontended(reason="its tasks are too short to note when each of them ran")
    verdict = judged(Gate(claim=1.5), spread(1.0, 14, **LOADED), alone=alone)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (
        "50 % of its runnable time went by waiting for a core, and its tasks are too short"
        in verdict.sentence
    )
    kept = judged(Gate(claim=1.5), spread(1.9, 14, **LOADED), alone=alone)
    assert kept.outcome is Outcome.INCONCLUSIVE
    known = judged(Gate(claim=1.5), spread(1.9, 14, **LOADED), alone=alone, quiet=quiet(0.19))
    assert known.outcome is Outcome.PASSED  # foreign load takes more from several workers than from one


def test_on_a_calm_machine_the_estimate_is_not_asked() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.9, 14), alone=estimated(1.2, 1.15, 1.25))
    assert verdict.outcome is Outcome.PASSED
    assert "uncontended" not in verdict.sentence


def test_a_pass_is_doubted_where_foreign_load_made_the_work_dearer() -> None:
    dear: dict[str, Any] = {"quiet": quiet(0.19 / 1.7), "foreign_load": 0.4}
    verdict = judged(Gate(claim=1.5), spread(1.9, 14), **dear)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "1.70 times its CPU time in 0001_main" in verdict.sentence
    assert judged(Gate(claim=1.5), spread(1.9, 14), **{**dear, "foreign_load": 0.0}).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("reference", "outcome"), [(1.9, Outcome.FAILED), (1.5, Outcome.INCONCLUSIVE), (None, Outcome.FAILED)]
)
def test_a_miss_needs_a_machine_that_gives_what_it_has(reference: float | None, outcome: Outcome) -> None:
    verdict = judged(Gate(claim=1.5), spread(1.2, 14), reference_speedup=reference)
    assert verdict.outcome is outcome
    assert ("gave only 1.50" in verdict.sentence) == (reference == 1.5)


@pytest.mark.parametrize(
    ("high", "outcome"), [(1.3, Outcome.FAILED), (1.45, Outcome.INCONCLUSIVE), (None, Outcome.INCONCLUSIVE)]
)
def test_a_miss_on_a_machine_that_gives_less_is_one_where_the_estimate_misses_too(
    high: float | None, outcome: Outcome
) -> None:
    alone = estimated(1.2, 1.1, high) if high else Uncontended(reason="in 9 of 10 pairs …")
    verdict = judged(Gate(claim=1.5), spread(1.2, 14), alone=alone, reference_speedup=1.5)
    assert verdict.outcome is outcome
    assert "1.20 [1.1" in verdict.sentence  # by wall clock


def noted(speedup: float, *, dearer: float) -> Pair:
    """A pair of four tasks of equal length, which cost ``dearer`` times the CPU time in parallel."""
    made = pair(speedup)
    seconds = made.sequential.seconds / 4

    def trace(workers: int, each: float) -> Trace:
        begins = [number // workers * each for number in range(4)]
        tasks = [
            Task(
                worker=(number % workers, 0),
                chunk=0,
                tasks=1,
                start=begin,
                end=begin + each,
                cpu_before=begin,
                cpu_after=begin + each,
                delay_before=0.0,
                delay_after=0.0,
            )
            for number, begin in enumerate(begins)
        ]
        span = Span(start=0.0, end=4 / workers * each, cpu_seconds=0.0, delay_seconds=0.0)
        return Trace(whole=span, maps=(span,), tasks=tuple(tasks))

    return replace(
        made,
        sequential=replace(made.sequential, trace=trace(1, seconds)),
        parallel=(replace(made.parallel[0], trace=trace(2, seconds * dearer)),),
    )


def test_a_miss_whose_tasks_were_dearer_in_parallel_is_not_clear_at_once() -> None:
    enough = decider([Gate(claim=1.9)], TWO)
    dear, even = noted(1.2, dearer=1.5), noted(1.2, dearer=1.0)
    assert enough(spread(1.2, 10))
    assert not enough((dear,) * 10)
    assert enough((dear,) * 40)
    assert enough((noted(2.2, dearer=1.5),) * 10)  # kept is kept
    assert enough((even,) * 6 + (dear,) * 8)  # those that cost the same say it, too


def test_nor_is_one_on_a_machine_that_gives_less() -> None:
    enough, wanted = decider([Gate(claim=1.9)], TWO), tracer(TWO)
    for gave, less in ((1.5, True), (1.7, False)):
        pairs = (*spread(1.2, 9), replace(pair(1.2), reference=gave))
        assert enough(pairs) is not less
        assert wanted(pairs) is less


def dearer(times: float) -> Pair:
    """A pair whose parallel rounds cost so many times the CPU seconds of the sequential one."""
    made = pair(1.5)
    usage = replace(made.sequential.usage, cpu_seconds=times * made.sequential.usage.cpu_seconds)
    return replace(made, parallel=(replace(made.parallel[0], usage=usage),))


def test_tasks_are_noted_once_a_pair_waited_or_cost_more() -> None:
    wanted = tracer(TWO)
    assert not wanted(())
    assert not wanted((pair(1.5, waited=0.5), pair(1.5, waited=0.01)))
    assert wanted((pair(1.5, waited=0.01), pair(1.5, waited=0.06)))
    assert wanted((dearer(1.09),))
    assert not wanted((dearer(1.05),))
    own = pair(1.5, waited=0.0, parallel=0.5)  # four workers on two cores wait for each other
    assert wanted((own,))
    assert not tracer(Where(workers=4, cores=2))((own,))


def test_pairs_are_measured_again_where_contention_kept_them_from_a_verdict() -> None:
    again = repeater([Gate(claim=1.5)], TWO)
    assert again((pair(1.0, waited=0.5),) * 40)
    assert not again((pair(1.9, waited=0.5),) * 40)  # kept all the same
    assert not again((pair(1.0),) * 40)
    assert not again((pair(1.425),) * 40)  # noise
    assert not repeater([], TWO)((pair(1.0, waited=0.5),) * 40)
