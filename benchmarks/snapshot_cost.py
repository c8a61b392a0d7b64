"""What the resource snapshots around a round do to the time of the round: less than 1 %.

Usage: python benchmarks/snapshot_cost.py [pairs]

Each pair runs the same round twice on one open pool, in alternating order: with the snapshots that every
measured round gets, and with none. Both through the very code that measures, whose clock stands between
the snapshots: what is looked for is a round made slower by what happened just before it (cold caches, a
worker that slept, a core's lower frequency). The answer is the ratio of the two times, with the signed-rank
interval of the paired log ratios (98 %), without the part of it that stands for other sessions: both arms
are of one session. Exit status 1 where the interval's nearer end differs by more than the limit, 2 where the
interval holds it.
"""

from __future__ import annotations

import hashlib
import math
import platform
import statistics
import sys
import time
from statistics import NormalDist
from typing import Any

from pytest_parallelism.inference import ALPHA, BETWEEN_RUN, log_interval
from pytest_parallelism.measurement import Usage
from pytest_parallelism.registry import load
from pytest_parallelism.resources import Meter, environment, usable_cores
from pytest_parallelism.rounds._arm import Arm
from pytest_parallelism.strategy import HasPids, Pool, StrategyOptions
from pytest_parallelism.workload import Workload

STRATEGIES = ("threads", "processes-fork")
WORKERS = 2
ITEMS = 8
ROUND_SECONDS = 0.020
PAIRS = 1000
WARM_UP = 20
LIMIT = 0.01
BLOCK = bytes(1 << 16)


class NullMeter:
    """Takes no snapshots."""

    def snapshot(self) -> NullMeter:
        return self

    def until(self, _later: NullMeter) -> Usage:
        return Usage(cpu_seconds=0.0)


def digest(times: int) -> str:
    """A fixed amount of work, without the GIL, over data in the caches."""
    found = hashlib.sha256()
    for _ in range(times):
        found.update(BLOCK)
    return found.hexdigest()


def calibrated() -> int:
    """Blocks of an item, so that a round on two free cores takes `ROUND_SECONDS`."""
    best = math.inf
    for _ in range(20):
        begun = time.perf_counter()
        digest(20)
        best = min(best, time.perf_counter() - begun)
    return max(1, round(20 * ROUND_SECONDS * WORKERS / ITEMS / best))


def compared(name: str, pairs: int, blocks: int) -> tuple[list[float], list[float]]:
    """Log ratios with / without, and seconds of the rounds without."""
    strategy = load()[name]
    workload = Workload.of_map(digest, [blocks] * ITEMS)
    null: Any = NullMeter()
    with strategy.open(WORKERS, StrategyOptions()) as pool, Meter(lambda: pids(pool)) as meter:
        arms = [Arm(workload, pool, strategy, m, time.perf_counter) for m in (meter, null)]
        found = []
        for number in range(-WARM_UP, pairs):
            order = (0, 1) if number % 2 else (1, 0)
            seconds = {arm: arms[arm].round()[0].seconds for arm in order}
            if number >= 0:
                found.append((seconds[0], seconds[1]))
    return [math.log(taken / free) for taken, free in found], [free for _, free in found]


def pids(pool: Pool) -> list[int]:
    return list(pool.pids()) if isinstance(pool, HasPids) else []


def interval(logs: list[float]) -> tuple[float, float, float]:
    """Estimate, low and high of the ratio in this session."""
    found = log_interval(logs)
    # log_interval widens, in quadrature, by what differs between sessions.
    between = NormalDist().inv_cdf(1 - ALPHA) * BETWEEN_RUN
    low, high = (
        math.sqrt(max(0.0, (end - found.estimate) ** 2 - between**2)) for end in (found.low, found.high)
    )
    return math.exp(found.estimate), math.exp(found.estimate - low), math.exp(found.estimate + high)


def main(pairs: int) -> int:
    """The exit status."""
    cores = usable_cores()
    where = environment(cores)
    print(f"{where['cpu_model']}, {cores.usable} usable cores, Python {platform.python_version()}")
    print(f"{where['platform']}")
    print(f"rounds with / without snapshots, {WORKERS} workers, {pairs} interleaved pairs each")
    blocks, status = calibrated(), 0
    for name in STRATEGIES:
        logs, seconds = compared(name, pairs, blocks)
        ratio, low, high = interval(logs)
        within = low > 1 - LIMIT and high < 1 + LIMIT
        over = low > 1 + LIMIT or high < 1 - LIMIT
        status = status if within else 1 if over else status or 2
        verdict = "within" if within else "beyond" if over else "not decided against"
        print(
            f"  {name:15} {ratio:.4f} [{low:.4f}, {high:.4f}] ({1 - 2 * ALPHA:.0%}), "
            f"rounds of {1000 * statistics.median(seconds):.1f} ms: {verdict} {LIMIT:.0%}"
        )
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else PAIRS))
