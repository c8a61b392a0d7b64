"""How an engine scales: tasks at once, the speedup of documents, and what two workers gain over one.

What two workers can gain is the machine's to say: where its two cores are two threads of one, bare processes
gain 1.5 as well. So each round holds three maps in changing order: the engine's, and those of one and of two
of our processes (``processes``). ``gain`` is what the engine's second worker brings, ``bare`` what a second
process brings in the same rounds, and ``share`` the first over the second.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import engine_tasks as tasks

from pytest_parallelism import clusters, measure
from pytest_parallelism.inference import log_interval
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy, StrategyOptions

__all__ = ["DOCUMENT_BYTES", "WARM_MAPS", "beside_bare", "documents", "gains", "scaled", "timed"]

COUNTS = (1, 2, 4)
SECONDS = 25.0
"""Of measuring the speedup with one worker count."""
GAIN_SECONDS = 55.0
"""Of rounds beside bare processes with one worker count."""
LEAST_ROUNDS = 3
DOCUMENT_BYTES = 1_500_000
"""A second of work; jobs of Spark take tens of milliseconds to start, whatever is in them."""
WARM_MAPS, WARM_DOCUMENTS = 30, 12
"""Spark's JVM compiles what starts and ends its jobs during the first dozens of them."""

Task = Callable[[Any], Any]
Rounds = list[dict[str, float]]
"""Seconds of each map of a round."""
Log = tuple[float, float, float]
"""Estimate, low and high of a log ratio."""


def scaled(strategy: Strategy, asked: argparse.Namespace) -> dict[str, Any]:
    """With each worker count, and of two over one."""
    digest, bodies = documents(30_000 if asked.quick else DOCUMENT_BYTES)
    points: dict[str, Any] = {}
    for workers in COUNTS:
        with clusters.keeping():
            points[str(workers)] = {"at_once": at_once(strategy, workers)}
            points[str(workers)].update(speedup(strategy.name, workers, digest, bodies, asked))
    seconds, warm = (0.0, 1) if asked.quick else (GAIN_SECONDS, WARM_MAPS)
    rounds = {
        workers: beside_bare(strategy, workers, digest, bodies, seconds=seconds, warm=warm)
        for workers in (1, 2)
    }
    return {"points": points, **gains(rounds)}


def documents(size: int) -> tuple[Task, list[bytes]]:
    """A task bound by the CPU, and so many bytes of documents for it."""
    from example_suites.documents.corpus import standard_library
    from example_suites.documents.workloads import digest

    return digest, [file.read_bytes() for file in standard_library().about(size)]


def at_once(strategy: Strategy, workers: int) -> int:
    """The most tasks that ran at the same time."""
    with strategy.open(workers, StrategyOptions()) as pool:
        spans = pool.map(tasks.span, range(4 * workers), chunk_size=1)
    return max(sum(begun <= moment < ended for begun, ended in spans) for moment, _ in spans)


def speedup(
    name: str, workers: int, task: Task, items: Sequence[Any], asked: argparse.Namespace
) -> dict[str, Any]:
    """Against sequential rounds of the same minute; results are compared too."""
    rounds = 3 if asked.quick else None
    found = measure(task, items, strategies=name, workers=workers, max_time=SECONDS, rounds=rounds)
    (record,) = found.records
    alone = record.uncontended_speedup
    return {
        "speedup": [record.speedup.estimate, record.speedup.low, record.speedup.high],
        "alone": [alone.estimate, alone.low, alone.high] if alone else None,
        "result": record.result,
    }


def beside_bare(
    strategy: Strategy, workers: int, task: Task, items: Sequence[Any], *, seconds: float, warm: int
) -> Rounds:
    """Rounds of the engine with so many workers, of one and two processes; first ``warm`` maps of its own."""
    bare = load()["processes"]
    with ExitStack() as stack:
        pools = {
            "1": stack.enter_context(bare.open(1, StrategyOptions())),
            "2": stack.enter_context(bare.open(2, StrategyOptions())),
            "engine": stack.enter_context(strategy.open(workers, StrategyOptions())),
        }
        for _ in range(warm):
            pools["engine"].map(task, items[:WARM_DOCUMENTS])
        rounds: Rounds = []
        limit = time.monotonic() + seconds
        while len(rounds) < LEAST_ROUNDS or time.monotonic() < limit:
            turn = len(rounds) % len(pools)
            order = [*pools][turn:] + [*pools][:turn]
            rounds.append({name: timed(partial(pools[name].map, task, items), 1) for name in order})
    return rounds


def gains(rounds: Mapping[int, Rounds]) -> dict[str, list[float]]:
    """``gain``, ``bare`` and ``share``: estimate, low and high, by rounds with one and with two workers."""
    one, two = (_ratio(rounds[workers], str(workers), "engine") for workers in (1, 2))
    bare = _ratio([*rounds[1], *rounds[2]], "1", "2")
    share = _sum(two, (-one[0], -one[2], -one[1]))
    found = {"gain": _sum(bare, share), "bare": bare, "share": share}
    return {name: [math.exp(log) for log in logs] for name, logs in found.items()}


def timed(run: Callable[[], Any], times: int) -> float:
    """Wall seconds of a map, mean of some in a row."""
    gc.collect()
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begun) / times


def _ratio(rounds: Rounds, above: str, below: str) -> Log:
    found = log_interval([math.log(one[above] / one[below]) for one in rounds])
    return found.estimate, found.low, found.high


def _sum(first: Log, second: Log) -> Log:
    """Of two taken as independent: their distances to their ends add up as squares do."""
    estimate = first[0] + second[0]
    down = math.hypot(first[0] - first[1], second[0] - second[1])
    up = math.hypot(first[2] - first[0], second[2] - second[0])
    return estimate, estimate - down, estimate + up
