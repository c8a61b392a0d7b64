"""What the rounds of a point cost on a quiet machine: who may say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_parallelism.plugin.compare import Quiets
from pytest_parallelism.record import Contention, Record

from ..regression.conftest import record


@pytest.fixture
def quiets(request: pytest.FixtureRequest) -> Quiets:
    return Quiets(request.config, stored=())


def costing(sequential: float, parallel: float) -> Record:
    made = record()
    return replace(made, cpu=replace(made.cpu, sequential_seconds=sequential, seconds=parallel))


def test_the_calm_point_that_cost_least_says_it(quiets: Quiets) -> None:
    for made in (costing(0.4, 0.5), costing(0.2, 0.26), costing(0.3, 0.3)):
        quiets.note(made)
    found = quiets.of("t[a]", record())
    assert found is not None
    assert found.cpu_seconds == 0.2
    assert found.growth == pytest.approx(1.3)
    assert found.source == "at a calm point of this session"


@pytest.mark.parametrize(
    "other",
    [
        {"test": "another"},
        {"isolation": "process"},  # a GIL shares nothing out
        {"workers": 1},  # what one worker costs says nothing of two
        {"contention": Contention(sequential=0.5, parallel=0.5, reference_speedup=None, contended=True)},
        {"contention": Contention(sequential=0.0, parallel=0.0, reference_speedup=None, foreign=0.2)},
    ],
)
def test_other_points_do_not(quiets: Quiets, other: dict[str, Any]) -> None:
    quiets.note(replace(record(), **other))
    assert quiets.of("t[a]", record()) is None


def test_more_workers_than_cores_run_no_more_at_once(quiets: Quiets) -> None:
    quiets.note(replace(record(), workers=4))
    assert quiets.of("t[a]", record()) is not None
