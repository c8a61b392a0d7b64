"""Noise for the statistical benchmarks: live rounds, recorded traces of them, and synthetic log ratios.

A trace is an array of rounds in the order of time, one row each: wall, CPU and run-queue delay seconds of the
same tiny workload. Sequential against sequential: the true speedup of any two of its rounds is 1.00.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_parallelism.measurement import Pair, Round, Span, Task, Trace, Usage

TRACES = Path(__file__).parent / "traces"
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
Floats = NDArray[np.float64]
Generator = Callable[[np.random.Generator, int, float], Floats]


def machine() -> str:
    """What the figures were taken on, in one line."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    versions = f"{platform.python_implementation()} {platform.python_version()}, numpy {np.__version__}"
    return (
        f"{cores} cores of {model}, {platform.system()} {platform.release()}, {versions}, {load} at the start"
    )


def work() -> int:
    """About a millisecond or two of pure Python."""
    return sum(i * i % 7 for i in range(25_000))


def scan(_: object) -> int:
    """Reads 32 MB, more than caches hold. Here: a function of a script would take its globals along."""
    return int(_array().sum())


@cache
def _array() -> Floats:
    return np.ones(4_000_000)


def timed_round(times: int = 1) -> tuple[float, float, float]:
    """Wall, CPU and run-queue delay seconds of ``times`` executions of `work`."""
    waited = _delay()
    cpu = time.thread_time()
    start = time.perf_counter()
    for _ in range(times):
        work()
    wall = time.perf_counter() - start
    return wall, time.thread_time() - cpu, _delay() - waited


def _delay() -> float:
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def hogs(count: int) -> AbstractContextManager[None]:
    """``count`` foreign processes that only compute, ended on leaving."""
    return foreign([["while True: pass"]] * count)


@contextmanager
def foreign(programs: Sequence[Sequence[str]], settle: float = 0.0) -> Iterator[None]:
    """A foreign process for each of these, source and arguments, ended on leaving; entered after ``settle``
    seconds."""
    processes = [subprocess.Popen([sys.executable, "-c", *program]) for program in programs]
    time.sleep(settle)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def record(name: str, *, rounds: int, beside: int, times: int = 1) -> None:
    """Record a trace of this machine, in whole microseconds to keep the file small."""
    with hogs(beside):
        rows = np.array([timed_round(times) for _ in range(rounds)])
    TRACES.mkdir(exist_ok=True)
    about = f"{rounds} rounds, {beside} foreign CPU hogs, {machine()}"
    np.savez_compressed(
        TRACES / f"{name}.npz", microseconds=np.round(rows * 1e6).astype(np.int32), about=about
    )


def load(name: str) -> tuple[Floats, str]:
    """A recorded trace in seconds, and what it was recorded on."""
    with np.load(TRACES / f"{name}.npz") as stored:
        return stored["microseconds"] / 1e6, str(stored["about"])


