"""The uncontended estimate against the truth: the idle speedup, measured in turn with it.

    python benchmarks/uncontended.py                    20 repetitions, about an hour and a quarter
    python benchmarks/uncontended.py --repetitions 2    a look
    python benchmarks/uncontended.py --clocks           the estimate of systems that tell of no run queues

Each repetition measures each workload on the idle machine (the truth, by wall clock) and then under each
foreign load, which this script starts and ends itself; Ctrl-C ends it early. The truth of a workload is the
median of its idle speedups; errors are of the estimate of one measurement of 15 pairs. Workloads of which
less is promised (`BEYOND`) are measured in every fourth repetition, and stand below.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean, median
from typing import Any

import noise

from pytest_parallelism import gate, uncontended
from pytest_parallelism.measurement import Pair, Round, Span
from pytest_parallelism.registry import load
from pytest_parallelism.resources import usable_cores
from pytest_parallelism.rounds import Plan, measure
from pytest_parallelism.strategy import StrategyOptions
from pytest_parallelism.workload import Workload

PAIRS = 15
KNOWN = load()
BLOCK = memoryview(bytes(6_000_000))
"""Made once: threads that each made their own would wait for each other in the kernel, for its pages."""


def compute(steps: int) -> int:
    return sum(i * i % 7 for i in range(steps))


def hashed(size: int) -> str:
    return hashlib.sha256(BLOCK[:size]).hexdigest()


def half_hashed(steps: int) -> str:
    compute(steps)
    return hashed(steps * 100)


def half_asleep(steps: int) -> int:
    time.sleep(0.003)
    return compute(steps)


def with_serial_part(pool: Any) -> int:
    return sum(pool.map(compute, [60_000] * 8)) + compute(160_000)


@dataclass(frozen=True)
class Case:
    strategy: str
    call: Callable[[Any], Any]
    workers: int = 2


EQUAL = [50_000] * 16
UNEQUAL = [20_000 * (1 + i % 7) for i in range(16)]
CASES = {
    "fork, equal": Case("processes-fork", lambda pool: pool.map(compute, EQUAL)),
    "fork, unequal": Case("processes-fork", lambda pool: pool.map(compute, UNEQUAL)),
    "fork, serial part": Case("processes-fork", with_serial_part),
    "fork, sleeping": Case("processes-fork", lambda pool: pool.map(half_asleep, [30_000] * 12)),
    "fork, 4 workers": Case("processes-fork", lambda pool: pool.map(compute, EQUAL), workers=4),
    "spawn, equal": Case("processes-spawn", lambda pool: pool.map(compute, EQUAL)),
    # Longer, since joblib looks for results every 10 ms.
    "joblib-loky, equal": Case("joblib-loky", lambda pool: pool.map(compute, [120_000] * 16)),
    "executor, unequal": Case("process-pool-executor-fork", lambda pool: pool.map(compute, UNEQUAL)),
    "threads, GIL": Case("threads", lambda pool: pool.map(compute, EQUAL)),
    "threads, GIL in part": Case("threads", lambda pool: pool.map(half_hashed, [25_000] * 16)),
    "threads, no GIL": Case("threads", lambda pool: pool.map(hashed, [6_000_000] * 16)),
}


HOG = """
import os, sys, time
nice, busy, idle = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
os.nice(nice)
while True:
    end = time.perf_counter() + busy
    while time.perf_counter() < end:
        pass
    time.sleep(idle)
