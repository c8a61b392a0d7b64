"""Are verdicts right on a loaded machine? Live runs under foreign load, judged by everything we have.

    python benchmarks/verdicts.py              all loads, over two hours
    python benchmarks/verdicts.py --runs 4     a look

Each run is one point: `processes-fork` with 2 workers on 40 ms of work, a part of which runs before the map,
in the parent, and the rest in 16 tasks. That part is none, or as large as a loss of 5, 10, 20 or 30 % takes
where the speedup without it is the one that some runs at the start have (Amdahl's law). Runs of all losses
alternate. The pairs of one run are then judged by

  gate       the claim is the speedup without loss on the idle machine; `gate.decider`, `gate.judge`
  compare    --parallel-compare-fail=speedup:5 against each of the runs on the calm machine in turn
  benchmark  pytest-benchmark's --benchmark-compare-fail=mean:10%, median:10%, min:10%, the same run

A false alarm is a failure without a loss. Replays of synthetic and recorded rounds: verdict_rates.py.

Last comes a workload that only reads memory, calm and beside the memory hog: claim and stored runs are its
own calm ones, and beside the hog none may pass. It has no losses.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import noise
from uncontended import loaded

from pytest_parallelism import gate, record, regression, scaling
from pytest_parallelism.contention import reference
from pytest_parallelism.measurement import Measurement, Outcome, Pair
from pytest_parallelism.registry import load
from pytest_parallelism.resources import usable_cores
from pytest_parallelism.rounds import Plan, measure
from pytest_parallelism.settings import DEFAULT_MAX_TIME, Limit
from pytest_parallelism.workload import Workload

TASKS = 16
TWO = gate.Where(workers=2, cores=2)
STEPS = 34_000
LOSSES = (0.05, 0.10, 0.20, 0.30)
FIRST = 10
"""Runs that say the speedup without a loss, by which losses are made."""
MOST_PAIRS = 40
SECONDS = DEFAULT_MAX_TIME
"""What a point may take where the user says nothing."""
LOSS_EVERY = 6
"""Runs without a loss to one of each loss."""
KNOWN = load()
CALM = "calm"
READING = "memory-bound, "
STEADY = (0, 1.0, 0.0)

STREAM = "import numpy\na, b = numpy.ones((2, 20_000_000))\nwhile True: a[:] = b"
DISK = """
import os, sys, tempfile
with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
    while True:
        file.seek(0)
        file.write(os.urandom(1 << 20) * 32)
        file.flush()
        os.fsync(file.fileno())
