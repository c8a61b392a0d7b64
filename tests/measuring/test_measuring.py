"""`measure`: its points, its errors and its arguments."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_parallelism import Measured, measure
from pytest_parallelism.errors import UsageError, WorkerLost, WrongResult

PARENT = os.getpid()


def work(x: int) -> int:
    return sum(i * x for i in range(300))


def statuses(found: Measured) -> dict[str, str]:
    return {f"{e.strategy}-w{e.workers_requested}": e.status for e in found.points}


# --- points ---


def test_the_points_are_those_of_the_marker() -> None:
    found = measure(
        work, range(8), strategies=["sequential", "threads"], workers=[1, 3, "max"], rounds=2, size=80
    )
    assert [r.strategy for r in found.records][:3] == ["sequential", "threads", "threads"]
    asked = [e.workers_requested for e in found.points]
    assert asked[:2] == [1, 1]
    assert set(asked[2:]) <= {3, "max"}
    for record in found.records:
        assert (record.test, record.pairs, record.items, record.result) == ("work", 2, 8, "equal")
        assert record.size_bytes == 80
        assert math.isfinite(record.speedup.estimate)


def test_without_strategies_the_common_ones_run_and_event_loops_only_for_coroutines() -> None:
    def wait(x: int) -> int:
        return x

    async def wait_async(x: int) -> int:
        return x

    names = {"sequential", "threads", "processes", "joblib-loky"}
    plain = measure(wait, range(4), workers=2, rounds=2)
    assert {e.strategy for e in plain.points} == names
    twins = measure(wait, range(4), workers=2, rounds=2, async_fn=wait_async)
    assert {e.strategy for e in twins.points} == {*names, "asyncio"}
    assert set(statuses(twins).values()) == {"measured"}


def test_a_strategy_that_cannot_run_here_or_not_this_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_parallelism.strategy._importable", lambda name: name != "joblib")
    strategies = ["asyncio", "joblib-loky", "threads"]
    found = measure(work, range(8), strategies=strategies, workers=2, rounds=2)
    assert statuses(found) == {"asyncio-w2": "skipped", "joblib-loky-w2": "skipped", "threads-w2": "measured"}
    loops, loky, _ = found.points
    assert "runs coroutine functions only, and work is not one" in loops.reason
    assert "joblib-loky needs joblib, not installed here: pip install" in loky.reason


def test_a_gate_is_a_verdict_of_points_with_more_than_one_worker() -> None:
    found = measure(work, range(8), strategies="threads", workers=[1, 2], rounds=2, min_speedup=1.5)
    verdicts = [[(v.gate, v.claim) for v in r.verdicts] for r in found.records]
    assert verdicts == [[], [("speedup", 1.5)]]


def test_a_function_that_is_heavy_to_send_is_noted() -> None:
    ballast = bytes(2_000_000)

    def heavy(x: int) -> int:
        return x + len(ballast)

    found = measure(heavy, range(2), strategies=["threads", "processes"], workers=1, rounds=2)
    threads, processes = found.records
    assert not any("drags" in note for note in threads.notes)
    assert any(n.startswith("heavy drags 2.0 MB to the workers") for n in processes.notes)


def test_setup_teardown_and_equal_reach_the_workload() -> None:
    seen: list[str] = []

    def drain(numbers: list[int]) -> int:
        return numbers.pop()

    def equal(left: list[int], right: list[int]) -> bool:
        seen.append("equal")
        return left == right

    def fresh() -> list[list[int]]:
        seen.append("setup")
        return [[1], [2]]

    measure(
        drain,
        fresh(),
        strategies="threads",
        workers=1,
        rounds=2,
        setup=fresh,
        teardown=lambda: seen.append("teardown"),
        equal=equal,
    )
    assert seen.count("setup") == seen.count("teardown") + 1
    assert "equal" in seen


# --- errors ---


def test_a_failing_task_raises_its_own_error_at_once() -> None:
    calls: list[int] = []

    def fail(x: int) -> float:
        calls.append(x)
        return 1 / x

    with pytest.raises(ZeroDivisionError):
        measure(fail, [2, 0], strategies=["threads", "processes"], workers=[1, 2], rounds=2)
    assert calls == [2, 0]


def test_a_wrong_result_fails_its_point_and_is_raised_where_there_is_nothing_else() -> None:
    def where(x: int) -> bool:
        return threading.current_thread() is threading.main_thread()

    found = measure(where, range(4), strategies=["sequential", "threads"], workers=2, rounds=2)
    assert [(p.strategy, p.status) for p in found.points] == [
        ("sequential", "measured"),
        ("threads", "failed"),
    ]
    wrong = "threads-w2 gives another result than the sequential run of where"
    assert wrong in found.points[1].reason
    with pytest.raises(WrongResult, match=wrong):
        measure(where, range(4), strategies="threads", workers=2, rounds=2)


@pytest.mark.parametrize("name", [5, b"x"])
def test_a_name_must_be_a_text(name: Any) -> None:
    with pytest.raises(UsageError, match="name= must be a text, not"):
        measure(abs, [1], name=name)


def leave_other_processes(x: int) -> int:
    if os.getpid() != PARENT:
        os._exit(3)
    return x


def fail_in_other_processes(x: int) -> int:
    if os.getpid() != PARENT:
        raise LookupError("no database here\nreally")
    return x


@pytest.mark.parametrize(
    ("fn", "reason"),
    [(leave_other_processes, "WorkerLost: "), (fail_in_other_processes, "LookupError: no database here")],
)
def test_what_ends_one_strategy_costs_no_other_point(fn: Callable[[int], int], reason: str) -> None:
    found = measure(fn, range(4), strategies=["processes-fork", "threads"], workers=2, rounds=2)
    assert statuses(found) == {"processes-fork-w2": "error", "threads-w2": "measured"}
    assert found.points[0].reason.startswith(reason)
    assert "\n" not in found.points[0].reason
    assert reason in str(found)
    assert [r.strategy for r in found.records] == ["threads"]


def test_where_every_point_ends_in_an_error_the_first_is_raised() -> None:
    with pytest.raises(WorkerLost):
        measure(leave_other_processes, range(4), strategies="processes-fork", workers=[1, 2], rounds=2)


def test_the_traceback_of_an_error_of_ours_ends_at_the_call() -> None:
    with pytest.raises(UsageError) as caught:
        measure(work, range(3), workers=0)
    assert [entry.name for entry in caught.traceback] == [
        "test_the_traceback_of_an_error_of_ours_ends_at_the_call",
        "measure",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"strategies": "thread"}, "No strategy is named 'thread'.*Did you mean 'threads'"),
        ({"strategies": []}, "strategies names no strategy"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"workers": "many"}, "workers takes worker counts"),
        ({"rounds": 0}, "rounds must be a whole number of at least 1"),
        ({"max_time": -1}, "max_time must be a number above 0"),
        ({"workers": 2, "min_speedup": 3}, "min_speedup of 3 with 2 workers is more than any machine"),
        ({"min_efficiency": 2}, "min_efficiency is a share between 0 and 1"),
        ({"chunksize": 3}, "measure takes no argument 'chunksize'.*Did you mean 'chunk_size'"),
        ({"kind": "gpu"}, "kind= must be 'cpu', 'io' or 'mixed'"),
        ({"items": []}, "no items: there is nothing to measure"),
        ({"fn": 3}, "takes a function and its items, not 3"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        measure(**{"fn": work, "items": range(3), **arguments})
