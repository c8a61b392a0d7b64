"""`parallel_map` and `threaded_map`, within this process; real scripts stand in their own file."""

from __future__ import annotations

import asyncio
import functools
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism import parallel_map, threaded_map
from pytest_parallelism.errors import NotTransferable, TaskExit, UsageError, WorkerLost

PATIENCE = 30.0  # against hanging only

two_processes: Any = functools.partial(parallel_map, processes=2)
two_threads: Any = functools.partial(threaded_map, max_workers=2)
both = pytest.mark.parametrize("mapped", [two_processes, two_threads], ids=["processes", "threads"])
Mapped = Callable[..., list[Any]]


def square(number: int) -> int:
    return number * number


async def square_later(number: int) -> int:
    await asyncio.sleep(0)
    return number * number


def fail_at(bad: int, number: int) -> int:
    if number == bad:
        raise ValueError(f"number {number}")
    return number


def last_lets_first_end(flag: Path, last: int, number: int) -> int:
    """Item 0 ends only when the last one has begun."""
    end = time.monotonic() + PATIENCE
    while number == 0 and not flag.exists() and time.monotonic() < end:
        time.sleep(0.001)
    if number == last:
        flag.touch()
    return number


@both
def test_results_are_those_of_a_loop_in_its_order(mapped: Mapped) -> None:
    assert mapped(square, range(57)) == [square(number) for number in range(57)]


@both
def test_any_iterable_is_data(mapped: Mapped) -> None:
    assert mapped(str.upper, "abc") == ["A", "B", "C"]
    assert mapped(square, (number for number in range(5))) == [0, 1, 4, 9, 16]
    assert sorted(mapped(square, {1: "x", 2: "y"})) == [1, 4]


@both
def test_no_data_gives_an_empty_list(mapped: Mapped) -> None:
    assert mapped(square, [], show_progress=True, handle_errors=True) == []


@both
def test_closures_and_lambdas_work(mapped: Mapped) -> None:
    offset = 7

    def moved(number: int) -> int:
        return number + offset

    assert mapped(moved, range(3)) == [7, 8, 9]
    assert mapped(lambda number: number - offset, range(3)) == [-7, -6, -5]


@both
@pytest.mark.parametrize("handle_errors", [False, True])
def test_a_coroutine_function_gives_what_it_returns(mapped: Mapped, handle_errors: bool) -> None:
    assert mapped(square_later, range(12), handle_errors=handle_errors) == [square(n) for n in range(12)]


def test_the_type_of_the_results_is_known() -> None:
    plain: list[int] = threaded_map(square, [2])
    awaited: list[int] = threaded_map(square_later, [2])
    in_process: list[int] = parallel_map(square_later, [2], 1)
    assert plain == awaited == in_process == [4]


@both
def test_asynchronous_mode_gives_results_as_they_complete_one_item_at_a_time(
    mapped: Mapped, tmp_path: Path
) -> None:
    found = mapped(functools.partial(last_lets_first_end, tmp_path / "flag", 3), range(4), async_mode=True)
    assert found[:2] == [1, 2]
    assert sorted(found) == [0, 1, 2, 3]


@both
def test_synchronous_mode_keeps_the_order_whatever_completes_first(mapped: Mapped, tmp_path: Path) -> None:
    run = functools.partial(mapped, chunk_size=1) if mapped is two_processes else mapped
    assert run(functools.partial(last_lets_first_end, tmp_path / "flag", 3), range(4)) == [0, 1, 2, 3]


def test_a_chunk_goes_to_one_process_at_once() -> None:
    pids = parallel_map(lambda _: os.getpid(), range(20), processes=2, chunk_size=5)
    assert [len(set(pids[start : start + 5])) for start in range(0, 20, 5)] == [1, 1, 1, 1]
    assert os.getpid() not in pids


@both
def test_the_first_error_is_raised_as_it_is(mapped: Mapped) -> None:
    with pytest.raises(ValueError, match=r"^number 7$"):
        mapped(functools.partial(fail_at, 7), range(30))


