"""The speedup that a workload would have had on this machine alone, from traced rounds of a loaded one.

Foreign processes make parallel rounds slower than sequential ones: beside one of them on two cores a
wall-clock speedup of 1.95 reads 1.00, and no interval sees that (MEASURING.md, finding 4). What the kernel
tells of each thread's waiting for a core allows to take it off, task by task (see `replay`). Waiting for the
GIL, for locks and for I/O is the workload's own, and stays in.

It is an upper bound: what foreign processes take of the memory bandwidth and the caches makes the tasks of
both arms dearer, and cannot be seen in their ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median

from .cpu_times import told, without_waits
from .inference import ALPHA, ratio_interval
from .measurement import Interval, Pair, Round, Span, Trace
from .replay import (
    Costs,
    Schedule,
    cpu_seconds,
    dispatch_costs,
    inside,
    locked_share,
    makespan,
    threads_cpu_seconds,
)

__all__ = [
    "CPU_RATIO",
    "FEWEST",
    "GIL",
    "LEAST_KEPT",
    "LOCKED",
    "MODEL_SD",
    "OWN_WAITS",
    "Uncontended",
    "cpu_ratio",
    "estimate",
    "traced",
]

CPU_RATIO = (0.92, 1.08)
"""A pair counts where its tasks cost the same CPU time in both arms, within these: beyond, the host or the
caches took some of it (UNCONTENDED.md, rule 6)."""

LEAST_KEPT = 1 / 3
"""Share of the traced pairs that must be kept, or the estimate says nothing (the same rule)."""

LOCKED = (0.10, 0.30)
"""Share of the tasks' time that they wait for each other's locks: below the first none do, above the second
they run one after another. Measured: .375 to .64 with a common lock, .009 at most otherwise (rule 5)."""

GIL = (0.15, 0.85)
"""Share of the tasks' CPU time in which threads hold the GIL: between these it is their bound, and how
near they come to it is not known."""

KNOWN = 0.85
"""Share of the CPU time of the parallel rounds that the tasks' threads and the test's must have used: of what
subprocesses, native threads and other pools wait for, nothing is known."""

SAMPLES = 60
"""Samples that a share of the GIL is from, at least where the workload computes (`rounds`)."""

FEWEST = 5
"""Pairs that an estimate needs. Chosen on 300 runs without a loss beside four foreign processes, of which two
failed, by estimates from 2 and from 4 pairs. Of 300 later ones none did (benchmarks/results/verdicts.txt)."""

OWN_WAITS = 0.02
"""Log of the speedup that a pool's own threads cost each other on an idle machine, where two of them wait for
one core while another is free: the scheduler wakes them there, and parts them a slice later. Beside others
such waits look like theirs; so much of what was taken off is given back. Chosen on runs whose estimates read
2 and 4 % high without it in the mean of a day; with all of that given back, those beside four foreign ones
read low (benchmarks/results/uncontended.txt: runs made after it was chosen)."""

UNTOLD = "this system does not tell how long threads waited for a core"
"""Why an estimate by clocks (`cpu_times`) is a bound, and why there is none of event loops."""

MODEL_SD = 0.02
"""SD of the log of the estimate about the truth that its own pairs do not show. On the first runs .02 and .05
gave as many false fails; .02 found more losses."""


@dataclass(frozen=True, kw_only=True)
class Uncontended:
    """The estimate, or why there is none. ``bound``: why it is no more than a bound from above."""

    speedup: Interval | None = None
    pairs: int = 0
    """Pairs that it stands on."""
    reason: str = ""
    bound: str = ""


def estimate(pairs: Sequence[Pair], *, workers: int, cores: int, alpha: float = ALPHA) -> Uncontended:
    """From the traced ones among ``pairs``; ``alpha`` is the miss probability of one side.

    ``cores``: usable cores. The interval is `ratio_interval`'s, widened by `MODEL_SD` in quadrature.
    """
    noted = [pair for pair in pairs if traced(pair)]
    if not noted:
        return Uncontended(reason="when its tasks ran is not known")
    kept = [pair for pair in noted if CPU_RATIO[0] <= cpu_ratio(pair) <= CPU_RATIO[1]]
    if len(kept) < LEAST_KEPT * len(noted):
        other = f"{len(noted) - len(kept)} of {len(noted)} pairs"
        return Uncontended(reason=f"in {other} its tasks cost other CPU time than alone", pairs=len(kept))
    if len(kept) < FEWEST:
        return Uncontended(reason=f"only {len(kept)} pairs tell when its tasks ran", pairs=len(kept))
    untold = not told(kept)
    if untold:
        if any(Schedule.of(t.tasks).overlaps for pair in kept for t in _traces(pair.parallel)):
            return Uncontended(reason=UNTOLD, pairs=len(kept))
        kept = without_waits(kept)
    held = _gil_share(kept)
    locked = {id(pair): _locked(pair, 1.0 if held is None else held) for pair in kept}
    share = median(share for share, _ in locked.values())
    if (reason := _unfit(kept, share if held is None else 0.0)) is not None:
        return Uncontended(reason=reason, pairs=len(kept))
    rounds = [r for pair in kept for r in pair.parallel]
    serial = float(share >= LOCKED[1]) if held is None else _floor(held)
    seconds = _replayed(rounds, workers=workers, cores=cores, serial=serial)
    logs = []
    for pair in kept:
        replayed = fmean(seconds(r, locked[id(pair)][1]) for r in pair.parallel)
        taken_off = max(0.0, math.log(pair.parallel_seconds / replayed))
        logs.append(math.log(_alone(pair.sequential) / replayed) - min(OWN_WAITS, taken_off))
    return Uncontended(
        speedup=_widened(ratio_interval(logs, alpha=alpha), alpha),
        pairs=len(kept),
        bound=_bound(held, untold=untold),
    )


def cpu_ratio(pair: Pair) -> float:
    """CPU seconds of a traced pair's tasks, parallel / sequential."""
    sequential = _cpu(pair.sequential)
    return fmean(map(_cpu, pair.parallel)) / sequential if sequential > 0 else math.inf


