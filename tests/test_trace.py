"""Tasks noted where they run, on real pools, and read between rounds."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pytest_parallelism import envelope
from pytest_parallelism.cpu_times import told, without_waits
from pytest_parallelism.measurement import Pair, Round, Span, Task, Usage
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Pool, StrategyOptions
from pytest_parallelism.trace import Recorder
from pytest_parallelism.workpool import WorkPool

KNOWN = load()
STRATEGIES = [
    "sequential",
    "threads",
    "processes-fork",
    "processes-spawn",
    "joblib-loky",
    "process-pool-executor-fork",
]

linux = sys.platform == "linux"


def double(x: int) -> int:
    return sum(range(2000)) * 0 + 2 * x


async def awaited(x: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * x


def fail(x: int) -> int:
    raise ValueError(str(x))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.close()
    assert not Path(made.folder).exists()


def opened(name: str, workers: int = 2) -> AbstractContextManager[Pool]:
    return KNOWN[name].open(1 if name == "sequential" else workers, StrategyOptions())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_task_is_noted_by_the_worker_that_ran_it(name: str, recorder: Recorder) -> None:
    with opened(name) as pool:
        view = WorkPool(pool, KNOWN[name])
        view.recorder = recorder
        for size in (5, 9):
            with recorder.round():
                assert view.map(double, list(range(size))) == [2 * x for x in range(size)]
            trace = recorder.take()
            assert trace is not None
            assert sum(task.tasks for task in trace.tasks) == size
            (span,) = trace.maps
            assert trace.whole.start <= span.start <= span.end <= trace.whole.end
            for task in trace.tasks:
                assert span.start <= task.start <= task.end <= span.end
                assert task.cpu_seconds >= 0
            if linux:
                _waits_are_in_order(span, trace.tasks)
            pids = {pid for pid, _ in (task.worker for task in trace.tasks)}
            assert (pids == {os.getpid()}) == (name in ("sequential", "threads"))


def _waits_are_in_order(span: Span, tasks: Sequence[Task]) -> None:
    """Of who dispatches and of each worker: none is unknown, and none gets less."""
    for worker in {task.worker for task in tasks}:
        own = [task for task in tasks if task.worker == worker]
        rising(span.dispatchers_before, *(t.dispatchers_before for t in own), span.dispatchers_after)
        if worker in span.workers_before:
            rising(span.workers_before[worker], *(t.delay_before for t in own), span.workers_after[worker])


def rising(*readings: float | None) -> None:
    known = [reading for reading in readings if reading is not None]
    assert known == sorted(known)
    assert len(known) == len(readings)


def test_workers_waits_are_known_from_the_second_round_of_a_pool_on(recorder: Recorder) -> None:
    for _ in range(2):
        with opened("processes-fork") as pool:
            view = WorkPool(pool, KNOWN["processes-fork"])
            view.recorder = recorder
            for _ in range(2):
                with recorder.round():
                    view.map(double, range(8))
                trace = recorder.take()
            assert trace is not None
            assert {task.worker for task in trace.tasks} <= trace.maps[0].workers_after.keys() or not linux
        recorder.forget()


def test_where_no_run_queue_tells_tasks_are_noted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_parallelism.envelope._recording._open_delays", lambda *_: None)
    recorder = Recorder()
    try:
        with opened("processes-fork") as pool:
            view = WorkPool(pool, KNOWN["processes-fork"])
            view.recorder = recorder
            with recorder.round():
                view.map(double, range(8))
            trace = recorder.take()
    finally:
        recorder.close()
    assert trace is not None
    assert {task.delay_after for task in trace.tasks} == {trace.whole.delay_seconds} == {None}
    timed = Round(seconds=trace.whole.end - trace.whole.start, usage=Usage(cpu_seconds=1.0), trace=trace)
    (pair,) = without_waits([Pair(sequential=timed, parallel=(timed,))])
    assert told([pair])
    assert not told([Pair(sequential=timed, parallel=(timed,))])


def test_coroutines_are_noted_too(recorder: Recorder) -> None:
    with opened("asyncio", 4) as pool:
        view = WorkPool(pool, KNOWN["asyncio"])
        view.recorder = recorder
        with recorder.round():
            assert view.map(awaited, range(6)) == [0, 2, 4, 6, 8, 10]
        trace = recorder.take()
    assert trace is not None
    assert len(trace.tasks) == 6


def test_short_tasks_are_noted_by_chunks(recorder: Recorder) -> None:
    recorder.by_chunk = True
    with opened("processes-fork") as pool:
        view = WorkPool(pool, KNOWN["processes-fork"])
        view.recorder = recorder
        with recorder.round():
            view.map(double, range(100), chunk_size=25)
        trace = recorder.take()
    assert trace is not None
    assert sorted(task.tasks for task in trace.tasks) == [25] * 4


def test_what_is_not_seen_in_full_gives_no_trace(recorder: Recorder) -> None:
    with opened("threads") as pool:
        view = WorkPool(pool, KNOWN["threads"])
        view.recorder = recorder
        with recorder.round():
            pass
        assert recorder.take() is None  # no task
        with recorder.round():
            view.map(double, range(3))
            view.executor.submit(double, 1).result()
        assert recorder.take() is None  # the executor's task ran unseen
        with recorder.round():
            assert list(view.imap(double, range(3))) == [0, 2, 4]
        trace = recorder.take()
        assert trace is not None
        assert len(trace.tasks) == 3


def test_too_many_notes_give_no_trace(recorder: Recorder) -> None:
    with opened("sequential") as pool:
        view = WorkPool(pool, KNOWN["sequential"])
        view.recorder = recorder
        with recorder.round():
            view.map(double, range(5000))
        assert recorder.take() is None
        with recorder.round():
            view.map(double, range(10))
        assert recorder.take() is not None


def test_an_error_stays_the_tasks_own(recorder: Recorder) -> None:
    for name in ("threads", "processes-fork"):
        with opened(name) as pool:
            view = WorkPool(pool, KNOWN[name])
            view.recorder = recorder
            with recorder.round(), pytest.raises(ValueError, match=r"^[01]$"):
                view.map(fail, range(2))
            found = view.map(fail, range(2), on_error="collect")
            assert [type(error) for error in found] == [ValueError, ValueError]


def test_without_its_folder_a_task_runs_unnoted(recorder: Recorder) -> None:
    noting = recorder.noting(double)
    recorder.close()
    assert noting(4) == 8


def test_two_maps_at_once_are_one_round(recorder: Recorder) -> None:
    with opened("threads", 4) as pool:
        view = WorkPool(pool, KNOWN["threads"])
        view.recorder = recorder
        with recorder.round():
            others = [threading.Thread(target=view.map, args=(double, range(50))) for _ in range(2)]
            for other in others:
                other.start()
            for other in others:
                other.join()
        trace = recorder.take()
    assert trace is not None
    assert sum(task.tasks for task in trace.tasks) == 100


def test_its_descriptors_are_given_back() -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list descriptors")
    before = held()
    for _ in range(3):
        made = Recorder()
        made.noting(double)(3)
        assert held() > before
        made.close()
    assert held() == before
    assert envelope.delay_of_thread() is None or held() == before
