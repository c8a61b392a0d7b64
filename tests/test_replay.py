"""Rounds scheduled again without waits: by hand-made tasks whose makespan anybody can count."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_parallelism.measurement import Span, Task, Trace
from pytest_parallelism.replay import Costs, Schedule, dispatch_costs, inside, locked_share, makespan


def a_task(
    worker: int,
    start: float,
    seconds: float,
    *,
    cpu: float | None = None,
    delay: float = 0.0,
    waited: float = 0.0,
    chunk: int = 0,
    dispatchers: tuple[float, float] | None = None,
) -> Task:
    """A task of ``seconds`` of its own, ``delay`` of waiting for a core on top; CPU-bound if not said.

    ``dispatchers``: what those had waited before and after it.
    """
    return Task(
        worker=(1, worker),
        chunk=chunk,
        tasks=1,
        start=start,
        end=start + seconds + delay,
        cpu_before=0.0,
        cpu_after=seconds if cpu is None else cpu,
        delay_before=5.0,
        delay_after=5.0 + delay,
        waited=waited,
        dispatchers_before=dispatchers[0] if dispatchers else None,
        dispatchers_after=dispatchers[1] if dispatchers else None,
    )


def a_span(start: float, end: float, *, delay: float = 0.0) -> Span:
    return Span(start=start, end=end, cpu_seconds=0.0, delay_seconds=delay)


def a_schedule(*tasks: Task) -> Schedule:
    return Schedule.of(sorted(tasks, key=lambda task: task.start))


def test_a_task_counts_with_its_own_time_and_with_its_cpu_time_at_least() -> None:
    waited = a_task(0, 1.0, 0.5, delay=0.25)
    assert (waited.seconds, waited.cpu_seconds, waited.delay_seconds) == pytest.approx((0.5, 0.5, 0.25))
    assert a_task(0, 0.0, 0.5, cpu=0.6).seconds == pytest.approx(0.6)
    assert a_task(0, 0.0, 0.5, cpu=0.1).seconds == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("lengths", "workers", "expected"),
    [
        ((1, 1, 1, 1), 2, 2.0),
        ((1, 1, 1), 2, 2.0),
        ((1, 1, 1, 3), 2, 4.0),  # in the order in which they began
        ((3, 1, 1, 1), 2, 3.0),
        ((1,), 4, 1.0),
        ((), 2, 0.0),
    ],
)
def test_chunks_go_in_their_order_to_whoever_is_free(
    lengths: Sequence[float], workers: int, expected: float
) -> None:
    tasks = [a_task(i % workers, 10.0 * i, length) for i, length in enumerate(lengths)]
    found = makespan(a_schedule(*tasks), Costs(), workers=workers, cores=8)
    assert found == pytest.approx(expected)


def test_what_a_foreign_process_took_is_gone() -> None:
    """Worker 1 lost a second to it, so worker 0 took three of the four tasks."""
    tasks = [a_task(0, 0.0, 1), a_task(1, 0.0, 1, delay=1), a_task(0, 1.0, 1), a_task(0, 2.0, 1)]
    assert makespan(a_schedule(*tasks), Costs(), workers=2, cores=2) == pytest.approx(2.0)


def test_more_workers_than_cores_share_the_cores_and_sleepers_need_none() -> None:
    computing = [a_task(i, 0.0, 1.0, delay=1.0) for i in range(4)]
    assert makespan(a_schedule(*computing), Costs(), workers=4, cores=2) == pytest.approx(2.0)
    sleeping = [a_task(i, 0.0, 1.0, cpu=0.01) for i in range(4)]
    assert makespan(a_schedule(*sleeping), Costs(), workers=4, cores=2) == pytest.approx(1.0)


def test_dispatching_costs_what_it_cost_less_waits() -> None:
    rounds = []
    for shift in (0.0, 100.0):
        first = a_task(0, shift + 0.1, 1.0)
        other = a_task(1, shift + 0.5, 1.0, waited=0.3)
        second = a_task(0, shift + 1.4, 1.0, waited=0.2)
        rounds.append((a_span(shift, shift + 2.45), a_schedule(first, other, second)))
    costs = dispatch_costs(rounds)
    assert costs.offsets == pytest.approx((0.1, 0.2))
    assert costs.gap == pytest.approx(0.1)
    assert costs.tail == pytest.approx(0.05)
    found = makespan(rounds[0][1], costs, workers=2, cores=2)
    assert found == pytest.approx(0.1 + 1.0 + 0.1 + 1.0 + 0.05)


def test_waits_of_who_dispatches_and_of_a_worker_at_the_ends_of_a_map_are_no_cost() -> None:
    """On the way to the first task 3 s are lost to others, between the two 2 s, after the last 4 s."""
    first = a_task(0, 3.1, 1.0, dispatchers=(8.0, 8.0))  # the worker has waited 2 s, who dispatches 1 s
    second = a_task(0, 6.2, 1.0, dispatchers=(10.0, 10.5))
    span = Span(
        start=0.0,
        end=11.5,
        cpu_seconds=0.0,
        delay_seconds=0.0,
        dispatchers_before=7.0,
        dispatchers_after=13.0,  # 2.5 s after the last task
        workers_before={(1, 0): 3.0},
        workers_after={(1, 0): 6.5},  # 1.5 s after it
    )
    costs = dispatch_costs([(span, a_schedule(first, second))])
    assert costs.offsets == pytest.approx((0.1,))
    assert costs.gap == pytest.approx(0.1)
    assert costs.tail == pytest.approx(0.3)


def test_a_wait_beside_the_way_of_a_task_takes_off_no_more_than_there_is() -> None:
    first = a_task(0, 0.1, 1.0, dispatchers=(8.0, 8.0))
    second = a_task(0, 1.2, 1.0, dispatchers=(9.0, 9.0))
    costs = dispatch_costs([(a_span(0.0, 2.3), a_schedule(first, second))])
    assert costs.gap == 0.0


def test_tasks_of_one_chunk_stay_together() -> None:
    chunk = [a_task(0, i * 1.0, 1.0, chunk=1) for i in range(3)]
    others = [a_task(1, 0.0, 1.0, chunk=1), a_task(1, 1.0, 1.0, chunk=2)]
    schedule = a_schedule(*chunk, *others)
    assert [len(c) for c in schedule.by_worker[1, 0]] == [3]
    assert [len(c) for c in schedule.by_worker[1, 1]] == [1, 1]
    assert makespan(schedule, Costs(), workers=2, cores=2) == pytest.approx(3.0)


def test_an_event_loop_is_seen() -> None:
    assert a_schedule(a_task(0, 0.0, 1.0), a_task(0, 0.5, 1.0)).overlaps
    assert not a_schedule(a_task(0, 0.0, 1.0), a_task(0, 1.0, 1.0), a_task(1, 0.5, 1.0)).overlaps


def test_waiting_for_siblings_is_told_from_sleep_and_from_foreign_load() -> None:
    locked = [a_task(i, 0.0, 2.0, cpu=1.0) for i in range(2)]
    assert locked_share(locked, 0.0) == pytest.approx((0.5, 0.0))
    assert locked_share(locked, 2.0) == (0.0, 0.0)  # alone they wait as long: they sleep
    # The holders computed for 2 s and waited for a core for 2 s: half of the waiting is others' doing.
    loaded = [a_task(i, 0.0, 2.0, cpu=1.0, delay=1.0) for i in range(2)]
    share, relief = locked_share(loaded, 0.0)
    assert (share, relief) == pytest.approx((1 / 3, 0.5))
    free, all_relief = locked_share(loaded, 0.0, held=0.0)  # nothing is held while they compute
    assert (free, all_relief) == pytest.approx((0.0, 1.0))


def test_relief_takes_others_part_off_what_tasks_wait() -> None:
    tasks = [a_task(i, 0.0, 2.0, cpu=1.0) for i in range(2)]
    assert makespan(a_schedule(*tasks), Costs(), workers=2, cores=2, relief=1.0) == pytest.approx(1.0)


def test_tasks_belong_to_the_map_that_they_began_in() -> None:
    tasks = (a_task(0, 0.1, 0.2), a_task(0, 1.1, 0.2), a_task(1, 1.2, 0.2))
    whole = a_span(0.0, 2.0)
    maps = (a_span(0.0, 0.5), a_span(1.0, 1.5))
    found = list(inside(Trace(whole=whole, maps=maps, tasks=tasks)))
    assert [(span, len(own)) for span, own in found] == [(maps[0], 1), (maps[1], 2)]
    assert list(inside(Trace(whole=whole, maps=(), tasks=tasks))) == [(whole, list(tasks))]