def _bound(held: float | None, *, untold: bool) -> str:
    """Why the estimate is no more than a bound from above, in words; empty where it is more."""
    if held is not None and GIL[0] < held < GIL[1]:
        return f"its threads hold the GIL for {held * 100:.0f} % of their CPU time"
    return UNTOLD if untold else ""


def _unfit(pairs: Sequence[Pair], locked: float) -> str | None:
    """Why these pairs give no estimate, in words."""
    if LOCKED[0] < locked < LOCKED[1] or (locked >= LOCKED[1] and _hybrid(pairs)):
        return f"its tasks await each other's locks for {locked * 100:.0f} % of their time"
    rounds = [r for pair in pairs for r in pair.parallel]
    traces = _traces(rounds)
    known = math.fsum(threads_cpu_seconds(trace.tasks) + trace.whole.cpu_seconds for trace in traces)
    if known < KNOWN * math.fsum(r.usage.cpu_seconds for r in rounds):
        return "others than its tasks' threads computed, whose waits are not known"
    return None


def _floor(held: float) -> float:
    """The share of the CPU time that can only pass in turn, of threads that hold the GIL so long.

    Between the bounds of `GIL` it is a share of some sixty samples, of which it takes the lower limit.
    """
    if held >= GIL[1]:
        return held
    return max(0.0, held - 2.33 * math.sqrt(held * (1 - held) / SAMPLES)) if held > GIL[0] else 0.0


def _hybrid(pairs: Sequence[Pair]) -> bool:
    """Whether workers are threads of several processes: only those of one share its GIL."""
    workers = {task.worker for pair in pairs for t in _traces(pair.parallel) for task in t.tasks}
    return 1 < len({pid for pid, _ in workers}) < len(workers)


