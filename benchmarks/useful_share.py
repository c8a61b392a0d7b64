"""How much of a point's wall time is spent in the user's workload: at least 95 % at rounds of 100 ms.

Pool opening and closing are left out, as they are results of their own.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

from pytest_parallelism.gate import Where, decider
from pytest_parallelism.measurement import Measurement
from pytest_parallelism.registry import load
from pytest_parallelism.resources import environment, usable_cores
from pytest_parallelism.rounds import Plan, measure
from pytest_parallelism.workload import Workload

STRATEGIES = ("sequential", "threads", "processes-fork", "processes-spawn", "joblib-loky", "joblib-threading")
ITEMS = 20
LEAST = 0.95


def busy(seconds: float) -> list[int]:
    """Spend CPU time; a result of a few hundred numbers, as a real task gives."""
    end = time.thread_time() + seconds
    rows: list[int] = []
    while time.thread_time() < end:
        rows = [i * i for i in range(300)]
    return rows


def share(measurement: Measurement) -> float:
    """Part of the wall time, opening and closing aside, that was spent in the workload."""
    aside = measurement.open_seconds + measurement.close_seconds
    return measurement.workload_seconds / (measurement.elapsed_seconds - aside)


def one(name: str, round_seconds: float, max_time: float) -> Measurement:
    """Measure one point whose sequential rounds take ``round_seconds``."""
    known = load()
    workload = Workload.of_map(busy, [round_seconds / ITEMS] * ITEMS)
    plan = Plan(
        strategy=known[name],
        workers=1 if name == "sequential" else 2,
        requested=2,
        baseline=known["sequential"],
        cores=usable_cores(),
        decide=decider((), Where(workers=2, cores=2)),
        max_time=max_time,
    )
    return measure(workload, plan)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repetition, 2 s a point")
    quick = parser.parse_args().quick
    cores = usable_cores()
    where = environment(cores)
    print(f"{where['cpu_model']}, {cores.usable} usable cores, Python {platform.python_version()}")
    print(
        f"share of wall time inside the workload, rounds of 100 ms, {1 if quick else 5} repetitions, median"
    )
    worst = 1.0
    for name in STRATEGIES:
        found = [one(name, 0.1, 2.0 if quick else 10.0) for _ in range(1 if quick else 5)]
        shares = [share(m) for m in found]
        worst = min(worst, statistics.median(shares))
        pairs = sum(len(m.pairs) for m in found)
        print(f"  {name:18} {statistics.median(shares):6.1%}  least {min(shares):6.1%}  ({pairs} pairs)")
    print(f"worst median {worst:.1%}, asked for {LEAST:.0%}: {'kept' if worst >= LEAST else 'MISSED'}")


if __name__ == "__main__":
    main()
