from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_parallelism.measurement import Interval, Kind, Measurement, Pair, Round, Usage
from pytest_parallelism.scaling import (
    contention,
    cpu_share,
    divided,
    karp_flatt,
    kind_of,
    summarize,
)

SPEEDUP = Interval(estimate=1.6, low=1.5, high=1.7, confidence=0.98)


def spent(seconds: float, *, cpu: float = 0.0, delay: float | None = 0.0) -> Round:
    return Round(seconds=seconds, usage=Usage(cpu_seconds=cpu, delay_seconds=delay))


PAIRS = (
    Pair(sequential=spent(4.0, cpu=3.0, delay=1.0), parallel=(spent(2.0, cpu=3.5), spent(1.0, cpu=3.0))),
    Pair(sequential=spent(2.0, cpu=2.0, delay=0.0), parallel=(spent(3.0, cpu=4.0, delay=3.5),)),
    Pair(sequential=spent(3.0, cpu=2.5, delay=0.5), parallel=(spent(2.0, cpu=3.5),)),
)

MEASUREMENT = Measurement(
    strategy="threads",
    strategy_version="3.11",
    workers=2,
    workers_requested=2,
    isolation="thread",
    pairs=PAIRS,
    first_sequential_seconds=5.0,
    open_seconds=0.75,
    close_seconds=0.25,
    elapsed_seconds=20.0,
    workload_seconds=19.0,
    usable_cores=2,
    result="equal",
    items=40,
    size_bytes=8_000,
)


def test_times_are_medians_over_the_rounds_of_each_arm() -> None:
    summary = summarize(MEASUREMENT, SPEEDUP)
    assert summary.sequential_seconds == 3.0
    assert summary.parallel_seconds == 2.0
    assert summary.cpu_seconds == 3.5
    assert summary.cpu_seconds_sequential == 2.5


def test_the_speedup_is_the_interval_given_and_efficiency_its_share_per_worker() -> None:
    summary = summarize(MEASUREMENT, SPEEDUP)
    assert summary.speedup is SPEEDUP
    assert summary.efficiency == Interval(estimate=0.8, low=0.75, high=0.85, confidence=0.98)


def test_cold_speedup_counts_opening_and_closing_in_the_parallel_time() -> None:
    assert summarize(MEASUREMENT, SPEEDUP).cold_speedup == pytest.approx(3.0 / (2.0 + 0.75 + 0.25))


def test_utilization_is_cores_kept_busy_over_all_parallel_rounds() -> None:
    assert summarize(MEASUREMENT, SPEEDUP).cpu_utilization == pytest.approx(14.0 / 8.0)


def test_throughput_is_per_parallel_round() -> None:
    summary = summarize(MEASUREMENT, SPEEDUP)
    assert summary.items_per_second == pytest.approx(20.0)
    assert summary.bytes_per_second == pytest.approx(4000.0)


def test_unknown_amounts_have_no_throughput() -> None:
    summary = summarize(replace(MEASUREMENT, items=None, size_bytes=None), SPEEDUP)
    assert summary.items_per_second is None
    assert summary.bytes_per_second is None


def test_each_arm_has_its_own_contention() -> None:
    summary = summarize(MEASUREMENT, SPEEDUP)
    assert summary.contention_sequential == pytest.approx(1.5 / (7.5 + 1.5))
    assert summary.contention_parallel == pytest.approx(3.5 / (14.0 + 3.5))


def test_contention_is_unknown_where_one_delay_is() -> None:
    assert contention([spent(1.0, cpu=1.0), spent(1.0, cpu=1.0, delay=None)]) is None


def test_rounds_that_never_ran_were_not_contended() -> None:
    assert contention([spent(1.0)]) == 0.0


def test_cpu_share_leaves_the_waiting_for_a_core_out_of_the_time() -> None:
    assert cpu_share([p.sequential for p in PAIRS]) == pytest.approx(7.5 / (9.0 - 1.5))
    assert cpu_share([spent(2.0, cpu=0.5, delay=None)]) == pytest.approx(0.25)


def test_cpu_share_stays_finite_where_delays_of_several_threads_pass_the_wall_time() -> None:
    assert cpu_share([spent(2.0, cpu=1.0, delay=5.0)]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("share", "kind"),
    [
        (0.0, Kind.IO),
        (0.19, Kind.IO),
        (0.2, Kind.MIXED),
        (0.5, Kind.MIXED),
        (0.8, Kind.MIXED),
        (0.81, Kind.CPU),
        (2.0, Kind.CPU),
    ],
)
def test_the_kind_follows_from_the_cpu_share(share: float, kind: Kind) -> None:
    assert kind_of(share) is kind


def test_the_kind_is_measured_unless_the_user_states_it() -> None:
    assert summarize(MEASUREMENT, SPEEDUP).kind is Kind.CPU
    assert summarize(replace(MEASUREMENT, kind=Kind.IO), SPEEDUP).kind is Kind.IO


@pytest.mark.parametrize("serial", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("workers", [2, 4, 16])
def test_karp_flatt_finds_the_serial_part_of_an_amdahl_speedup(serial: float, workers: int) -> None:
    amdahl = 1 / (serial + (1 - serial) / workers)
    assert karp_flatt(amdahl, workers) == pytest.approx(serial)


def test_one_worker_has_no_serial_fraction() -> None:
    assert karp_flatt(0.98, 1) is None
    assert summarize(replace(MEASUREMENT, workers=1), SPEEDUP).serial_fraction is None


def test_superlinear_speedups_have_a_negative_serial_fraction() -> None:
    fraction = karp_flatt(2.2, 2)
    assert fraction is not None
    assert fraction < 0


def test_dividing_an_interval_keeps_its_confidence() -> None:
    assert divided(SPEEDUP, 4).confidence == 0.98
    assert divided(SPEEDUP, 4).low == pytest.approx(0.375)


def test_a_measurement_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="without pairs"):
        summarize(replace(MEASUREMENT, pairs=()), SPEEDUP)