def _gil_share(pairs: Sequence[Pair]) -> float | None:
    """Of workers that are threads: the same in all rounds of a point."""
    return next((trace.gil_share for pair in pairs for trace in _traces(pair.parallel)), None)


def _traces(rounds: Sequence[Round]) -> list[Trace]:
    return [r.trace for r in rounds if r.trace is not None]


def traced(pair: Pair) -> bool:
    """Whether it is known of all its rounds when their tasks ran."""
    return all(r.trace is not None and r.trace.tasks for r in (pair.sequential, *pair.parallel))


def _cpu(timed: Round) -> float:
    return math.fsum(cpu_seconds(trace.tasks) for trace in _traces([timed]))


def _locked(pair: Pair, held: float) -> tuple[float, float]:
    """(share, relief) of the pair's parallel rounds: see `locked_share`."""
    alone = [task for trace in _traces([pair.sequential]) for task in trace.tasks]
    slept = math.fsum(task.seconds - task.cpu_seconds for task in alone)
    found = [locked_share(trace.tasks, slept, held=held) for trace in _traces(pair.parallel)]
    return fmean(share for share, _ in found), fmean(relief for _, relief in found)


def _alone(sequential: Round) -> float:
    (trace,) = _traces([sequential])
    return max(1e-9, sequential.seconds - (trace.whole.delay_seconds or 0.0))


def _replayed(
    rounds: Sequence[Round], *, workers: int, cores: int, serial: float
) -> Callable[[Round, float], float]:
    """A function that gives a parallel round's seconds without waits, from it and the relief of its tasks.

    ``serial``: the share of the tasks' CPU time that can only pass one after another.
    """
    plans = {
        id(r): [(span, Schedule.of(tasks)) for trace in _traces([r]) for span, tasks in inside(trace)]
        for r in rounds
    }
    every = list(plans.values())
    # The same map in each round costs the same to dispatch, where the rounds have the same maps.
    alike = len({len(plan) for plan in every}) == 1
    common = [dispatch_costs([plan[i] for plan in every]) for i in range(len(every[0]))] if alike else []

    def seconds(timed: Round, relief: float) -> float:
        plan = plans[id(timed)]
        total = _outside(timed)
        for i, (span, schedule) in enumerate(plan):
            costs = common[i] if common else dispatch_costs([(span, schedule)])
            found = _map_seconds(span, schedule, costs, relief, workers=workers, cores=cores)
            cpu = math.fsum(task.cpu_seconds for chunk in schedule.chunks for task in chunk)
            total += max(found, serial * cpu)
        return max(total, 1e-9)

    return seconds


def _outside(timed: Round) -> float:
    """Seconds of a round outside its maps, in the thread that runs the workload, less its waits."""
    (trace,) = _traces([timed])
    if not trace.maps:
        return 0.0
    whole = timed.seconds - (trace.whole.delay_seconds or 0.0)
    return max(0.0, whole - math.fsum(span.seconds for span in trace.maps))


def _map_seconds(
    span: Span, schedule: Schedule, costs: Costs, relief: float, *, workers: int, cores: int
) -> float:
    if schedule.overlaps:  # event loops: what is ready waits with the loop's thread
        waits = [
            (chunks[-1][-1].delay_after or 0.0) - (chunks[0][0].delay_before or 0.0)
            for chunks in schedule.by_worker.values()
        ]
        return span.end - span.start - max(span.delay_seconds or 0.0, *waits)
    found = makespan(schedule, costs, workers=workers, cores=cores, relief=relief)
    # Whoever dispatches needs a core, too.
    return found + (span.cpu_seconds / cores if workers >= cores else 0.0)


def _widened(found: Interval, alpha: float) -> Interval:
    more = NormalDist().inv_cdf(1 - alpha) * MODEL_SD
    middle = math.log(found.estimate)
    return Interval(
        estimate=found.estimate,
        low=math.exp(middle - math.hypot(middle - math.log(found.low), more)),
        high=math.exp(middle + math.hypot(math.log(found.high) - middle, more)),
        confidence=found.confidence,
    )
