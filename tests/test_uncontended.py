"""The uncontended estimate, of rounds made by hand: what it takes off, what it keeps, when it is silent."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.measurement import Pair, Round, Span, Task, Trace, Usage
from pytest_parallelism.uncontended import CPU_RATIO, GIL, OWN_WAITS, Uncontended, cpu_ratio, estimate

TASKS = 16
SECONDS = 0.003


def a_task(worker: int, start: float, seconds: float, cpu: float, delay: float, *, cpu_before: float) -> Task:
    return Task(
        worker=(7, worker),
        chunk=0,
        tasks=1,
        start=start,
        end=start + seconds + delay,
        cpu_before=cpu_before,
        cpu_after=cpu_before + cpu,
        delay_before=1.0,
        delay_after=1.0 + delay,
    )


def a_round(
    lanes: list[list[Task]], *, before: float = 0.0, own_delay: float = 0.0, gil: float | None = None
) -> Round:
    """One map whose lanes run beside each other, after ``before`` seconds of serial work."""
    tasks = sorted((task for lane in lanes for task in lane), key=lambda task: task.start)
    end = max(task.end for task in tasks)
    seconds = before + end
    whole = Span(start=-before, end=end, cpu_seconds=0.0, delay_seconds=own_delay)
    only = Span(start=0.0, end=end, cpu_seconds=0.0, delay_seconds=own_delay)
    return Round(
        seconds=seconds,
        usage=Usage(cpu_seconds=sum(t.cpu_seconds for t in tasks), delay_seconds=0.0),
        trace=Trace(whole=whole, maps=(only,), tasks=tuple(tasks), gil_share=gil),
    )


def a_lane(
    worker: int, rng: np.random.Generator, count: int, hogs: float, seconds: float, waits: float = 0.0
) -> list[Task]:
    """Tasks in turn; each loses to foreign processes ``hogs`` times its own time in the mean."""
    at, used, lane = 0.0, 0.0, []
    for _ in range(count):
        cpu = seconds * math.exp(rng.normal(0, 0.01))
        lost = rng.exponential(hogs * cpu) if hogs else 0.0
        lane.append(a_task(worker, at, cpu * (1 + waits), cpu, lost, cpu_before=used))
        at, used = lane[-1].end, used + cpu
    return lane


def some_pairs(
    *,
    hogs: float = 0.0,
    count: int = 15,
    serial: float = 0.0,
    dearer: float = 1.0,
    waits: float = 0.0,
    asleep: float = 0.0,
    gil: float | None = None,
) -> list[Pair]:
    """``waits``: of the parallel tasks' CPU time, for siblings; ``asleep``: in both arms."""
    rng = np.random.default_rng(5)
    pairs = []
    for _ in range(count):
        alone = a_lane(0, rng, TASKS, hogs, SECONDS, asleep)
        lost = math.fsum(task.delay_seconds for task in alone)
        sequential = a_round([alone], before=serial, own_delay=lost)
        lanes = [
            a_lane(worker, rng, TASKS // 2, 2 * hogs, SECONDS * dearer, waits + asleep) for worker in (1, 2)
        ]
        pairs.append(Pair(sequential=sequential, parallel=(a_round(lanes, before=serial, gil=gil),)))
    return pairs


def found(pairs: list[Pair], **how: Any) -> Uncontended:
    return estimate(pairs, workers=2, cores=2, **how)


@pytest.mark.parametrize("hogs", [0.0, 0.5, 1.0, 3.0])
def test_foreign_load_is_taken_off(hogs: float) -> None:
    pairs = some_pairs(hogs=hogs)
    speedup = found(pairs).speedup
    assert speedup is not None
    assert speedup.estimate == pytest.approx(2.0, rel=0.04)
    assert speedup.low < speedup.estimate < speedup.high
    if hogs >= 1:
        wall = np.median([math.exp(pair.log_ratio) for pair in pairs])
        assert wall < 1.7


def untold(pairs: list[Pair]) -> list[Pair]:
    """The same on a system that tells nothing of run queues."""

    def bare(timed: Round) -> Round:
        trace = timed.trace
        assert trace
        return replace(
            timed,
            trace=replace(
                trace,
                whole=replace(trace.whole, delay_seconds=None),
                maps=tuple(replace(span, delay_seconds=None) for span in trace.maps),
                tasks=tuple(replace(t, delay_before=None, delay_after=None) for t in trace.tasks),
            ),
        )

    return [
        replace(pair, sequential=bare(pair.sequential), parallel=tuple(map(bare, pair.parallel)))
        for pair in pairs
    ]


@pytest.mark.parametrize("hogs", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize(
    "how", [{}, {"serial": TASKS * SECONDS}, {"asleep": 1.0}, {"waits": 1.0, "gil": 1.0}]
)
def test_where_no_run_queue_tells_clocks_do_and_give_a_bound(how: dict[str, float], hogs: float) -> None:
    by_clocks = found(untold(some_pairs(hogs=hogs, **how)))  # type: ignore[arg-type]  # none of them is count
    told = found(some_pairs(**how))  # type: ignore[arg-type]  # as above
    assert by_clocks.speedup is not None
    assert told.speedup is not None
    assert by_clocks.speedup.estimate > told.speedup.estimate * 0.95
    if hogs <= 1:  # beyond, no round of fifteen is quiet
        assert by_clocks.speedup.estimate == pytest.approx(told.speedup.estimate, rel=0.06)
    assert by_clocks.bound == "this system does not tell how long threads waited for a core"
    assert not told.bound


def test_where_no_run_queue_tells_nothing_is_known_of_an_event_loop() -> None:
    def at_once(timed: Round) -> Round:
        assert timed.trace
        tasks = [replace(task, worker=(7, 1), start=0.0) for task in timed.trace.tasks]
        tasks = [replace(task, cpu_before=0.0, cpu_after=timed.usage.cpu_seconds) for task in tasks]
        return replace(timed, trace=replace(timed.trace, tasks=tuple(tasks)))

    pairs = [replace(p, parallel=tuple(map(at_once, p.parallel))) for p in some_pairs()]
    assert found(pairs).speedup is not None
    assert "does not tell how long" in found(untold(pairs)).reason


def test_what_workers_of_an_idle_machine_wait_for_each_other_is_given_back_and_no_more() -> None:
    calm = some_pairs()
    plain = [math.exp(pair.log_ratio) for pair in calm]
    assert found(calm).speedup.estimate == pytest.approx(np.median(plain), rel=5e-3)  # type: ignore[union-attr]  # it has one
    loaded = found(some_pairs(hogs=3.0)).speedup
    assert loaded is not None
    assert loaded.estimate == pytest.approx(2.0 * math.exp(-OWN_WAITS), rel=0.01)


def test_a_serial_part_stays_in() -> None:
    work = TASKS * SECONDS
    speedup = found(some_pairs(hogs=1.0, serial=work)).speedup
    assert speedup is not None
    assert speedup.estimate == pytest.approx(2 * work / (1.5 * work), rel=0.04)


def test_the_gil_stays_in() -> None:
    """Each of two threads waits half of its time for the other's GIL."""
    pairs = some_pairs(waits=1.0, gil=1.0)
    speedup = found(pairs).speedup
    assert speedup is not None
    assert speedup.estimate == pytest.approx(1.0, rel=0.05)


def test_threads_that_hold_the_gil_in_part_have_a_bound_and_no_more() -> None:
    assert "hold the GIL for 50 %" in found(some_pairs(gil=0.5)).bound
    for share in (None, GIL[0] / 2, 1.0):
        assert not found(some_pairs(gil=share)).bound


def test_a_common_lock_stays_in_and_one_in_part_says_nothing() -> None:
    speedup = found(some_pairs(waits=1.0)).speedup
    assert speedup is not None
    assert speedup.estimate == pytest.approx(1.0, rel=0.05)
    partly = found(some_pairs(waits=0.25))
    assert partly.speedup is None
    assert "await each other's locks" in partly.reason


def test_pairs_whose_tasks_cost_other_cpu_time_do_not_count() -> None:
    good, dear = some_pairs(count=10), some_pairs(count=10, dearer=1.5)
    assert CPU_RATIO[0] < cpu_ratio(good[0]) < CPU_RATIO[1] < cpu_ratio(dear[0])
    both = found([*good, *dear])
    assert both.pairs == 10
    assert both.speedup == found(good).speedup
    mostly = found([*good[:4], *dear])
    assert (mostly.speedup, mostly.pairs) == (None, 4)
    assert "in 10 of 14 pairs its tasks cost other CPU time than alone" in mostly.reason


def test_without_notes_there_is_no_estimate() -> None:
    bare = Round(seconds=1.0, usage=Usage(cpu_seconds=1.0))
    assert found([Pair(sequential=bare, parallel=(bare,))]).reason == "when its tasks ran is not known"
    assert found([]).speedup is None


def test_what_others_than_the_tasks_computed_cannot_be_taken_off() -> None:
    """Subprocesses and native threads wait unseen."""
    pairs = [
        replace(pair, parallel=tuple(replace(r, usage=Usage(cpu_seconds=0.1)) for r in pair.parallel))
        for pair in some_pairs()
    ]
    unknown = found(pairs)
    assert unknown.speedup is None
    assert "others than its tasks' threads computed" in unknown.reason


def test_what_the_threads_of_tasks_do_between_them_is_known() -> None:
    """As the loading of the next one's items, which takes a quarter of their time here."""

    def unpacking(timed: Round) -> Round:
        assert timed.trace
        count: Counter[tuple[int, int]] = Counter()
        tasks = []
        for task in timed.trace.tasks:
            more = count[task.worker] * task.cpu_seconds / 3
            count[task.worker] += 1
            tasks.append(replace(task, cpu_before=task.cpu_before + more, cpu_after=task.cpu_after + more))
        return replace(
            timed,
            usage=Usage(cpu_seconds=timed.usage.cpu_seconds * 4 / 3),
            trace=replace(timed.trace, tasks=tuple(tasks)),
        )

    pairs = [replace(pair, parallel=tuple(map(unpacking, pair.parallel))) for pair in some_pairs()]
    assert found(pairs).speedup is not None


def test_threads_of_several_processes_share_several_gils() -> None:
    hybrid = [
        replace(
            pair,
            parallel=tuple(
                replace(r, trace=replace(r.trace, tasks=tuple(map(moved, r.trace.tasks))))
                for r in pair.parallel
                if r.trace
            ),
        )
        for pair in some_pairs(waits=1.0)
    ]
    assert "await each other's locks" in found(hybrid).reason


def moved(task: Task) -> Task:
    """One of the two threads is in a process of its own, beside a third that ran one task."""
    return replace(task, worker=(8, 9)) if task.start == 0 and task.worker[1] == 2 else task


def test_the_interval_is_wider_than_its_pairs_say() -> None:
    pairs = some_pairs(count=40)
    speedup = found(pairs).speedup
    assert speedup is not None
    assert math.log(speedup.high / speedup.low) > 2 * 2.3 * 0.02
    assert found(pairs, alpha=0.002).speedup.high > speedup.high  # type: ignore[union-attr]  # it has one
