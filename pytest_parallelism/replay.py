"""What a traced round would have taken on an otherwise idle machine: its tasks scheduled again, no waits.

Each task counts with its own duration: wall seconds less those that its thread was ready and had no core.
These durations are dealt to the workers again, in the order in which they began, with what dispatching
costs this machine between them; where there are more workers than cores, they share the cores. Waiting for
the GIL or a lock is a part of the durations and stays in. Nothing here judges: see `uncontended`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from .measurement import Span, Task, Trace

__all__ = [
    "Costs",
    "Schedule",
    "cpu_seconds",
    "dispatch_costs",
    "inside",
    "locked_share",
    "makespan",
    "threads_cpu_seconds",
]

Worker = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What dispatching costs, in seconds, less waits: before the first task of a worker (by the order in
    which they begin), between two chunks of a worker, and after the last task until the map returns."""

    offsets: tuple[float, ...] = ()
    gap: float = 0.0
    tail: float = 0.0

    def offset(self, rank: int) -> float:
        """Of the worker that begins as the ``rank``-th; the last known one beyond."""
        return self.offsets[min(rank, len(self.offsets) - 1)] if self.offsets else 0.0


@dataclass
class Schedule:
    """Chunks of a map, each a list of tasks that one worker runs in turn."""

    chunks: list[list[Task]] = field(default_factory=list)
    by_worker: dict[Worker, list[list[Task]]] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Schedule:
        """From tasks in the order of their starts."""
        made = cls()
        for task in tasks:
            own = made.by_worker.setdefault(task.worker, [])
            if own and task.chunk and own[-1][-1].chunk == task.chunk:
                own[-1].append(task)
            else:
                own.append([task])
                made.chunks.append(own[-1])
        return made

    @property
    def firsts(self) -> list[Task]:
        """The first task of each worker."""
        return [chunks[0][0] for chunks in self.by_worker.values()]

    @property
    def overlaps(self) -> bool:
        """Whether one thread runs several at once: an event loop."""
        return any(
            later[0].start < earlier[-1].end
            for chunks in self.by_worker.values()
            for earlier, later in pairwise(chunks)
        )


def dispatch_costs(rounds: Sequence[tuple[Span, Schedule]]) -> Costs:
    """Of the same map in several rounds: the medians, less what the worker and who dispatches waited.

    Both may have waited at once, or who dispatches for others than this worker: then too much is taken off.
    """
    offsets = [sorted(_offset(span, first) for first in schedule.firsts) for span, schedule in rounds]
    return Costs(
        offsets=tuple(
            median(o[rank] for o in offsets if rank < len(o))
            for rank in range(max(map(len, offsets), default=0))
        ),
        gap=_median(gap for _, schedule in rounds for gap in _gaps(schedule)),
        tail=_median(_tail(span, schedule) for span, schedule in rounds if schedule.chunks),
    )


def makespan(schedule: Schedule, costs: Costs, *, workers: int, cores: int, relief: float = 0.0) -> float:
    """Seconds that these chunks take on ``workers`` workers of a machine with ``cores`` free cores.

    ``relief``: the share of each task's waiting (its seconds less its CPU seconds) that is others' doing.
    Workers that compute share the cores: where they want more than there are, all go slower alike.
    """
    waiting = [_length(chunk, relief) for chunk in schedule.chunks]
    coming = iter(waiting)
    queue = [(costs.offset(rank), rank) for rank in range(min(workers, len(waiting)))]
    heapq.heapify(queue)
    running: dict[int, list[float]] = {}  # by worker: seconds left, cores wanted
    now = end = 0.0
    while queue or running:
        speed = min(1.0, cores / (math.fsum(want for _, want in running.values()) or 1.0))
        ends = min((left for left, _ in running.values()), default=math.inf) / speed
        starts = queue[0][0] - now if queue else math.inf
        step = max(0.0, min(ends, starts))
        now += step
        for state in running.values():
            state[0] -= step * speed
        if starts <= ends:
            _, worker = heapq.heappop(queue)
            chunk = next(coming, None)
            if chunk is not None:
                running[worker] = [chunk[0], chunk[1]]
        else:
            for worker in [w for w, (left, _) in running.items() if left <= 1e-12]:
                del running[worker]
                end = now
                heapq.heappush(queue, (now + costs.gap, worker))
    return end + costs.tail