def pairs_of_rounds(rows: Floats, *, per_pair: int = 1, speedup: float = 1.0) -> list[Pair]:
    """Pairs of one sequential and ``per_pair`` parallel rounds, in alternating order.

    ``speedup``: the true one that the sequential rounds are stretched to.
    """
    size = 1 + per_pair
    pairs = []
    for index in range(len(rows) // size):
        block = [_round(*row) for row in rows[index * size : (index + 1) * size].tolist()]
        first = 0 if index % 2 == 0 else -1
        sequential = block.pop(first)
        stretched = Round(seconds=sequential.seconds * speedup, usage=sequential.usage)
        pairs.append(Pair(sequential=stretched, parallel=tuple(block)))
    return pairs


def pairs_of_logs(log_ratios: Floats) -> list[Pair]:
    """Pairs with these log ratios, of a CPU-bound parallel round of 10 ms without contention, whose division
    cost nothing."""
    return [
        Pair(sequential=_round(0.01 * ratio, 0.01 * ratio, 0.0), parallel=(_round(0.01, 0.01 * ratio, 0.0),))
        for ratio in np.exp(log_ratios).tolist()
    ]


def traced_pairs(
    rng: np.random.Generator, count: int, *, speedup: float, hogs: float, tasks: int = 16, workers: int = 2
) -> list[Pair]:
    """Pairs of traced rounds whose tasks wait for a core ``hogs`` times their own 3 ms, in the mean.

    ``speedup``: the true one, at most the number of workers; what it lacks is a serial part before the map.
    """
    whole = tasks * 0.003
    serial = whole * (1 / speedup - 1 / workers) / (1 - 1 / workers)
    share = (whole - serial) / whole  # of the work that the map has
    pairs = []
    for _ in range(count):
        alone = _traced_round([_lane(rng, 0, tasks, 0.003 * share, hogs)], serial)
        lanes = [_lane(rng, i + 1, tasks // workers, 0.003 * share, 2 * hogs) for i in range(workers)]
        pairs.append(Pair(sequential=alone, parallel=(_traced_round(lanes, serial),)))
    return pairs


def _lane(rng: np.random.Generator, worker: int, tasks: int, seconds: float, hogs: float) -> list[Task]:
    """Tasks in turn, each of which loses an exponential time to others."""
    at, lane, waited = 0.0, [], 1.0
    for _ in range(tasks):
        own = seconds * float(np.exp(rng.normal(0, 0.02)))
        lost = float(rng.exponential(hogs * own))
        lane.append(
            Task(
                worker=(1, worker),
                chunk=0,
                tasks=1,
                start=at,
                end=at + own + lost,
                cpu_before=at,
                cpu_after=at + own,
                delay_before=waited,
                delay_after=waited + lost,
            )
        )
        at, waited = at + own + lost, waited + lost
    return lane


def _traced_round(lanes: list[list[Task]], serial: float) -> Round:
    tasks = tuple(sorted((task for lane in lanes for task in lane), key=lambda task: task.start))
    end = max(task.end for task in tasks)
    lost = sum(task.delay_seconds for task in tasks)
    own = lost if len(lanes) == 1 else 0.0  # the sequential arm's tasks run in the parent
    cpu = serial + sum(task.cpu_seconds for task in tasks)
    return Round(
        seconds=serial + end,
        usage=Usage(cpu_seconds=cpu, delay_seconds=lost),
        trace=Trace(
            whole=Span(start=-serial, end=end, cpu_seconds=cpu, delay_seconds=own),
            maps=(Span(start=0.0, end=end, cpu_seconds=0.0, delay_seconds=own),),
            tasks=tasks,
        ),
    )


def _round(wall: float, cpu: float, delay: float) -> Round:
    return Round(seconds=wall, usage=Usage(cpu_seconds=cpu, delay_seconds=delay))


def window(rng: np.random.Generator, trace: Floats, rounds: int) -> Floats:
    """Contiguous rounds of a trace from a random place."""
    start = int(rng.integers(0, len(trace) - rounds + 1))
    return trace[start : start + rounds]


def _normal(rng: np.random.Generator, size: int, sd: float) -> Floats:
    return rng.normal(0, sd, size)


def _heavy_tails(rng: np.random.Generator, size: int, sd: float) -> Floats:
    """Student's t with 3 degrees of freedom, scaled to that SD."""
    return rng.standard_t(3, size) * sd / 3**0.5


def _outliers(rng: np.random.Generator, size: int, sd: float) -> Floats:
    """Every tenth pair has ten times the spread; ``sd`` is that of the others."""
    return rng.normal(0, sd, size) * np.where(rng.random(size) < 0.1, 10, 1)


def _slow_rounds(rng: np.random.Generator, size: int, sd: float) -> Floats:
    """Each time is only ever lengthened: two exponential delays, one in each arm."""
    return np.log1p(rng.exponential(sd, size)) - np.log1p(rng.exponential(sd, size))


def autocorrelated(rho: float) -> Generator:
    """A normal series whose lag-1 autocorrelation is ``rho``."""

    def series(rng: np.random.Generator, size: int, sd: float) -> Floats:
        values = np.empty(size)
        last = rng.normal(0, sd)
        for index, shock in enumerate(rng.normal(0, sd * (1 - rho**2) ** 0.5, size)):
            values[index] = last = rho * last + shock
        return values

    return series


SYNTHETIC: dict[str, Generator] = {
    "normal": _normal,
    "heavy tails (t3)": _heavy_tails,
    "10 % outliers": _outliers,
    "slow rounds": _slow_rounds,
    "autocorrelated .2": autocorrelated(0.2),
}


def decided(decide: Callable[[Sequence[Pair]], bool], pairs: Sequence[Pair], *, most: int) -> Sequence[Pair]:
    """The pairs after which ``decide`` stops; ``most`` is where the clock ends it."""
    for count in range(1, most + 1):
        if decide(pairs[:count]):
            return pairs[:count]
    return pairs[:most]
