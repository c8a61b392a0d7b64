"""When waiting for a core is the machine's doing, and matters."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_parallelism.contention import CONTENDED, HANDED_OVER, foreign
from pytest_parallelism.measurement import Kind


def found(
    sequential: float | None = 0.0, parallel: float | None = 0.0, *, cpu: float = 1.0, **changes: Any
) -> float | None:
    """The contention of a point whose rounds take a second, ``cpu`` of it computing."""
    facts: dict[str, Any] = {"kind": Kind.CPU, "workers": 2, "cores": 2, "shares_gil": False}
    return foreign(sequential=(sequential, cpu, 1.0), parallel=(parallel, 2 * cpu, 1.0), **(facts | changes))


def test_cpu_bound_rounds_count_as_they_are_and_the_larger_arm_decides() -> None:
    assert found(0.05, 0.2) == 0.2
    assert found(0.3, 0.2) == 0.3


def test_more_workers_than_cores_wait_for_each_other() -> None:
    assert found(0.05, 0.5, workers=4) == 0.05


def test_threads_that_share_a_gil_wait_for_it_in_the_run_queue() -> None:
    assert found(0.02, HANDED_OVER, shares_gil=True) == 0.02
    assert found(0.02, HANDED_OVER + 0.01, shares_gil=True) == HANDED_OVER + 0.01


@pytest.mark.parametrize("kind", [Kind.IO, Kind.MIXED])
def test_waiting_counts_for_the_wall_time_that_it_is_of_where_the_rounds_mostly_sleep(kind: Kind) -> None:
    share = found(0.5, 0.5, cpu=0.02, kind=kind)
    assert share == pytest.approx(0.02)
    assert share is not None
    assert share < CONTENDED


def test_what_is_unknown_stays_unknown() -> None:
    assert found(None, None) is None
    assert found(None, 0.3) == 0.3
    assert found(None, None, kind=Kind.IO) is None
