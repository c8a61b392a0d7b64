"""Traces of systems that tell no waits for a core: what clocks allow to take off.

Run-queue delays are Linux's own (schedstat, proc(5)). Elsewhere what waits for a core looks like what sleeps,
but others only ever add to that: the round that was off the CPU for the shortest time there shows how long it
sleeps at most. All beyond it is called waiting here, so that what is left is a bound from above.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .measurement import Pair, Round, Span, Task, Trace

__all__ = ["told", "without_waits"]


def told(pairs: Sequence[Pair]) -> bool:
    """Whether the system told of all tasks of these pairs how long their threads waited for a core."""
    return all(
        task.delay_before is not None and task.delay_after is not None
        for pair in pairs
        for trace in _traces([pair.sequential, *pair.parallel])
        for task in trace.tasks
    )


def without_waits(pairs: Sequence[Pair]) -> list[Pair]:
    """Traced pairs of such a system, each of whose waits is the longest that it can have been."""
    sequential = _traces([pair.sequential for pair in pairs])
    parallel = _traces([timed for pair in pairs for timed in pair.parallel])
    asleep = _asleep([trace.tasks for trace in sequential])
    outside = min(map(_off_outside, [*sequential, *parallel]), default=0.0)
    alone = _Quietest.of(sequential, asleep=asleep, outside=outside)
    beside = _Quietest.of(parallel, asleep=asleep, outside=outside)
    return [
        replace(
            pair,
            sequential=_rested(pair.sequential, alone, alone=True),
            parallel=tuple(_rested(timed, beside, alone=False) for timed in pair.parallel),
        )
        for pair in pairs
    ]


@dataclass(frozen=True, slots=True)
class _Quietest:
    """The shortest times, in seconds: of both arms those that the tasks of a round sleep, and that the thread
    that runs the workload is off the CPU outside of its maps; and of the rounds of one arm, those to …"""

    asleep: float
    outside: float
    first: float
    """… a worker's first task from the start of the map,"""
    between: float
    """… its next from the end of one,"""
    tail: float
    """… and the end of the map from that of its last task."""

    @classmethod
    def of(cls, traces: Sequence[Trace], *, asleep: float, outside: float) -> _Quietest:
        gaps = [gap for trace in traces for gap in _gaps(trace)]
        return cls(
            asleep=asleep,
            outside=outside,
            first=min((seconds for first, seconds in gaps if first), default=0.0),
            between=min((seconds for first, seconds in gaps if not first), default=0.0),
            tail=min((_tail(span, trace.tasks) for trace in traces for span in trace.maps), default=0.0),
        )


def _traces(rounds: Sequence[Round]) -> list[Trace]:
    return [timed.trace for timed in rounds if timed.trace is not None]


def _off(task: Task) -> float:
    """Seconds that a task took and did not compute: of its waits nothing is known."""
    return task.seconds - task.cpu_seconds


def _asleep(rounds: Sequence[Sequence[Task]]) -> float:
    """Seconds that the tasks of a round sleep at most: each as in the round where it was off for the shortest
    time, where rounds have the same tasks."""
    if len({len(tasks) for tasks in rounds}) == 1:
        return math.fsum(min(map(_off, same)) for same in zip(*rounds, strict=True))
    return min((math.fsum(map(_off, tasks)) for tasks in rounds), default=0.0)


def _off_outside(trace: Trace) -> float:
    """Seconds that the thread that runs the workload was off the CPU outside of its maps."""
    maps = trace.maps or (trace.whole,)
    wall = trace.whole.end - trace.whole.start - math.fsum(span.end - span.start for span in maps)
    return max(0.0, wall - trace.whole.cpu_seconds + math.fsum(span.cpu_seconds for span in maps))


def _gaps(trace: Trace) -> Iterator[tuple[bool, float]]:
    """Of each task: whether it is the first of its worker in its map, and the seconds since that one's last,
    or since the map began."""
    begins = [span.start for span in trace.maps] or [trace.whole.start]
    free: dict[tuple[int, int], float] = {}
    for task in trace.tasks:
        begun = max((begin for begin in begins if begin <= task.start), default=begins[0])
        ended = free.get(task.worker, -math.inf)
        yield ended < begun, max(0.0, task.start - max(begun, ended))
        free[task.worker] = task.end


def _tail(span: Span, tasks: Sequence[Task]) -> float:
    last = max((task.end for task in tasks if span.start <= task.start <= span.end), default=span.end)
    return max(0.0, span.end - last)


def _rested(timed: Round, quietest: _Quietest, *, alone: bool) -> Round:
    """The round. ``alone``: whether the thread that runs the workload runs the tasks, too."""
    trace = timed.trace
    if trace is None:
        return timed
    tasks = list(_delayed(trace, quietest))
    tails = [max(0.0, _tail(span, trace.tasks) - quietest.tail) for span in trace.maps]
    maps = [
        replace(span, end=span.end - tail, delay_seconds=0.0)
        for span, tail in zip(trace.maps, tails, strict=True)
    ]
    waits = [max(0.0, _off_outside(trace) - quietest.outside), *tails]
    if alone:
        waits += [task.waited + task.delay_seconds for task in tasks]
    whole = replace(trace.whole, delay_seconds=math.fsum(waits))
    return replace(timed, trace=replace(trace, whole=whole, maps=tuple(maps), tasks=tuple(tasks)))


def _level(amounts: Sequence[float], total: float) -> float:
    """Where to cut these amounts for their sum to be no more than ``total``."""
    left = total
    for i, amount in enumerate(sorted(amounts)):
        if amount * (len(amounts) - i) > left:
            return left / (len(amounts) - i)
        left -= amount
    return math.inf


def _delayed(trace: Trace, quietest: _Quietest) -> Iterator[Task]:
    most = _level([_off(task) for task in trace.tasks], quietest.asleep)
    lost: dict[tuple[int, int], float] = {}
    for task, (first, gap) in zip(trace.tasks, _gaps(trace), strict=True):
        waited = max(0.0, gap - (quietest.first if first else quietest.between))
        before = lost.get(task.worker, 0.0) + waited
        lost[task.worker] = before + max(0.0, _off(task) - most)
        yield replace(task, waited=waited, delay_before=before, delay_after=lost[task.worker])
