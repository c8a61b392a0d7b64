"""Pools opened anew, pairs measured again, tasks noted, the machine asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_parallelism.measurement import Pair
from pytest_parallelism.registry import load
from pytest_parallelism.resources import gil_enabled
from pytest_parallelism.rounds import _pools, measure
from pytest_parallelism.strategy import Counts, Pool, Strategy, StrategyOptions
from pytest_parallelism.workload import Workload

from .conftest import World


def opened(world: World) -> tuple[Strategy, list[float]]:
    """The parallel strategy, and when it was opened."""
    plain, times = world.strategy("parallel", lambda: world.parallel_seconds), []

    @contextmanager
    def noted(workers: int, options: StrategyOptions) -> Iterator[Pool]:
        times.append(world.now)
        with plain.open(workers, options) as pool:
            yield pool

    return replace(plain, open=noted), times


@pytest.mark.parametrize(
    ("seconds", "changes", "opens"),
    [
        (0.01, {}, 3),
        (3.0, {}, 1),  # too dear for pairs of 1.5 s
        (0.01, {"dear": True}, 1),
        (0.01, {"counts": Counts.OWN}, 1),
    ],
)
def test_a_pool_is_opened_anew_every_ten_pairs_where_that_is_cheap(
    seconds: float, changes: dict[str, Any], opens: int
) -> None:
    world = World(open_seconds=seconds, close_seconds=0.0)
    strategy, times = opened(world)
    measurement = world.measure(strategy=replace(strategy, **changes), decide=lambda pairs: len(pairs) >= 25)
    assert len(measurement.pairs) == 25
    assert len(times) == opens
    assert measurement.open_seconds == pytest.approx(seconds)
    assert world.alive == 0


def test_pairs_are_measured_again_once_and_it_is_said() -> None:
    world, asked = World(), []

    def again(pairs: Sequence[Pair]) -> bool:
        asked.append(len(pairs))
        return True

    strategy, times = opened(world)
    measurement = world.measure(strategy=strategy, again=again)
    assert asked == [6]
    assert len(measurement.pairs) == 6
    assert len(times) == 2
    assert world.log.count("p") >= 12
    assert "measured twice: the machine was busy during the first 6 pairs" in measurement.notes


def test_nothing_is_measured_again_without_the_time() -> None:
    world = World()
    measurement = world.measure(again=lambda pairs: True, max_time=20.0)
    assert not any("twice" in note for note in measurement.notes)
    assert measurement.elapsed_seconds < 20


def test_tasks_are_noted_from_the_pair_on_that_gives_reason() -> None:
    world = World()
    measurement = world.measure(traced=lambda pairs: len(pairs) == 2)
    traced = [pair.sequential.trace is not None for pair in measurement.pairs]
    assert traced == [False, False, True, True, True, True]
    trace = measurement.pairs[-1].parallel[0].trace
    assert trace is not None
    assert sum(task.tasks for task in trace.tasks) == 3


def test_notes_that_workers_make_at_once_cost_a_round_once() -> None:
    """24 tasks of 5 ms: their notes are 1.3 % of the 30 ms that four workers have; each makes six."""
    known = load()
    plan = replace(World().plan(baseline=known["sequential"], traced=bool, max_time=None, workers=4))
    plan = replace(plan, clock=time.perf_counter, cores=replace(plan.cores, usable=4))
    noted = {}
    for name in ("processes-fork", "threads"):
        work = Workload.of_map(time.sleep, [0.005] * 24)
        found, _ = measure(work, replace(plan, strategy=known[name]))
        noted[name] = len([pair for pair in found.pairs if pair.parallel[0].trace is not None])
    assert noted["processes-fork"] == 5
    assert noted["threads"] < 5 or not gil_enabled()


def test_tasks_of_a_pool_that_is_opened_anew_are_noted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pools, "RESTART_PAIRS", 2)
    monkeypatch.setattr(_pools, "RESTART_SHARE", 1000.0)
    known = load()
    plan = replace(
        World().plan(baseline=known["sequential"], traced=bool, max_time=None),
        strategy=known["processes-fork"],
    )
    measurement, _ = measure(Workload.of_map(time.sleep, [0.004] * 4), replace(plan, clock=time.perf_counter))
    pids = [
        {pid for r in pair.parallel if r.trace for pid, _ in (task.worker for task in r.trace.tasks)}
        for pair in measurement.pairs
    ]
    assert not pids[0]
    assert all(pids[1:])
    assert not pids[1] & pids[2]  # other workers


def test_the_machine_is_asked_every_fourth_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_parallelism.resources import Reference

    told = iter([1.5, 2.0])
    monkeypatch.setattr(Reference, "sample", lambda self: next(told))
    measurement = World().measure(reference=True)
    assert [pair.reference for pair in measurement.pairs] == [1.5, None, None, None, 2.0, None]
    assert measurement.reference_speedup == 1.75
    assert World().measure().reference_speedup is None


def test_foreign_load_is_a_share_of_the_cores_that_we_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([-0.1, 0.5, 1.1, 0.5, 0.5, 0.5])
    monkeypatch.setattr(_pools.Pools, "foreign", lambda self: next(told))
    measurement = World().measure()
    assert measurement.foreign_load == pytest.approx(0.25)  # half a core of two, on average
    assert [pair.foreign for pair in measurement.pairs] == [-0.1, 0.5, 1.1, 0.5, 0.5, 0.5]
    monkeypatch.setattr(_pools.Pools, "foreign", lambda self: None)
    assert World().measure().foreign_load is None