"""


def loaded(*hogs: tuple[int, float, float]) -> AbstractContextManager[None]:
    """With foreign processes of that niceness that compute and sleep in turn, for so many seconds each."""
    return noise.foreign([[HOG, *map(str, hog)] for hog in hogs], settle=0.3 if hogs else 0.0)


STEADY = (0, 1.0, 0.0)
BEYOND = {
    "fork, 4 workers": "more workers than cores",
    "threads, GIL in part": "the estimate says that it is a bound, and passes no gate",
}

LOADS: dict[str, tuple[tuple[int, float, float], ...]] = {
    "1 hog": (STEADY,),
    "2 hogs": (STEADY,) * 2,
    "4 hogs": (STEADY,) * 4,
    "bursty": ((0, 0.2, 0.3),) * 2,
    "niced": ((10, 1.0, 0.0),) * 2,
}


def within(ratio: float) -> bool:
    """Whether the host was the same for both arms of a pair: its tasks cost the same CPU time."""
    return uncontended.CPU_RATIO[0] <= ratio <= uncontended.CPU_RATIO[1]


def measured(case: Case, *, pairs: int = PAIRS) -> Any:
    plan = Plan(
        strategy=KNOWN[case.strategy],
        workers=case.workers,
        requested=case.workers,
        baseline=KNOWN["sequential"],
        cores=usable_cores(),
        decide=lambda found: len(found) >= pairs,
        max_time=None,
        options=StrategyOptions(),
        traced=lambda _: True,
    )
    return measure(Workload.of_call(case.call), plan)[0]


def by_clocks(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs as a system notes them that does not tell how long threads wait for a core."""

    def bare(span: Span) -> Span:
        unknown: Any = {"dispatchers_before": None, "dispatchers_after": None, "delay_seconds": None}
        return replace(span, workers_before={}, workers_after={}, **unknown)

    def silent(timed: Round) -> Round:
        if timed.trace is None:
            return timed
        unknown: Any = dict.fromkeys(
            ("delay_before", "delay_after", "dispatchers_before", "dispatchers_after")
        )
        trace = replace(
            timed.trace,
            whole=bare(timed.trace.whole),
            maps=tuple(map(bare, timed.trace.maps)),
            tasks=tuple(replace(task, waited=0.0, **unknown) for task in timed.trace.tasks),
        )
        return replace(timed, trace=trace)

    return [
        replace(p, sequential=silent(p.sequential), parallel=tuple(map(silent, p.parallel))) for p in pairs
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The uncontended estimate against the idle speedup.")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--cases", default="", help="only workloads whose name begins so")
    parser.add_argument("--loads", default="", help="only loads whose name ends so")
    parser.add_argument("--clocks", action="store_true", help="without what this system tells of run queues")
    asked = parser.parse_args()
    print(f"{noise.machine()}; {asked.repetitions} repetitions of {PAIRS} pairs\n", flush=True)
    cases = {name: case for name, case in CASES.items() if name.startswith(asked.cases)}
    loads = {"idle": (), **{kind: hogs for kind, hogs in LOADS.items() if kind.endswith(asked.loads)}}
    truth: dict[str, list[float]] = {name: [] for name in cases}
    found: dict[tuple[str, str], list[float]] = {}
    wall: dict[tuple[str, str], list[float]] = {}
    why: dict[str, Counter[str]] = {}
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C shows what is there
        for repetition, name, kind in product(range(asked.repetitions), cases, loads):
            if name in BEYOND and repetition % 4:
                continue
            with loaded(*loads[kind]):
                m = measured(cases[name], pairs=2 * PAIRS if kind == "idle" else PAIRS)
            if kind == "idle":
                print(".", end="", flush=True)
                truth[name] += [p.log_ratio for p in m.pairs if within(uncontended.cpu_ratio(p))]
            pairs = by_clocks(m.pairs) if asked.clocks else m.pairs
            estimate = uncontended.estimate(pairs, workers=m.workers, cores=m.usable_cores)
            wall.setdefault((name, kind), []).append(gate.interval(m.pairs, gated=False).estimate)
            if estimate.speedup is None:
                why.setdefault(name, Counter())[re.sub(r"\d+", "…", estimate.reason)] += 1
            else:
                found.setdefault((name, kind), []).append(estimate.speedup.estimate)
    print()
    show(list(cases), list(loads), truth, wall, found)
    for name, reasons in why.items():
        print(
            f"no estimate: {name}: {'; '.join(f'{n} times {reason}' for reason, n in reasons.most_common())}"
        )


def show(
    names: list[str],
    kinds: list[str],
    truth: dict[str, list[float]],
    wall: dict[tuple[str, str], list[float]],
    found: dict[tuple[str, str], list[float]],
) -> None:
    """In each cell: by wall clock > the estimate, its mean error, its worst, and how many there are."""
    print(f"{'workload':<20} {'truth':>6}  " + " ".join(f"{kind:>24}" for kind in kinds))
    promised: dict[str, list[float]] = {kind: [] for kind in kinds}
    for name in sorted(names, key=lambda name: name in BEYOND):
        if len(truth[name]) < PAIRS:
            print(f"{name:<20} {len(truth[name])} idle pairs on a host that was steady itself: no truth")
            continue
        true = math.exp(median(truth[name]))
        cells = []
        for kind in kinds:
            values = found.get((name, kind), [])
            off = [value / true - 1 for value in values]
            promised[kind] += [] if name in BEYOND else off
            text = f"{median(values):.2f} {fmean(off):+.1%} {max(off, key=abs):+.1%}" if off else "none"
            cells.append(f"{median(wall[name, kind]):.2f} > {text} ({len(values)})")
        print(f"{name:<20} {true:>6.2f}  " + " ".join(f"{cell:>24}" for cell in cells))
    cells = [
        f"{fmean(map(abs, off)):>15.1%} {max(map(abs, off)):>8.1%}" if off else f"{'none':>24}"
        for off in promised.values()
    ]
    print(f"{'mean |error|, worst':<28}  {' '.join(cells)}")
    for name in filter(BEYOND.__contains__, names):
        print(f"without {name}: {BEYOND[name]}")


if __name__ == "__main__":
    main()