def test_the_traceback_of_the_worker_is_the_cause() -> None:
    with pytest.raises(ValueError, match="number 7") as caught:
        parallel_map(functools.partial(fail_at, 7), range(30), processes=2)
    cause = str(caught.value.__cause__)
    assert "item 7" in cause
    assert "in fail_at" in cause


def begun_and_waiting(folder: str, number: int) -> None:
    Path(folder, str(number)).touch()
    if number == 0:
        raise ValueError("the first")
    end = time.monotonic() + PATIENCE
    while not Path(folder, "over").exists() and time.monotonic() < end:
        time.sleep(0.001)


@both
def test_after_an_error_pending_items_are_cancelled(mapped: Mapped, tmp_path: Path) -> None:
    task = functools.partial(begun_and_waiting, str(tmp_path))
    with pytest.raises(ValueError, match="the first"):
        mapped(task, range(100), async_mode=True)
    begun = len(list(tmp_path.iterdir()))
    (tmp_path / "over").touch()
    assert begun <= 4  # the first, one beside it, and what came before its error was heard
    assert multiprocessing.active_children() == []


@both
@pytest.mark.parametrize("async_mode", [False, True])
def test_handled_errors_are_logged_with_index_and_traceback_and_skipped(
    mapped: Mapped, async_mode: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found = mapped(functools.partial(fail_at, 7), range(12), async_mode=async_mode, handle_errors=True)
    assert sorted(found) == [number for number in range(12) if number != 7]
    assert async_mode or found == sorted(found)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pytest_parallelism", logging.ERROR)
    assert record.getMessage() == "fail_at failed for item 7, which is left out: ValueError: number 7"
    assert vars(record)["item_index"] == 7
    assert "in fail_at" in caplog.text
    assert "pytest_parallelism/maps" not in caplog.text


def test_the_cause_of_a_logged_error_is_the_traceback_of_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    parallel_map(functools.partial(fail_at, 7), range(12), processes=2, handle_errors=True)
    error = (caplog.records[0].exc_info or (None, None, None))[1]
    assert isinstance(error, ValueError)
    assert "in fail_at" in str(error.__cause__)


@both
def test_an_exit_of_a_task_is_a_failed_item(mapped: Mapped, caplog: pytest.LogCaptureFixture) -> None:
    def leave(number: int) -> int:
        if number in (1, 2):
            raise (SystemExit if number == 1 else KeyboardInterrupt)(number)
        return number

    assert mapped(leave, range(5), handle_errors=True) == [0, 3, 4]
    assert len(caplog.records) == 2
    with pytest.raises(TaskExit):
        mapped(leave, range(5))


@both
def test_a_returned_exception_is_a_result(mapped: Mapped) -> None:
    found = mapped(lambda number: KeyError(number), range(2), handle_errors=True)
    assert [(type(value), value.args) for value in found] == [(KeyError, (0,)), (KeyError, (1,))]


def test_an_item_or_result_that_cannot_travel_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    def locked(item: Any) -> Any:
        return threading.Lock() if item == 3 else item

    found = parallel_map(locked, [0, threading.Lock(), 2, 3, 4], processes=1, handle_errors=True)
    assert found == [0, 2, 4]
    assert [(vars(record)["item_index"]) for record in caplog.records] == [1, 3]
    assert "item 1 (lock) cannot be sent to a worker" in caplog.text
    assert "the result of item 3 (lock) cannot be sent back" in caplog.text


@pytest.mark.parametrize("handle_errors", [False, True])
def test_a_function_that_cannot_travel_is_no_failed_item(handle_errors: bool) -> None:
    lock = threading.Lock()
    with pytest.raises(NotTransferable, match="cannot be sent to a worker"):
        parallel_map(lambda item: (lock, item), range(3), processes=1, handle_errors=handle_errors)


@pytest.mark.parametrize("handle_errors", [False, True])
def test_a_lost_worker_is_an_error_in_any_case(handle_errors: bool) -> None:
    def exit_at_five(number: int) -> int:
        if number == 5:
            os._exit(3)
        return number

    with pytest.raises(WorkerLost, match="exit code 3"):
        parallel_map(exit_at_five, range(20), processes=2, handle_errors=handle_errors)
    assert multiprocessing.active_children() == []


@both
def test_progress_goes_to_stderr_and_ends_at_all_items(
    mapped: Mapped, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    mapped(functools.partial(fail_at, 7), range(25), show_progress=True, handle_errors=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "fail_at: 100%" in said.err
    assert "25/25" in said.err


@both
def test_progress_makes_one_step_per_item_done(mapped: Mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = import_module("tqdm.auto").tqdm
    really = bar.update
    steps: list[int] = []

    def update(self: Any, n: int = 1) -> Any:
        steps.append(n)
        return really(self, n)

    monkeypatch.setattr(bar, "update", update)
    mapped(square, range(25), show_progress=True, async_mode=True)
    assert steps == [1] * 25


@both
def test_nothing_is_left_behind(mapped: Mapped) -> None:
    def held() -> tuple[set[threading.Thread], int]:
        folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
        return set(threading.enumerate()), len(list(folder.iterdir()))

    run = functools.partial(mapped, square, range(25), show_progress=True, handle_errors=True)
    run()  # what Python keeps for itself comes once
    before = held()
    run()
    assert held() == before
    assert multiprocessing.active_children() == []


@both
def test_without_tqdm_one_sentence_says_what_to_install(
    mapped: Mapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(UsageError) as caught:
        mapped(square, range(3), show_progress=True)
    said = "show_progress needs tqdm, not installed here: pip install 'pytest-parallelism[progress]'"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: parallel_map(square, [1], 0), "processes must be an int of 1 or more, not 0"),
        (lambda: parallel_map(square, [1], True), "processes must be an int of 1 or more, not True"),
        (lambda: parallel_map(square, [1], 2.5), "processes must be an int of 1 or more, not 2.5"),  # type: ignore[call-overload]  # wrong on purpose
        (lambda: parallel_map(square, [1], 1, 0), "chunk_size must be an int of 1 or more, not 0"),
        (lambda: threaded_map(square, [1], -1), "max_workers must be an int of 1 or more, not -1"),
        (lambda: threaded_map(7, [1]), "fn must be a function or another callable, not int"),  # type: ignore[call-overload]  # wrong on purpose
        (
            lambda: parallel_map(square, 7),  # type: ignore[call-overload]  # wrong on purpose
            "data must be an iterable, such as a list or a generator, not int",
        ),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == said


def test_an_error_of_the_data_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        parallel_map(square, (1 // number for number in (1, 0)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_no_two_threads_fork_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """filelock forbids it."""
    fork, inside, seen = os.fork, [0], []

    def noting() -> int:
        inside[0] += 1
        seen.append(inside[0])
        time.sleep(0.02)
        try:
            return fork()
        finally:
            inside[0] -= 1

    monkeypatch.setattr(os, "fork", noting)
    with ThreadPoolExecutor(3) as executor:
        calls = [executor.submit(parallel_map, square, range(9), 3) for _ in range(3)]
        for call in calls:
            call.result(PATIENCE)
    assert set(seen) <= {1}


def test_calls_from_several_threads_at_once_keep_apart() -> None:
    with ThreadPoolExecutor(2) as executor:
        calls = [executor.submit(parallel_map, square, range(n), 2) for n in (20, 30)]
        assert [call.result(PATIENCE) for call in calls] == [[square(i) for i in range(n)] for n in (20, 30)]


@both
def test_a_task_may_map_again(mapped: Mapped) -> None:
    assert mapped(lambda n: mapped(square, range(n)), range(3)) == [[], [0], [0, 1]]


def test_importing_the_package_loads_no_machinery() -> None:
    code = (
        "import sys, pytest_parallelism; bare = set(sys.modules); pytest_parallelism.parallel_map;"
        "print(*sorted(bare), sep=','); print(*sorted(sys.modules), sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare, with_maps = (set(line.split(",")) for line in done.stdout.splitlines())
    heavy = {"multiprocessing", "concurrent.futures", "asyncio", "cloudpickle", "logging"}
    never = {"tqdm", "numpy", "psutil", "joblib", "pytest"}
    assert not bare & (heavy | never)
    assert not with_maps & never
