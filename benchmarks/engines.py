"""What our map costs above the engine's own best way, on the same cluster: at most 10 %; and how it scales.

Usage: python benchmarks/engines.py ENGINE... [--workload NAME] [--pairs N] [--quick] [--keep]

Both sides run on one cluster of two workers that our pool has started, the other by ``pool.native``
(engine_natives.py). Each pair is one round of ours and one of theirs, in alternating order. The ratio is the
Hodges-Lehmann estimate of the log ratios with its signed-rank interval, in five sessions with a new cluster
each; from the third on, a row that is decided gets no more rounds, and the interval pays for the three looks,
as in dispatch.py.

Workloads: ``no-ops``: 1,000; ``payload``: 32 items of 1 MiB, there and back; ``20 ms``: 64 tasks of that.

Scaling (engine_scaling.py): with 1, 2 and 4 workers, how many tasks ran at once at most, and the speedup of
CPU-bound documents against sequential rounds of the same minute; and what two workers gain over one. On two
idle cores that is to be 1.7 at least: 85 % of what two bare processes gain in the same rounds.

``--keep`` puts what was found into results/engines.json, and writes results/engines.txt and the tables in
docs/engines.md anew from it (engine_tables.py). Exit status 1 where something is missed, 2 where undecided.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import engine_tables as tables
import engine_tasks as tasks
from dispatch import SESSIONS, Row, described
from engine_natives import NATIVES, Run
from engine_scaling import scaled, timed

from pytest_parallelism.division import auto_chunk
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Pool, Strategy, StrategyOptions

sys.path.append(str(Path(__file__).parents[1]))  # where the example suites are; workers get it from there

WORKERS = 2
LIMIT = 1.10
PAIRS = 60
WARM_UPS = 3
ROUND_SECONDS = 0.02
"""Shorter maps are repeated within a round."""
WORKLOADS = ("no-ops", "payload", "20 ms")

Task = Callable[[Any], Any]


def work(name: str, *, quick: bool) -> tuple[Task, list[Any]]:
    """A task and its items."""
    if name == "no-ops":
        return tasks.nothing, list(range(40 if quick else 1000))
    if name == "payload":
        return tasks.same, [bytes([n]) * (1 << (10 if quick else 20)) for n in range(4 if quick else 32)]
    return tasks.waiting, list(range(4 if quick else 64))


def compared(strategy: Strategy, asked: argparse.Namespace) -> dict[str, Any]:
    """Rows of all workloads, and seconds to open and close."""
    works = {name: work(name, quick=asked.quick) for name in asked.workload}
    rows = [Row(name, LIMIT, 1e6 / len(items)) for name, (_, items) in works.items()]
    seconds = []
    for session in range(asked.sessions):
        wanted = [row for row in rows if row.wanted(session)]
        if wanted:
            seconds.append(one_session(strategy, wanted, works, asked))
    opening, closing = (statistics.median(side) for side in zip(*seconds, strict=True))
    found = [{**row_facts(row), "line": str(row)} for row in rows]
    return {"rows": found, "open_seconds": opening, "close_seconds": closing}


def one_session(
    strategy: Strategy, rows: Sequence[Row], works: dict[str, Any], asked: argparse.Namespace
) -> tuple[float, float]:
    """Adds the pairs of a new cluster; seconds to open and close it."""
    begun = time.perf_counter()
    with strategy.open(WORKERS, StrategyOptions()) as pool:
        opened = time.perf_counter() - begun
        with NATIVES[strategy.name][1](pool, WORKERS) as native:
            for row in rows:
                add_pairs(row, both(pool, native, *works[row.workload]), works[row.workload], asked)
        begun = time.perf_counter()
    return opened, time.perf_counter() - begun


def add_pairs(row: Row, sides: Sequence[Callable[[], Any]], what: Any, asked: argparse.Namespace) -> None:
    """Those of one session."""
    for side in [*sides] * WARM_UPS:
        check(*what, side())
    times = max(1, math.ceil(asked.round / timed(sides[1], 1)))
    row.pairs += [pair(sides, times, number) for number in range(asked.pairs)]


def both(
    pool: Pool, native: Run, task: Task, items: Sequence[Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Our map with its own choice of chunks, and theirs with as many."""
    size = auto_chunk(len(items), WORKERS)
    return lambda: pool.map(task, items), lambda: native(task, items, size)


def check(task: Task, items: Sequence[Any], results: Sequence[Any]) -> None:
    """Raises where a map lost something."""
    assert len(results) == len(items)
    assert task is tasks.nothing or list(results) == list(items)


def pair(sides: Sequence[Callable[[], Any]], times: int, number: int) -> tuple[float, float]:
    """Seconds of ours and of theirs, in alternating order."""
    ours, theirs = sides
    if number % 2:
        mine = timed(ours, times)
        return mine, timed(theirs, times)
    other = timed(theirs, times)
    return timed(ours, times), other


def row_facts(row: Row) -> dict[str, Any]:
    """What is kept of a row."""
    found = row.interval()
    ours, theirs = (statistics.median(side) * row.scale for side in zip(*row.pairs, strict=True))
    return {
        "workload": row.workload,
        "microseconds": [ours, theirs],
        "ratio": [found.estimate, *((found.low, found.high) if found.confidence else (None, None))],
        "pairs": len(row.pairs),
        "verdict": row.verdict(),
    }


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Our strategies against the engines' own ways.")
    parser.add_argument("engine", nargs="*", help=f"{', '.join(NATIVES)}; all without any")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="repeatable")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"at most, in {SESSIONS} sessions")
    parser.add_argument("--quick", action="store_true", help="a few pairs of small maps: proves nothing")
    parser.add_argument("--keep", action="store_true", help="write the results and the tables in docs/")
    found = parser.parse_args()
    unknown = sorted(set(found.engine) - set(NATIVES))
    if unknown:
        sys.exit(f"no engine is named {', '.join(unknown)}; known: {', '.join(NATIVES)}")
    found.engine = found.engine or list(NATIVES)
    found.workload = found.workload or WORKLOADS
    found.sessions = 1 if found.quick else SESSIONS
    found.pairs = 4 if found.quick else max(1, found.pairs // SESSIONS)
    found.round = 0.0 if found.quick else ROUND_SECONDS
    return found


def main(asked: argparse.Namespace) -> int:
    """The exit status."""
    verdicts: list[str] = []
    for name in asked.engine:
        strategy = load()[name]
        if obstacle := strategy.obstacle(WORKERS):
            print(f"{name}: not here: {obstacle}")
            continue
        where = described()
        entry = {
            "machine": where,
            "version": strategy.version(),
            "against": NATIVES[name][0],
            **compared(strategy, asked),
            "scaling": scaled(strategy, asked),
        }
        print(tables.text(name, entry), flush=True)
        verdicts += tables.verdicts(entry)
        if asked.keep:
            tables.keep(name, entry)
    return 1 if any("MISSED" in one for one in verdicts) else 2 if "undecided" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main(options()))
