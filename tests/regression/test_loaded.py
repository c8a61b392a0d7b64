"""Comparisons with runs of loaded machines, and of stored files with figures that cannot be."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.measurement import Interval, Kind, Outcome
from pytest_parallelism.record import Contention, to_json
from pytest_parallelism.regression import compare
from pytest_parallelism.stored import read

from .conftest import FIVE, record


def an_interval(estimate: float, confidence: float = 0.98) -> Interval:
    low, high = estimate * math.exp(-0.02), estimate * math.exp(0.02)
    return Interval(estimate=estimate, low=low, high=high, confidence=confidence)


def busy(reference: float | None = None) -> Contention:
    return Contention(sequential=0.5, parallel=0.5, reference_speedup=reference, contended=True)


def calm(reference: float | None = None) -> Contention:
    return Contention(sequential=0.0, parallel=0.0, reference_speedup=reference)


def test_on_a_loaded_machine_the_estimate_is_compared() -> None:
    """By wall clock it lost two fifths, and without the others' load a tenth."""
    now = record(1.0, contention=busy(), uncontended_speedup=an_interval(1.78))
    assert compare(FIVE, now=now, then=record(), name="0001", contended=0.5).outcome is Outcome.PASSED
    lost = replace(now, uncontended_speedup=an_interval(1.4))
    found = compare(FIVE, now=lost, then=record(), name="0001", contended=0.5)
    assert found.outcome is Outcome.FAILED
    assert found.found == pytest.approx(1.4 / 1.8)


def test_a_pass_on_a_loaded_machine_needs_work_as_cheap_as_it_was() -> None:
    now = record(1.0, contention=busy(), uncontended_speedup=an_interval(1.9))
    dear = replace(now, cpu=replace(now.cpu, sequential_seconds=0.6))
    found = compare(FIVE, now=dear, then=record(), name="0001", contended=0.5)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1.50 times as dear" in found.sentence


def test_a_pass_on_a_loaded_machine_needs_work_that_does_not_grow_when_it_is_divided() -> None:
    """Memory-bound work does: of what others take of the memory's bandwidth no estimate knows."""
    now = record(1.0, contention=busy(), uncontended_speedup=an_interval(1.9))
    then = record(kind=Kind.CPU)
    grown = replace(then, cpu=replace(then.cpu, seconds=1.3 * then.cpu.sequential_seconds))
    found = compare(FIVE, now=now, then=grown, name="0001", contended=0.5)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1.30 times the CPU time in parallel there" in found.sentence
    waits = replace(grown, kind=Kind.IO)
    assert compare(FIVE, now=now, then=waits, name="0001", contended=0.5).outcome is Outcome.PASSED
    assert compare(FIVE, now=record(1.9), then=grown, name="0001").outcome is Outcome.PASSED


def test_nothing_fails_against_sequential_rounds_that_their_host_slowed() -> None:
    then = record(2.2, kind=Kind.CPU)
    slowed = replace(then, cpu=replace(then.cpu, sequential_seconds=then.cpu.seconds * 1.15))
    found = compare(FIVE, now=record(1.8), then=slowed, name="0001")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1.15 times the CPU time of parallel ones there" in found.sentence
    assert compare(FIVE, now=record(1.8), then=then, name="0001").outcome is Outcome.FAILED


def test_work_that_is_always_dearer_in_the_parent_may_fail() -> None:
    cheaper = record().cpu
    cheaper = replace(cheaper, sequential_seconds=cheaper.seconds * 1.15)
    then, now = (record(speedup, kind=Kind.CPU, cpu=cheaper) for speedup in (2.2, 1.8))
    assert compare(FIVE, now=now, then=then, name="0001").outcome is Outcome.FAILED


def test_nothing_fails_against_a_run_of_a_loaded_machine() -> None:
    """Its estimate is a bound from above: 1.85 was stored beside a memory hog, where the truth is 1.04."""
    then = record(1.0, contention=busy(), uncontended_speedup=an_interval(1.85))
    found = compare(FIVE, now=record(1.04), then=then, name="0001")
    assert found.outcome is Outcome.NOT_JUDGED
    assert "busy with other things during 0001" in found.sentence


@pytest.mark.parametrize(
    ("reference", "outcome"), [(1.2, Outcome.INCONCLUSIVE), (1.9, Outcome.FAILED), (None, Outcome.FAILED)]
)
def test_a_loss_needs_a_machine_that_gives_what_it_has(reference: float | None, outcome: Outcome) -> None:
    now = record(1.4, contention=calm(reference))
    assert compare(FIVE, now=now, then=record(), name="0001").outcome is outcome


def test_rounds_that_are_hardly_slower_do_not_fail() -> None:
    now = record(1.5, sequential=1.501 / 1.8)  # the baseline became faster
    found = compare(FIVE, now=now, then=record(), name="0001")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "hardly slower" in found.sentence


def test_a_single_pair_proves_nothing() -> None:
    now = record(1.0, speedup=an_interval(1.0, confidence=0.0))
    assert compare(FIVE, now=now, then=record(8.0), name="0001").outcome is Outcome.NOT_JUDGED


@pytest.mark.parametrize(
    "change",
    [
        {"speedup": {"estimate": -1.0}},
        {"speedup": {"low": 0.0}},
        {"parallel_seconds": 0.0},
        {"workers": 0},
        {"throughput": {"items_per_second": -5.0}},
    ],
)
def test_figures_that_cannot_be_are_a_sentence(tmp_path: Path, change: dict[str, Any]) -> None:
    data = to_json(record())
    for key, value in change.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) else value
    path = tmp_path / "0001_odd.json"
    path.write_text(json.dumps({"benchmarks": [{"fullname": "t", "extra_info": {"parallelism": data}}]}))
    with pytest.raises(UsageError, match=r"0001_odd\.json: .* not above 0"):
        read(path).record("t")
