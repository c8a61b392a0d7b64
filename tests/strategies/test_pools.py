"""What single strategies promise beyond the conformance suite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import pytest_parallelism
from pytest_parallelism.envelope import owned_folder
from pytest_parallelism.errors import PoolError, TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.registry import load
from pytest_parallelism.strategies._chunks import auto_chunk
from pytest_parallelism.strategy import HasAmbient, HasExecutor, HasInfo, HasPids, Pool, StrategyOptions
from pytest_parallelism.workers import hidden_main

KNOWN = load()
OPTIONS = StrategyOptions(by_value=(sys.modules[__name__],))
JOBLIB = ["joblib-loky", "joblib-threading", "joblib-multiprocessing"]
PROCESSES = [
    "processes-fork",
    "processes-forkserver",
    "processes-spawn",
    "joblib-loky",
    "joblib-multiprocessing",
]


def place(_: Any) -> tuple[int, bool]:
    return os.getpid(), threading.current_thread() is threading.main_thread()


def hangs(_: Any) -> None:
    while True:
        time.sleep(60)


def is_memory_map(array: Any) -> bool:
    return isinstance(array, np.memmap)


def map_many_times(pool: Pool) -> None:
    for _ in range(100_000):
        pool.map(str, range(4))


def fail_while_busy(name: str, pids: list[int]) -> None:
    with KNOWN[name].open(1, OPTIONS) as pool:
        assert isinstance(pool, HasPids)
        pids += pool.pids()
        if isinstance(pool, HasExecutor):
            futures = [pool.executor.submit(hangs, 1) for _ in range(40)]
            while not futures[0].running():
                time.sleep(0.001)
        raise ZeroDivisionError


# ---- chunks


@pytest.mark.parametrize(
    ("items", "workers", "chunk"),
    [(0, 2, 1), (1, 4, 1), (8, 2, 1), (64, 4, 2), (100, 4, 5), (10_000, 2, 625), (66, 2, 5)],
)
def test_automatic_chunks_balance_equal_items(items: int, workers: int, chunk: int) -> None:
    assert auto_chunk(items, workers) == chunk


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("items", [1, 5, 17, 100, 999, 12_345])
def test_automatic_chunks_are_four_to_eight_a_worker_or_single_items(items: int, workers: int) -> None:
    size = auto_chunk(items, workers)
    chunks = -(-items // size)
    assert chunks <= 8 * workers
    assert size == 1 or chunks > 2 * workers


def test_a_chunk_size_under_one_is_refused() -> None:
    with KNOWN["threads"].open(1, OPTIONS) as pool, pytest.raises(UsageError, match=r"1 or more.*: 0"):
        pool.map(str, [1], chunk_size=0)


@pytest.mark.parametrize("name", KNOWN)
def test_an_unknown_option_is_refused(name: str) -> None:
    options = StrategyOptions(extra={"colour": "red"})
    with pytest.raises(UsageError, match=f"{name} knows no option 'colour'"), KNOWN[name].open(1, options):
        pass


def test_sequential_has_one_worker() -> None:
    with pytest.raises(UsageError, match="one worker"), KNOWN["sequential"].open(2, OPTIONS):
        pass


# ---- joblib


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", JOBLIB)
def test_ambient_joblib_calls_run_on_the_pools_workers(name: str, workers: int) -> None:
    with KNOWN[name].open(workers, OPTIONS) as pool:
        assert isinstance(pool, HasAmbient)
        for _ in range(2):
            with pool.ambient():
                seen = joblib.Parallel()(joblib.delayed(place)(item) for item in range(12))
            if isinstance(pool, HasPids):
                assert {pid for pid, _ in seen} <= set(pool.pids())
            else:
                assert set(seen) == {(os.getpid(), False)}
        assert len(pool.map(place, range(4))) == 4
    assert joblib.parallel.get_active_backend()[1] is None


def test_a_failing_ambient_call_leaves_the_pool_usable() -> None:
    for name in JOBLIB:
        with KNOWN[name].open(2, OPTIONS) as pool:
            assert isinstance(pool, HasAmbient)
            with pool.ambient(), pytest.raises(ZeroDivisionError):
                joblib.Parallel()(joblib.delayed(divmod)(1, item) for item in (1, 0))
            assert pool.map(str, [1, 2]) == ["1", "2"]


@pytest.mark.parametrize("name", ["joblib-loky", "joblib-multiprocessing"])
def test_large_arrays_reach_joblibs_workers_as_memory_maps(name: str) -> None:
    with KNOWN[name].open(1, OPTIONS) as pool:
        assert pool.map(is_memory_map, [np.ones(200_000), np.ones(3)]) == [True, False]
    with KNOWN[name].open(1, StrategyOptions(by_value=OPTIONS.by_value, extra={"max_nbytes": None})) as pool:
        assert pool.map(is_memory_map, [np.ones(200_000)]) == [False]


# ---- processes


@pytest.mark.parametrize("name", PROCESSES)
def test_the_start_method_is_told(name: str) -> None:
    with KNOWN[name].open(1, OPTIONS) as pool:
        assert isinstance(pool, HasInfo)
        assert set(pool.info()) == {"start_method"}


@pytest.mark.parametrize("name", PROCESSES)
def test_an_idle_worker_that_is_killed_is_named_by_the_next_map(name: str) -> None:
    with KNOWN[name].open(2, OPTIONS) as pool:
        assert isinstance(pool, HasPids)
        victim = pool.pids()[0]
        os.kill(victim, signal.SIGKILL)
        while Path(f"/proc/{victim}/fd").exists() and _runs(victim):
            time.sleep(0.001)
        with pytest.raises(PoolError, match=str(victim)):
            map_many_times(pool)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_timeout_kills_the_workers_and_what_they_started(name: str, tmp_path: Path) -> None:
    def starts_another(_: int) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (tmp_path / str(child.pid)).touch()
        child.wait()

    with KNOWN[name].open(1, OPTIONS) as pool:
        with pytest.raises(TaskTimeout, match="were killed"):
            pool.map(starts_another, [1], timeout=2)
        with pytest.raises(PoolError, match="open a new one"):
            pool.map(str, [1])
    (pid,) = (int(path.name) for path in tmp_path.iterdir())
    assert not _runs(pid)


@pytest.mark.parametrize("name", PROCESSES)
def test_leaving_by_an_exception_kills_busy_workers(name: str) -> None:
    pids: list[int] = []
    with pytest.raises(ZeroDivisionError):
        fail_while_busy(name, pids)
    assert pids
    assert not any(map(_runs, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("name", [*PROCESSES, "processes-memmap"])
def test_workers_die_with_their_parent_and_its_folders_go_with_the_next(name: str) -> None:
    killing = "pool.map(lambda _: os.kill(parent, signal.SIGKILL), [bytes(99), numpy.zeros(1 << 18)])"
    with tempfile.TemporaryDirectory(prefix="pp-", ignore_cleanup_errors=True) as folder:  # for sockets
        assert_gone_with_the_parent(name, killing, first="import numpy; parent = os.getpid();", folder=folder)
        own = Path(owned_folder(folder))
        assert list(Path(folder).glob("pytest-parallelism-*")) == [own]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_of_the_default_method_die_with_their_parent_while_they_compute(method: str) -> None:
    assert_gone_with_the_parent(
        "joblib-multiprocessing",
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGKILL)).start();"
        "pool.map(lambda _: sum(range(10**15)), range(2))",
        first=f"multiprocessing.set_start_method({method!r});",
    )


def assert_gone_with_the_parent(name: str, body: str, first: str = "", folder: str | None = None) -> None:
    code = (
        "import multiprocessing, os, signal, threading; from pytest_parallelism.registry import load;"
        f"from pytest_parallelism.strategy import StrategyOptions; {first}"
        f"opening = load()[{name!r}].open(2, StrategyOptions()); pool = opening.__enter__();"
        f"print(*pool.pids(), flush=True); {body}"
    )
    root = Path(pytest_parallelism.__file__).parents[1]
    environment = {**os.environ, "TMPDIR": folder or tempfile.gettempdir()}
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=environment,
        timeout=60,
        check=False,
    )
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) == 2
    end = time.monotonic() + 10
    while any(map(_runs, left)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(_runs, left))


def test_our_main_module_is_hidden_only_while_workers_start() -> None:
    main = sys.modules["__main__"]
    before = (getattr(main, "__file__", None), main.__spec__)
    with hidden_main():
        assert (getattr(main, "__file__", None), main.__spec__) == (None, None)
    assert (getattr(main, "__file__", None), main.__spec__) == before


# ---- executors


def test_an_executor_future_can_be_waited_for_and_cancelled() -> None:
    gate = threading.Event()
    with KNOWN["threads"].open(1, OPTIONS) as pool:
        assert isinstance(pool, HasExecutor)
        first = pool.executor.submit(gate.wait)
        second = pool.executor.submit(gate.wait)
        assert second.cancel()
        gate.set()
        assert wait([first, second], timeout=30).not_done == set()
        assert (first.result(), second.cancelled()) == (True, True)


def test_a_lost_worker_reaches_the_future() -> None:
    for name in ("processes-fork", "joblib-loky"):
        with KNOWN[name].open(1, OPTIONS) as pool:
            assert isinstance(pool, HasExecutor)
            future = pool.executor.submit(os._exit, 3)
            with pytest.raises(WorkerLost, match="exit code 3"):
                future.result(timeout=60)


def test_threads_left_after_a_timeout_are_named() -> None:
    gate = threading.Event()
    with KNOWN["threads"].open(1, OPTIONS) as pool:
        with pytest.raises(TaskTimeout, match=r"left running: threads-\d+_0"):
            pool.map(lambda _: gate.wait(), [1], timeout=0.01)
        gate.set()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