def locked_share(tasks: Sequence[Task], slept: float, *, held: float = 1.0) -> tuple[float, float]:
    """(share, relief) of waiting for siblings' locks, the GIL's among them.

    ``slept``: seconds that the same tasks wait where they run one after another. What they wait beyond it,
    they wait for each other; of it, what the holders themselves waited for a core is others' doing.
    ``held``: the share of their CPU time in which tasks hold what the others wait for. ``share``: of the
    tasks' time, after that is taken off. ``relief``: for `makespan`.
    """
    total = math.fsum(task.seconds for task in tasks)
    cpu = math.fsum(task.cpu_seconds for task in tasks)
    delay = math.fsum(task.delay_seconds + task.waited for task in tasks)
    waited = total - cpu
    beyond = max(0.0, waited - slept)
    if not beyond:
        return 0.0, 0.0
    foreign = beyond * delay / (delay + held * cpu) if delay + held * cpu > 0 else 0.0
    return (beyond - foreign) / (total - foreign), foreign / waited


def cpu_seconds(tasks: Sequence[Task]) -> float:
    """CPU seconds of these tasks, in the order of their starts; on an event loop, where tasks overlap, of the
    loop."""
    if Schedule.of(tasks).overlaps:
        return threads_cpu_seconds(tasks)
    return math.fsum(task.cpu_seconds for task in tasks)


def threads_cpu_seconds(tasks: Sequence[Task]) -> float:
    """CPU seconds of the threads that ran these tasks, from the first to the last of each: what they did
    between them for the next one counts, too."""
    return math.fsum(
        max(task.cpu_after for chunk in own for task in chunk)
        - min(task.cpu_before for chunk in own for task in chunk)
        for own in Schedule.of(tasks).by_worker.values()
    )


def inside(trace: Trace) -> Iterator[tuple[Span, list[Task]]]:
    """Each map of the round with its tasks; the round itself where its maps are not known."""
    if not trace.maps:
        yield trace.whole, list(trace.tasks)
        return
    for span in trace.maps:
        yield span, [task for task in trace.tasks if span.start <= task.start <= span.end]


def _length(chunk: Sequence[Task], relief: float) -> tuple[float, float]:
    """Seconds of a chunk, and the cores that it wants meanwhile."""
    cpu = math.fsum(task.cpu_seconds for task in chunk)
    seconds = math.fsum(task.seconds - relief * (task.seconds - task.cpu_seconds) for task in chunk)
    seconds += math.fsum(_between(a, b) for a, b in pairwise(chunk))
    return max(seconds, 1e-9), min(1.0, cpu / seconds) if seconds > 0 else 1.0


def _offset(span: Span, first: Task) -> float:
    """From the start of the map to a worker's first task."""
    own = first.waited
    if first.delay_before is not None and first.worker in span.workers_before:
        own = first.delay_before - span.workers_before[first.worker]
    return max(
        0.0, first.start - span.start - own - _since(span.dispatchers_before, first.dispatchers_before)
    )


def _tail(span: Span, schedule: Schedule) -> float:
    """From the end of the last task to that of the map."""
    last = max((chunk[-1] for chunk in schedule.chunks), key=lambda task: task.end)
    own = _since(last.delay_after, span.workers_after.get(last.worker))
    return max(0.0, span.end - last.end - own - _since(last.dispatchers_after, span.dispatchers_after))


def _gaps(schedule: Schedule) -> Iterator[float]:
    for chunks in schedule.by_worker.values():
        for (*_, earlier), (later, *_) in pairwise(chunks):
            dispatchers = _since(earlier.dispatchers_after, later.dispatchers_before)
            yield max(0.0, _between(earlier, later) - dispatchers)


def _since(before: float | None, after: float | None) -> float:
    """Seconds waited from one reading to another; 0 where one is not known."""
    return max(0.0, after - before) if before is not None and after is not None else 0.0


def _between(earlier: Task, later: Task) -> float:
    """Seconds from one task of a worker to its next, less those that it was ready and had no core."""
    return max(0.0, later.start - earlier.end - later.waited)


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0
