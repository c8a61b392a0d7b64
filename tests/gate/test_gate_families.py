"""Gates themselves, and families of points of which one must keep the claim: ``require="any"``."""

from __future__ import annotations

import math

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.gate import Gate, judge_any
from pytest_parallelism.measurement import Outcome, Verdict


@pytest.mark.parametrize("claim", [0.0, -1.0, math.nan, math.inf])
def test_a_claim_that_is_no_positive_number_is_refused(claim: float) -> None:
    with pytest.raises(UsageError, match=r"positive number such as 1\.5; found"):
        Gate(claim=claim)


def test_unknown_words_in_a_gate_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="found 'throughput'"):
        Gate(metric="throughput", claim=1.5)  # type: ignore[arg-type]  # what an untyped caller may do
    with pytest.raises(UsageError, match="found 'most'"):
        Gate(claim=1.5, require="most")  # type: ignore[arg-type]  # what an untyped caller may do


def test_a_gate_fails_five_percent_below_its_claim() -> None:
    assert Gate(claim=2.0).least_speedup(4) == pytest.approx(1.9)
    assert Gate(metric="efficiency", claim=0.5).least_speedup(4) == pytest.approx(1.9)


def member(outcome: Outcome, found: float | None = 1.0) -> Verdict:
    return Verdict(gate="speedup", outcome=outcome, claim=1.5, found=found, sentence="")


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ((Outcome.FAILED, Outcome.PASSED), Outcome.PASSED),
        ((Outcome.INCONCLUSIVE, Outcome.PASSED, Outcome.NOT_JUDGED), Outcome.PASSED),
        ((Outcome.FAILED, Outcome.FAILED), Outcome.FAILED),
        ((Outcome.FAILED, Outcome.INCONCLUSIVE), Outcome.INCONCLUSIVE),
        ((Outcome.NOT_JUDGED, Outcome.INCONCLUSIVE), Outcome.INCONCLUSIVE),
        ((Outcome.FAILED, Outcome.NOT_JUDGED), Outcome.NOT_JUDGED),
        ((Outcome.NOT_JUDGED,), Outcome.NOT_JUDGED),
    ],
)
def test_one_pass_is_enough_and_only_all_misses_fail(
    outcomes: tuple[Outcome, ...], together: Outcome
) -> None:
    family = judge_any([(f"s{i}", member(outcome)) for i, outcome in enumerate(outcomes)])
    assert family.outcome is together


def test_a_family_lists_its_members() -> None:
    family = judge_any(
        [("threads-w2", member(Outcome.FAILED, 0.98)), ("processes-w2", member(Outcome.FAILED, 1.31))]
    )
    assert family.found == 1.31
    assert family.sentence == (
        "no strategy reaches speedup 1.50: threads-w2 0.98 failed, processes-w2 1.31 failed"
    )


def test_members_without_a_figure_are_listed_by_outcome() -> None:
    family = judge_any([("dask-w2", member(Outcome.NOT_JUDGED, None))])
    assert family.found is None
    assert family.sentence.endswith("cannot be judged here: dask-w2 not judged")


def test_an_empty_family_is_refused() -> None:
    with pytest.raises(ValueError, match="one member or more"):
        judge_any([])