"""


def compute(steps: int) -> int:
    return sum(i * i % 7 for i in range(steps))


def workload(task: Callable[[int], int], serial: float) -> Callable[[Any], int]:
    """``serial``: the share of the work that runs before the map."""
    before, each = round(TASKS * STEPS * serial), round(STEPS * (1 - serial))

    def call(pool: Any) -> int:
        first = task(before) if before else 0
        return first + sum(pool.map(task, [each] * TASKS))

    return call


def serial_share(loss: float, speedup: float) -> float:
    """By which ``speedup`` becomes less by ``loss``: of 1 / (s + (1 - s) / speedup) (Amdahl, 1967)."""
    return (1 / (1 - loss) - 1) / (speedup - 1)


def memory_hog() -> contextlib.AbstractContextManager[Any]:
    return noise.foreign([[STREAM]], settle=0.5)


LOADS: dict[str, tuple[float, Callable[[], contextlib.AbstractContextManager[Any]]]] = {
    CALM: (1.0, contextlib.nullcontext),
    "1 hog": (0.5, lambda: loaded(STEADY)),
    "2 hogs": (0.5, lambda: loaded(*(STEADY,) * 2)),
    "4 hogs": (3.0, lambda: loaded(*(STEADY,) * 4)),
    "memory hog": (0.25, memory_hog),
    "disk hog": (0.25, lambda: noise.foreign([[DISK, str(Path.cwd())]], settle=0.5)),
    READING + CALM: (0.5, contextlib.nullcontext),
    READING + "memory hog": (0.5, memory_hog),
}
"""Of each load: runs, as a part of --runs."""


@dataclass(frozen=True)
class Run:
    """One live run, and what it was made of."""

    loss: float
    measurement: Measurement
    seconds: float


def live(loss: float, task: Callable[[int], int], speedup: float = 2.0) -> Run:
    cores = usable_cores()
    plan = Plan(
        strategy=KNOWN["processes-fork"],
        workers=2,
        requested=2,
        baseline=KNOWN["sequential"],
        cores=cores,
        decide=lambda pairs: len(pairs) >= MOST_PAIRS,
        max_time=SECONDS,
        traced=gate.tracer(TWO),
        reference=True,
    )
    begun = time.perf_counter()
    found, _ = measure(Workload.of_call(workload(task, serial_share(loss, speedup))), plan)
    return Run(loss, found, time.perf_counter() - begun)


def used(run: Run, decide: Callable[[Sequence[Pair]], bool]) -> Measurement:
    """The run as if it had stopped where ``decide`` says."""
    m = run.measurement
    pairs = tuple(noise.decided(decide, m.pairs, most=len(m.pairs)))
    spent = m.elapsed_seconds * len(pairs) / len(m.pairs)
    return replace(m, pairs=pairs, elapsed_seconds=spent, reference_speedup=reference(pairs))


def summary(m: Measurement, *, gated: bool) -> scaling.Summary:
    estimate = gate.alone(m.pairs, workers=2, cores=m.usable_cores, gated=gated)
    return scaling.summarize(m, gate.interval(m.pairs, gated=gated), estimate)


def gated(run: Run, claim: float, quiet: gate.Quiet) -> tuple[Outcome, Measurement]:
    asked = gate.Gate(claim=claim)
    m = used(run, gate.decider([asked], TWO))
    verdict = gate.judge(
        asked,
        measurement=m,
        summary=summary(m, gated=True),
        tracing=None,
        gil=True,
        noun="processes",
        quiet=quiet,
    )
    return verdict.outcome, m


def recorded(run: Run) -> tuple[record.Record, float | None]:
    m = used(run, gate.decider([], TWO, half_width=gate.COMPARED))
    s = summary(m, gated=False)
    busy = gate.contended(m, s, gil=True)
    return record.make("t", m, s, contended=busy is not None), busy


def compared(now: Run, then: record.Record) -> Outcome:
    made, busy = recorded(now)
    limit = Limit(metric="speedup", loss=0.05)
    return regression.compare(limit, now=made, then=then, name="stored", contended=busy).outcome


def slower(statistic: Callable[[list[float]], float], now: Run, then: Run) -> bool:
    """What --benchmark-compare-fail=…:10% would fail."""
    mine, theirs = (
        statistic([r.seconds for pair in run.measurement.pairs for r in pair.parallel]) for run in (now, then)
    )
    return mine > 1.1 * theirs


def rate(hits: int, runs: int) -> str:
    """The share with its 95 % interval (Wilson, 1927)."""
    if not runs:
        return "none"
    z, share = 1.96, hits / runs
    middle = (share + z * z / 2 / runs) / (1 + z * z / runs)
    half = z / (1 + z * z / runs) * math.sqrt(share * (1 - share) / runs + z * z / 4 / runs / runs)
    return f"{hits}/{runs} {share:.1%} [{max(0.0, middle - half):.1%}, {middle + half:.1%}]"


def report(kind: str, runs: Sequence[Run], calm: Sequence[Run], claim: float, quiet: gate.Quiet) -> None:
    plain = [run for run in calm if run.loss == 0]
    stored = [recorded(run)[0] for run in plain]
    print(f"\n{kind}")
    for loss in sorted({run.loss for run in runs}):
        own = [run for run in runs if run.loss == loss]
        verdicts = [gated(run, claim, quiet) for run in own]
        print(f"  loss {loss:>5.1%}  gate: {counted([outcome for outcome, _ in verdicts])}")
        decided = [m for v, m in verdicts if v in (Outcome.PASSED, Outcome.FAILED)]
        if decided:
            pairs = fmean(len(m.pairs) for m in decided)
            print(f"{'':<14}{pairs:.1f} pairs and {median(m.elapsed_seconds for m in decided):.1f} s to it")
        against = [(run, i % len(plain)) for i, run in enumerate(own) if run is not plain[i % len(plain)]]
        against = against or [(run, (i + 1) % len(plain)) for i, run in enumerate(own)]
        print(f"{'':<14}compare: {counted([compared(run, stored[i]) for run, i in against])}")
        for name, statistic in (("mean", fmean), ("median", median), ("min", min)):
            failed = sum(slower(statistic, run, plain[i]) for run, i in against)
            print(f"{'':<14}pytest-benchmark {name}:10%: failed {rate(failed, len(against))}")
    found = [summary(run.measurement, gated=True) for run in runs if run.loss == 0]
    estimates = [s.uncontended.speedup.estimate for s in found if s.uncontended.speedup]
    load = median(run.measurement.foreign_load or 0.0 for run in runs)
    print(
        f"  foreign load {load:.0%}; without loss by wall clock {ranged([s.speedup.estimate for s in found])}"
    )
    print(f"  uncontended {ranged(estimates)}", flush=True)


def counted(outcomes: Sequence[Outcome]) -> str:
    failed = f"failed {rate(outcomes.count(Outcome.FAILED), len(outcomes))}"
    others = [f"{o.value} {outcomes.count(o)}" for o in Outcome if o is not Outcome.FAILED]
    return ", ".join([failed, *others])


def ranged(values: Sequence[float]) -> str:
    if not values:
        return "not asked"
    return f"{median(values):.2f}, {min(values):.2f} to {max(values):.2f} in {len(values)} runs"


def measured(kind: str, runs: int, speedup: float) -> list[Run]:
    """Runs of all losses in turn, beside that load."""
    losses = () if kind.startswith(READING) else LOSSES
    part, hogs = LOADS[kind]
    task = noise.scan if kind.startswith(READING) else compute
    task(STEPS)  # its memory is there before workers are forked
    found: list[Run] = []
    with hogs():
        for i in range(max(2, round(runs * part))):
            found.append(live(0.0, task))
            if i % LOSS_EVERY == 0:
                found += [live(loss, task, speedup) for loss in losses]
    return found


def speedup(runs: Sequence[Run]) -> float:
    """By wall clock, the median of these runs."""
    return median(gate.interval(run.measurement.pairs, gated=True).estimate for run in runs)


def calm_of(kind: str) -> str:
    """The load without any, under which the claim for that workload is measured."""
    return READING + CALM if kind.startswith(READING) else CALM


def main() -> None:
    parser = argparse.ArgumentParser(description="Verdicts on live runs under foreign load.")
    parser.add_argument("--runs", type=int, default=100, help="runs without a loss on the calm machine")
    parser.add_argument("--loads", default="", help="only loads with one of these words, by commas, and calm")
    parser.add_argument("--keep", type=Path, help="a file for the runs, to be judged --again")
    parser.add_argument("--again", type=Path, help="judge the runs of that file, and measure nothing")
    asked = parser.parse_args()
    print(f"{noise.machine()}; up to {MOST_PAIRS} pairs or {SECONDS:g} s a run", flush=True)
    kept: dict[str, list[Run]] = pickle.loads(asked.again.read_bytes()) if asked.again else {}
    claim, quiet = 0.0, gate.Quiet(cpu_seconds=1.0, growth=1.0, source="")
    parts = asked.loads.split(",")
    wanted = {name for kind in LOADS if any(p in kind for p in parts) for name in (calm_of(kind), kind)}
    ideal = speedup([live(0.0, compute) for _ in range(FIRST)]) if CALM in wanted and not kept else 0.0
    for kind in kept or [kind for kind in LOADS if kind in wanted]:
        runs = kept.get(kind) or measured(kind, asked.runs, ideal)
        kept[kind] = runs
        if asked.keep:
            asked.keep.write_bytes(pickle.dumps(kept))
        if kind == calm_of(kind):
            own = [run for run in runs if run.loss == 0]
            claim = speedup(own)
            found = [summary(run.measurement, gated=True) for run in own]
            quiet = gate.Quiet(
                cpu_seconds=median(s.cpu_seconds_sequential for s in found),
                growth=median(s.cpu_seconds / s.cpu_seconds_sequential for s in found),
                source="when calm",
            )
            print(f"claim {claim:.2f}")
        report(kind, runs, kept[calm_of(kind)], claim, quiet)


if __name__ == "__main__":
    main()
