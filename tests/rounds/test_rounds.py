"""The procedure of a point, under a clock that the tests turn themselves."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_parallelism.errors import ItemsChanged, NotRepeatable, WorkersMissing, WrongResult
from pytest_parallelism.measurement import Pair
from pytest_parallelism.rounds import _pools, check
from pytest_parallelism.strategy import Pool, StrategyOptions
from pytest_parallelism.workload import Workload
from pytest_parallelism.workpool import WorkPool

from .conftest import World


def test_pairs_hold_what_the_clock_says() -> None:
    world = World()
    measurement = world.measure()
    assert len(measurement.pairs) == 6
    for pair in measurement.pairs:
        assert pair.sequential.seconds == 1.0
        assert [r.seconds for r in pair.parallel] == [0.5]
    assert (measurement.open_seconds, measurement.close_seconds) == (0.25, 0.125)
    assert measurement.workers == 2
    assert measurement.result == "equal"
    assert world.result == [[1], [2], [3]]


def test_a_fast_arm_gets_more_rounds_by_the_root_of_the_ratio() -> None:
    pairs = World(sequential_seconds=0.9, parallel_seconds=0.1).measure().pairs
    assert {len(p.parallel) for p in pairs} == {3}
    pairs = World(sequential_seconds=100, parallel_seconds=0.1).measure(max_time=None).pairs
    assert {len(p.parallel) for p in pairs} == {8}


def test_the_order_within_pairs_alternates() -> None:
    world = World()
    world.measure()
    # two sequential rounds, a parallel one to check, warm-up; then six pairs, and a last result to check
    assert "".join(world.log).startswith("ssp")
    assert "".join(world.log).endswith("sppssppsspps" + "p")


def test_time_ends_a_point_but_never_below_five_pairs() -> None:
    never: dict[str, Any] = {"decide": lambda pairs: False}
    measurement = World().measure(**never, max_time=30.0)
    assert measurement.elapsed_seconds <= 30.0
    assert len(measurement.pairs) > 10
    assert len(World().measure(**never, max_time=12.0).pairs) == 5
    # two sequential rounds and a parallel one have passed before the pairs: there is time for three
    assert len(World().measure(**never, max_time=7.5).pairs) == 3


def test_a_workload_too_long_for_five_pairs_gets_three() -> None:
    measurement = World(sequential_seconds=20, parallel_seconds=10).measure(
        decide=lambda p: False, max_time=10.0
    )
    assert len(measurement.pairs) == 3


def test_without_a_limit_only_the_pairs_decide() -> None:
    measurement = World(sequential_seconds=500).measure(decide=lambda p: len(p) >= 7, max_time=None)
    assert len(measurement.pairs) == 7


def test_each_pair_is_announced() -> None:
    seen: list[int] = []

    def notify(pairs: Sequence[Pair]) -> None:
        seen.append(len(pairs))

    World().measure(notify=notify)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_setup_and_teardown_surround_every_round_outside_the_clock() -> None:
    world = World()

    def setup() -> None:
        world.log.append("(")
        world.pass_time(7)

    def teardown() -> None:
        world.log.append(")")
        world.pass_time(7)

    measurement = world.measure(world.workload(setup=setup, teardown=teardown))
    assert {p.sequential.seconds for p in measurement.pairs} == {1.0}
    log = "".join(world.log)
    assert log == "".join(f"({arm})" for arm in log if arm in "sp")


def test_teardown_runs_after_a_round_that_fails() -> None:
    ended: list[int] = []

    def broken(x: int) -> int:
        raise KeyError(x)

    with pytest.raises(KeyError):
        World().measure(Workload.of_map(broken, [1], teardown=lambda: ended.append(1)))
    assert ended == [1]


def test_a_slow_first_round_is_reported_as_possibly_cached() -> None:
    world = World()
    world.sequential_seconds = 5.0

    def first_is_slow(x: int) -> int:
        world.sequential_seconds = 1.0
        return x

    measurement = world.measure(Workload.of_map(first_is_slow, [1]))
    assert measurement.first_sequential_seconds == 5.0
    (note,) = measurement.notes
    assert note.startswith("possibly cached: the first sequential round took 5.0 times the later ones")


def test_a_slow_first_round_of_microseconds_is_not() -> None:
    world = World(sequential_seconds=0.0005, parallel_seconds=0.0005)

    def first_is_slow(x: int) -> int:
        world.sequential_seconds = 0.0001
        return x

    assert world.measure(Workload.of_map(first_is_slow, [1]), max_time=1.0).notes == ()


def test_the_heap_is_frozen_while_the_pool_is_open_and_thawed_after() -> None:
    world = World()
    world.measure()
    assert world.frozen_while_open
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("had", [1, 3])
def test_another_worker_count_than_asked_for_is_an_error(had: int) -> None:
    with pytest.raises(WorkersMissing, match=f"was asked for 2 fakes and has {had}"):
        World(workers_had=had).measure()


def test_a_workload_that_changes_its_items_is_never_measured() -> None:
    world = World()
    with pytest.raises(ItemsChanged):
        world.measure(Workload.of_map(lambda x: x.append(1), [[0]]))
    assert world.log == ["s"]
    assert world.alive == 0


def test_fresh_items_of_setup_may_be_changed() -> None:
    workload = Workload.of_map(lambda x: x.append(1), [[0]], setup=lambda: [[0]])
    assert World().measure(workload).result == "equal"


def test_a_workload_that_does_not_repeat_is_never_measured() -> None:
    world = World()
    numbers = iter(range(100))
    with pytest.raises(NotRepeatable):
        world.measure(Workload.of_map(lambda x: next(numbers), [0]))
    assert world.log == ["s", "s"]


def test_a_wrong_result_in_any_checked_round_ends_the_point_and_closes_its_pool() -> None:
    world = World()

    def wrong_later(pool: WorkPool) -> int:
        pool.map(len, [""])
        return 1 if pool.strategy == "parallel" and len(world.log) > 8 else 0

    with pytest.raises(WrongResult, match="parallel-w2 gives another result"):
        world.measure(Workload.of_call(wrong_later))
    assert world.alive == 0


def test_what_cannot_be_compared_is_recorded_as_unchecked() -> None:
    measurement = World().measure(Workload.of_map(lambda x: object(), [1]))
    assert measurement.result == "unchecked"
    assert any("not wholly checked" in note for note in measurement.notes)


def test_no_more_than_two_results_are_alive() -> None:
    alive = most = 0

    class Result:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    World().measure(Workload.of_call(lambda pool: (pool.map(len, [""]), Result())[1]))
    assert most == 2


def test_check_runs_each_arm_once() -> None:
    world = World()
    word, result = check(world.workload(), world.plan())
    assert (word, result) == ("equal", [[1], [2], [3]])
    assert world.log == ["s", "p"]
    with pytest.raises(WrongResult):
        check(Workload.of_call(lambda pool: pool.strategy), world.plan())


def test_time_in_the_workload_is_counted_apart_from_ours() -> None:
    measurement = World().measure()
    assert measurement.workload_seconds == pytest.approx(
        measurement.elapsed_seconds - measurement.open_seconds - measurement.close_seconds
    )


def test_bytes_shipped_are_those_of_each_parallel_round(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(_pools, "shipped", lambda: (10 * len(world.log), len(world.log)))
    for pair in world.measure().pairs:
        assert [(r.usage.shipped_out_bytes, r.usage.shipped_in_bytes) for r in pair.parallel] == [(10, 1)]
        assert pair.sequential.usage.shipped_out_bytes is None


def test_workers_may_be_replaced_while_they_are_measured() -> None:
    world = World()
    workers: list[subprocess.Popen[bytes]] = []

    def pids() -> Sequence[int]:
        # Another one at each look, and the one before is gone.
        for ended in workers[-1:]:
            ended.communicate()
        command = [sys.executable, "-c", "input()"]
        workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
        return [worker.pid for worker in workers]

    plain = world.strategy("parallel", lambda: world.parallel_seconds)

    @contextmanager
    def opened(count: int, options: StrategyOptions) -> Iterator[Pool]:
        with plain.open(count, options) as pool:
            vars(pool)["pids"] = pids
            yield pool

    try:
        measurement = world.measure(strategy=replace(plain, open=opened), decide=lambda pairs: True)
    finally:
        workers[-1].communicate()
    assert measurement.threads == 1
    assert measurement.memory.per_worker_pss_bytes
    assert all(r.usage.cpu_seconds >= 0 for pair in measurement.pairs for r in pair.parallel)
