"""Pools that several callers use, one after another and at once."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from pytest_parallelism.envelope import Initializing
from pytest_parallelism.errors import NotTransferable, PoolError, TaskTimeout, WorkerLost
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy, StrategyOptions
from pytest_parallelism.workpool import WorkPool

KNOWN = load()
HERE: ModuleType = sys.modules[__name__]
OPTIONS = StrategyOptions(by_value=(HERE,))
OWN = ("processes", "processes-queue", "processes-threads")
MODEL = "of the parent"


class Scaled:
    scale = 1


def scaled(thing: Scaled) -> int:
    return 2 * thing.scale


def double(item: int) -> int:
    return 2 * item


def fail_or_sleep(item: float) -> float:
    if not item:
        raise KeyError(item)
    time.sleep(item)
    return item


def load_model() -> None:
    global MODEL  # what an initializer does
    MODEL = "of the worker"


def model(_item: int) -> str:
    return MODEL


def stop(_item: int) -> Any:
    return next(iter(()))


def read_slowly(stream: Iterator[Any]) -> None:
    for _ in stream:
        time.sleep(0.02)


def leave(_item: int) -> None:
    time.sleep(0.05)
    os._exit(3)


@pytest.fixture(params=OWN)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return KNOWN[request.param]


@pytest.fixture
def pool(strategy: Strategy) -> Iterator[Any]:
    with strategy.open(2, OPTIONS) as opened:
        yield opened


def test_all_workers_serve_on_after_an_item_that_cannot_be_sent(pool: Any) -> None:
    with pytest.raises(NotTransferable):
        pool.map(double, [1, threading.Lock()], chunk_size=1)
    for _ in range(200):  # the answer for item 0, which nobody waits for, is heard in one of these
        assert pool.map(double, range(8), chunk_size=1) == [0, 2, 4, 6, 8, 10, 12, 14]
        if not any(worker.doing for worker in pool._crew.workers):
            break
    else:
        pytest.fail("a worker keeps what it was given")


def test_maps_of_several_threads_give_each_its_results(pool: Any) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(pool.map(double, range(20), chunk_size=1)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[2 * item for item in range(20)]] * 4


def test_a_lost_worker_is_the_error_of_every_future_that_waits(pool: Any) -> None:
    futures = [pool.executor.submit(leave, item) for item in range(6)]
    assert {type(future.exception()) for future in futures} == {WorkerLost}


def test_a_limit_for_one_task_is_refused_where_it_would_not_hold() -> None:
    with KNOWN["processes"].open(2, OPTIONS) as pool:
        pool.executor.submit(double, 1).result()  # type: ignore[attr-defined]  # the strategy has one
        with pytest.raises(PoolError, match="before its executor is used"):
            WorkPool(pool, KNOWN["processes"]).map(double, [1], task_timeout=1)


def test_a_limit_for_one_task_is_not_that_of_tasks_which_nobody_waits_for() -> None:
    with KNOWN["processes"].open(2, OPTIONS) as pool:
        with pytest.raises(KeyError):
            pool.map(fail_or_sleep, [0, 1.5], chunk_size=1)
        view = WorkPool(pool, KNOWN["processes"])
        assert view.map(fail_or_sleep, [0.01] * 3, task_timeout=1) == [0.01] * 3


def test_a_class_that_changes_between_two_maps_changes_in_the_workers(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool.map(scaled, [Scaled(), Scaled()]) == [2, 2]
    monkeypatch.setattr(Scaled, "scale", 10)
    assert pool.map(scaled, [Scaled(), Scaled()]) == [20, 20]


def test_what_an_initializer_sets_is_the_workers_own_while_its_pool_is_open() -> None:
    initializer = Initializing(load_model)
    own = StrategyOptions(by_value=(HERE,), initializer=initializer)
    with initializer.kept(), KNOWN["processes"].open(1, own) as pool:
        assert pool.map(model, [1]) == ["of the worker"]
    with KNOWN["processes"].open(1, OPTIONS) as pool:
        assert pool.map(model, [1]) == ["of the parent"]


@pytest.mark.parametrize(
    "name", ["threads", "processes", "threads-queue", "processes-queue", "asyncio-threads"]
)
def test_a_task_may_raise_stop_iteration(name: str) -> None:
    with KNOWN[name].open(2, OPTIONS) as pool:
        for how in ({}, {"partition": "balanced"}):
            with pytest.raises(StopIteration):
                WorkPool(pool, KNOWN[name]).map(stop, [1, 2], **how)  # type: ignore[arg-type]  # by name


def in_a_generator(_item: int) -> Any:
    return list(map(stop, iter([1]))) or sum(stop(x) for x in [1])


@pytest.mark.parametrize("name", ["threads", "threads-queue", "processes"])
def test_what_python_makes_of_it_in_a_generator_of_the_tasks_stays(name: str) -> None:
    with KNOWN[name].open(2, OPTIONS) as pool, pytest.raises(RuntimeError, match="generator raised Stop"):
        WorkPool(pool, KNOWN[name]).map(in_a_generator, [1, 2])


@pytest.mark.parametrize("name", ["threads", "threads-queue"])
def test_a_pool_of_threads_that_was_left_by_an_exception_says_so(name: str) -> None:
    gate = threading.Event()
    told: list[BaseException] = []

    def wait_in_a_stream(pool: Any) -> None:
        try:
            list(pool.stream(lambda _item: gate.wait(30), [(index, [index]) for index in range(4)]))
        except PoolError as exc:
            told.append(exc)

    with contextlib.suppress(KeyError), KNOWN[name].open(2, OPTIONS) as pool:
        reader = threading.Thread(target=wait_in_a_stream, args=(pool,))
        reader.start()
        time.sleep(0.1)
        raise KeyError
    for _ in range(4):
        with pytest.raises(PoolError, match="closed"):
            pool.map(double, [1, 2, 3])
    gate.set()
    reader.join(20)
    assert len(told) == 1


@pytest.mark.parametrize("name", ["threads", "processes", "threads-queue", "asyncio-threads"])
def test_the_time_of_a_stream_is_over_also_while_answers_are_ready(name: str) -> None:
    with KNOWN[name].open(2, OPTIONS) as pool:
        stream = WorkPool(pool, KNOWN[name]).imap(double, range(100), timeout=0.1)
        with pytest.raises(TaskTimeout):
            read_slowly(stream)


def test_another_callers_task_ends_with_its_pool_in_an_error_of_ours() -> None:
    with KNOWN["threads"].open(2, OPTIONS) as pool:

        def spin(_item: int) -> None:
            while True:
                time.sleep(0.001)

        future = pool.executor.submit(spin, 1)  # type: ignore[attr-defined]  # the strategy has one
        with pytest.raises(TaskTimeout):
            pool.map(spin, [1], timeout=0.1)
        assert isinstance(future.exception(), PoolError)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pidfds")
def test_a_python_without_pidfds_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with KNOWN["processes"].open(2, OPTIONS) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]


def test_an_idle_pool_ends_though_another_was_forked_since() -> None:
    first = KNOWN["processes-fork"].open(1, OPTIONS)
    pool: Any = first.__enter__()
    with KNOWN["processes-fork"].open(1, OPTIONS):
        (worker,) = pool._crew.workers
        process = worker.process
        first.__exit__(None, None, None)
        assert process.exitcode == 0
