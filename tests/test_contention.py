"""When waiting for a core is the machine's doing, and matters."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_parallelism.contention import CONTENDED, HANDED_OVER, TICK, foreign, others
from pytest_parallelism.measurement import Kind, Pair, Round, Usage


def found(
    sequential: float | None = 0.0, parallel: float | None = 0.0, *, cpu: float = 1.0, **changes: Any
) -> float | None:
    """The contention of a point whose rounds take a second, ``cpu`` of it computing."""
    facts: dict[str, Any] = {"kind": Kind.CPU, "workers": 2, "cores": 2, "shares_gil": False, "others": None}
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


def test_waiting_beyond_what_others_can_have_caused_is_the_pools_own() -> None:
    idle = (0.0, 1e9)
    assert found(0.05, 0.5, others=idle) == pytest.approx(0, abs=1e-6)
    assert found(0.05, 0.5, others=(1.0, 1e9)) == 0.5
    # A twentieth of a core keeps two workers waiting a tenth of a second at most; they compute for two.
    assert found(0.0, 0.5, others=(0.05, 1e9)) == pytest.approx(0.1 / 2.1)
    assert found(0.0, 0.03, others=(0.05, 1e9)) == 0.03
    assert found(0.5, 0.0, others=(0.05, 1e9)) == pytest.approx(0.05 / 1.05)
    assert found(0.0, 0.5, cpu=0.1, kind=Kind.IO, others=(0.05, 1e9)) == pytest.approx(0.05)


def test_what_was_watched_for_less_than_some_ticks_bounds_nothing() -> None:
    assert found(0.0, 0.3, others=(0.0, 2 * TICK)) == 0.3
    assert found(0.0, 0.3, others=(-1.0, 1.0)) == 0.0
    assert found(None, None, others=(0.0, 1.0)) is None


def test_what_others_used_is_the_mean_over_the_time_of_the_pairs() -> None:
    def pair(seconds: float, foreign: float | None) -> Pair:
        timed = Round(seconds=seconds / 2, usage=Usage(cpu_seconds=seconds / 2))
        return Pair(sequential=timed, parallel=(timed,), foreign=foreign)

    used = others([pair(1.0, None), pair(2.0, 1.0), pair(1.0, -0.2), pair(9.0, None)])
    assert used is not None
    assert used == pytest.approx((0.7, 4.0))
    assert others([pair(1.0, None)]) is None
    assert others([]) is None


def test_what_is_unknown_stays_unknown() -> None:
    assert found(None, None) is None
    assert found(None, 0.3) == 0.3
    assert found(None, None, kind=Kind.IO) is None
