"""Threads of ours that hang are ended where Python can, named where it cannot, and idle ones never hit."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_parallelism.envelope import RunningTasks
from pytest_parallelism.errors import TaskTimeout
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions

OPTIONS = StrategyOptions()
PATIENCE = 20.0


def spin_until(done: threading.Event) -> None:
    try:
        while True:
            pass
    finally:
        done.set()


@pytest.mark.parametrize("name", ["threads", "asyncio-threads"])
def test_a_hung_loop_is_ended_and_its_finally_runs(name: str) -> None:
    done = threading.Event()
    with load()[name].open(2, OPTIONS) as pool:
        with pytest.raises(TaskTimeout, match="its tasks were ended"):
            pool.map(lambda _item: spin_until(done), [0, 1], timeout=0.1)
        assert done.is_set()


@pytest.mark.parametrize("name", ["threads", "asyncio-threads"])
def test_a_thread_that_waits_in_c_is_named(name: str) -> None:
    gate = threading.Lock()
    gate.acquire()
    names: list[str] = []

    def wait(_item: int) -> None:
        names.append(threading.current_thread().name)
        gate.acquire()

    with load()[name].open(2, OPTIONS) as pool, pytest.raises(TaskTimeout) as caught:
        pool.map(wait, [0], timeout=0.1)
    assert names[0] in str(caught.value)
    gate.release()
    for thread in threading.enumerate():
        if thread.name == names[0]:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_python_ends_although_a_thread_waits_in_c() -> None:
    code = (
        "import time; from pytest_parallelism.registry import load\n"
        "from pytest_parallelism.strategy import StrategyOptions\n"
        "with load()['threads'].open(2, StrategyOptions()) as pool:\n"
        "    pool.map(lambda _: time.sleep(10**6), [0], timeout=0.1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert "TaskTimeout" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["threads", "threads-queue", "asyncio-threads", "joblib-threading"])
def test_a_trace_function_sees_the_next_pool_work_although_a_thread_waits_in_c(name: str) -> None:
    code = (
        "import contextlib, sys, threading; from pytest_parallelism.errors import TaskTimeout\n"
        "from pytest_parallelism.registry import load\n"
        "from pytest_parallelism.strategy import StrategyOptions\n"
        f"strategy = load()[{name!r}]\n"
        "gate = threading.Lock(); gate.acquire()\n"
        "with contextlib.suppress(TaskTimeout), strategy.open(2, StrategyOptions()) as pool:\n"
        "    pool.map(lambda _: gate.acquire(), [0], timeout=0.1)\n"
        "sys.settrace(lambda *_: None)\n"
        "with strategy.open(2, StrategyOptions()) as pool:\n"
        "    print(pool.map(str, range(3)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.stdout.split("\n") == ["['0', '1', '2']", ""]


@pytest.fixture
def many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_an_idle_thread_is_never_hit() -> None:
    """Tasks of many lengths end while they are struck: what comes too late never comes."""
    struck = unhurt = 0
    usual = 1000.0  # it follows the machine, so that about half of them are struck
    with ThreadPoolExecutor(1) as executor:
        for number in range(50_000):
            tasks = RunningTasks()
            begun = threading.Event()
            future = executor.submit(short_task, tasks, begun, int(usual * (number % 100) / 50))
            begun.wait(PATIENCE)
            tasks.end()
            hit = future.exception(PATIENCE) is not None
            struck, unhurt = struck + hit, unhurt + (not hit)
            usual = max(1.0, usual * (0.98 if hit else 1.02))
            # A late one would end this call, or the thread in which it shall run.
            assert executor.submit(sum, range(500)).result(PATIENCE) == 124750
            if min(struck, unhurt) >= 300:
                return
    pytest.fail(f"{struck} tasks were struck and {unhurt} were not: too few of one to prove anything")


def short_task(tasks: RunningTasks, begun: threading.Event, length: int) -> None:
    with tasks:
        begun.set()
        for _ in range(length):
            pass


def test_a_task_that_begins_after_the_end_does_not_run() -> None:
    tasks = RunningTasks()
    tasks.end()
    ran = []
    with pytest.raises(BaseException) as caught, tasks:
        ran.append(True)
    assert type(caught.value).__name__ == "_Ended"
    assert ran == []
