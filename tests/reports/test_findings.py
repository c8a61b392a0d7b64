from __future__ import annotations

from collections.abc import Callable

from pytest_parallelism.measurement import Kind
from pytest_parallelism.record import Contention, Record
from pytest_parallelism.reports.findings import advice, best, contention, cost, recommended

Make = Callable[..., Record]

NO_GIL = {"python": "3.13.0", "gil": False}


def test_the_largest_speedup_beyond_noise_is_the_best(record: Make) -> None:
    sure, unsure = record("processes", 2, 1.9), record("threads", 2, 2.5, 1.6)
    assert best([record("sequential", 1, 1.0), unsure, sure]) is sure


def test_the_baseline_is_never_the_best(record: Make) -> None:
    assert best([record("sequential", 1, 1.2, 0.01)]) is None


def test_the_smallest_count_within_5_percent_is_recommended(record: Make) -> None:
    two, four, eight = (record("processes", n, s) for n, s in ((2, 3.79), (4, 3.81), (8, 4.0)))
    assert recommended([two, four, eight]) is four
    said = advice([two, four, eight])
    assert said.startswith("use processes with 4 workers: 3.81x")
    assert "8 workers give 4.00x, at most 5 % more" in said


def test_what_is_within_noise_is_named_with_its_count_where_that_differs(record: Make) -> None:
    alike = [record("loky", 4, 1.93), record("processes", 2, 1.9), record("processes", 8, 1.9)]
    said = advice([record("ray", 4, 1.95), *alike, record("slow", 4, 1.5)])
    assert said.endswith("; loky and processes with 2 workers are within noise of it.")


def test_without_a_gain_the_advice_is_to_stay_sequential(record: Make) -> None:
    points = [record("sequential", 1, 1.0), record("processes", 2, 1.01, 0.02)]
    assert advice(points) == "run it sequentially: nothing here is faster beyond noise."


def test_on_a_busy_machine_the_advice_is_to_measure_again(record: Make) -> None:
    said = advice([record("processes", 2, 1.01, 0.02, waited=0.4)])
    assert said.endswith("but the machine was busy: measure again on a calm one.")


def test_nothing_is_advised_from_the_baseline_alone(record: Make) -> None:
    assert advice([record("sequential", 1, 1.0)]) == ""
    assert advice([]) == ""


def test_the_gil_is_named_only_where_threads_gain_nothing_on_cpu_work_under_it(record: Make) -> None:
    fast, gil = record("processes", 2, 1.9), "Threads gain nothing here: the GIL is on."
    assert gil in advice([fast, record("threads", 2, 0.98)])
    assert gil in advice([record("threads", 2, 0.98)])
    assert gil not in advice([fast, record("threads", 2, 1.5)])
    assert gil not in advice([fast, record("threads", 2, 0.98), record("joblib-threading", 2, 1.5)])
    assert gil not in advice([fast, record("threads", 1, 0.98)])
    assert gil not in advice([fast, record("threads", 2, 0.98, kind=Kind.IO)])
    assert gil not in advice([fast, record("threads", 2, 0.98, environment=NO_GIL)])
    assert gil not in advice([fast])


def test_a_pool_that_costs_more_than_it_gains_is_to_be_kept_open(record: Make) -> None:
    said = advice([record("processes", 2, 1.9, cold_speedup=0.62, open_seconds=1.2, close_seconds=0.05)])
    assert "Keep the pool open: with opening and closing it (1.25 s) the speedup is 0.62x." in said
    assert "Keep" not in advice([record("processes", 2, 1.9)])


def test_cost_leaves_out_unknown_memory(record: Make) -> None:
    known = record("processes", 2, 1.9)
    assert "182 MB at peak" in cost(known)
    unknown = type(known.memory)()
    assert "at peak" not in cost(record("processes", 2, 1.9, memory=unknown))


def test_parallel_waiting_counts_up_to_the_usable_cores_only(record: Make) -> None:
    shares = Contention(sequential=0.02, parallel=0.3, reference_speedup=None)
    assert contention(record("processes", 2, 1.9, contention=shares)) == 0.3
    assert contention(record("processes", 3, 1.9, contention=shares)) == 0.02
