"""How often the gate procedure is wrong, and how often it finds a loss: with and without its guard.

    python benchmarks/verdict_rates.py            some minutes
    python benchmarks/verdict_rates.py --quick    200 runs of each instead of 3,000

Every run is one gated point, stopped and judged by the real `gate.decider`, `gate.interval` and `gate.judge`,
up to 40 pairs. The claim is 1.50; the true speedup is exactly that, 5 % above, or 5 % (the limit itself),
10 % and 20 % below. Quiet CI "Q" and moderate CI "M" are synthetic (slow rounds and normal noise of that SD,
and a session's own shift of `BETWEEN_RUN`); recorded rounds are windows of benchmarks/traces/ (made by
interval_coverage.py --record), whose sequential rounds are stretched to the true speedup.

"H" is synthetic too, and heavily loaded: rounds of 16 tasks, each of which waits for a core for about as long
as it computes, so that the uncontended estimate decides.

`without guard` counts misses that the contention guard made inconclusive as failures.

The second table is `--parallel-compare-fail=speedup:5` between two runs without a gate, each with its own
noise and its own session's shift; the later one has lost what the line says.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import noise
import numpy as np

from pytest_parallelism.contention import CONTENDED
from pytest_parallelism.gate import COMPARED, Gate, Quiet, Where, alone, contended, decider, interval, judge
from pytest_parallelism.inference import BETWEEN_RUN, LOOKS
from pytest_parallelism.measurement import Measurement, Outcome, Pair
from pytest_parallelism.record import make
from pytest_parallelism.regression import compare
from pytest_parallelism.scaling import contention, summarize
from pytest_parallelism.settings import Limit

CLAIM = 1.5
TWO = Where(workers=2, cores=2)
LOSSES = (-0.05, 0.0, 0.05, 0.10, 0.20, 0.30)
Draw = Callable[[np.random.Generator, float], list[Pair]]


def synthetic(sd: float) -> Draw:
    def draw(rng: np.random.Generator, speedup: float) -> list[Pair]:
        size = LOOKS[-1]
        spikes = noise.SYNTHETIC["slow rounds"](rng, size, sd / 2)
        session = rng.normal(np.log(speedup), BETWEEN_RUN)
        return noise.pairs_of_logs(session + rng.normal(0, sd / 2**0.5, size) + spikes)

    return draw


def heavy(hogs: float) -> Draw:
    def draw(rng: np.random.Generator, speedup: float) -> list[Pair]:
        session = float(np.exp(rng.normal(0, BETWEEN_RUN)))
        return noise.traced_pairs(rng, LOOKS[-1], speedup=min(2.0, speedup * session), hogs=hogs)

    return draw


def recorded(name: str) -> Draw:
    trace, _ = noise.load(name)

    def draw(rng: np.random.Generator, speedup: float) -> list[Pair]:
        return noise.pairs_of_rounds(noise.window(rng, trace, 2 * LOOKS[-1]), speedup=speedup)

    return draw


def outcome(pairs: Sequence[Pair]) -> tuple[Outcome, bool, int]:
    """The verdict, whether the interval alone would have failed, and the pairs it took."""
    gate = Gate(claim=CLAIM)
    used = noise.decided(decider([gate], TWO), pairs, most=LOOKS[-1])
    found = interval(used, gated=True)
    measurement = measured(used)
    verdict = judge(
        gate,
        measurement=measurement,
        summary=summarize(measurement, found, alone(used, workers=2, cores=2, gated=True)),
        tracing=None,
        gil=True,
        noun="workers",
        quiet=Quiet(
            cpu_seconds=median(pair.sequential.usage.cpu_seconds for pair in used),
            growth=1.0,
            source="always",
        ),
    )
    return verdict.outcome, found.high < gate.least_speedup(2), len(used)


def measured(pairs: Sequence[Pair]) -> Measurement:
    seconds = sum(pair.sequential.seconds + pair.parallel_seconds for pair in pairs)
    return Measurement(
        strategy="none",
        strategy_version="0",
        workers=2,
        workers_requested=2,
        isolation="process",
        pairs=tuple(pairs),
        first_sequential_seconds=seconds,
        open_seconds=0.0,
        close_seconds=0.0,
        elapsed_seconds=seconds,
        workload_seconds=seconds,
        usable_cores=2,
        result="equal",
    )


def rates(name: str, draw: Draw, runs: int) -> None:
    for loss in LOSSES:
        rng = np.random.default_rng(11)
        ends = [outcome(draw(rng, CLAIM * (1 - loss))) for _ in range(runs)]
        counts = Counter(end for end, _, _ in ends)
        shares = " ".join(
            f"{counts[o] / runs:>12.1%}" for o in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED)
        )
        bare = sum(failed for _, failed, _ in ends) / runs
        pairs = sum(count for _, _, count in ends) / runs
        true = f"S = claim {-loss:+.0%}" if loss else "S = claim"
        print(f"{name:<18} {true:<16} {shares} {bare:>14.1%} {pairs:>7.1f}", flush=True)


def compared(draw: Draw, rng: np.random.Generator, loss: float) -> Outcome:
    """The verdict on the later of two runs, the first of which has a speedup of the claim."""
    made = []
    for slower in (1.0, 1 / (1 - loss)):
        pairs = [stretched(pair, slower) for pair in draw(rng, CLAIM)]
        used = noise.decided(decider([], TWO, half_width=COMPARED), pairs, most=LOOKS[-1])
        measurement = measured(used)
        summary = summarize(measurement, interval(used, gated=False))
        busy = contended(measurement, summary, gil=True)
        made.append((make("t", measurement, summary, contended=busy is not None), busy))
    (then, _), (now, busy) = made
    return compare(
        Limit(metric="speedup", loss=0.05), now=now, then=then, name="stored", contended=busy
    ).outcome


def stretched(pair: Pair, by: float) -> Pair:
    """With parallel rounds that take so many times as long."""
    return replace(pair, parallel=tuple(replace(r, seconds=r.seconds * by) for r in pair.parallel))


def comparisons(name: str, draw: Draw, runs: int) -> None:
    for loss in (0.0, 0.05, 0.10, 0.20, 0.30):
        rng = np.random.default_rng(12)
        counts = Counter(compared(draw, rng, loss) for _ in range(runs))
        shares = " ".join(
            f"{counts[o] / runs:>12.2%}" for o in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED)
        )
        print(f"{name:<18} {f'loss {loss:.0%}':<16} {shares}", flush=True)


def guard_trips(name: str) -> str:
    """How often 40 consecutive pairs of a trace, not overlapping, count as contended."""
    trace, about = noise.load(name)
    size = 2 * LOOKS[-1]
    starts = range(0, len(trace) - size + 1, size)
    blocks = [noise.pairs_of_rounds(trace[start : start + size]) for start in starts]
    shares = [contention([pair.sequential for pair in block]) or 0.0 for block in blocks]
    tripped = sum(share > CONTENDED for share in shares)
    return (
        f"{name}: {about}\n  guard: {tripped} of {len(shares)} windows of {LOOKS[-1]} pairs "
        f"over {CONTENDED:.0%}; contention median {np.median(shares):.1%}, largest {max(shares):.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates of verdicts at known true speedups.")
    parser.add_argument("--quick", action="store_true", help="200 runs of each kind instead of 3,000")
    runs = 200 if parser.parse_args().quick else 3000
    print(f"{noise.machine()}; {runs} runs a line\n")
    traces = sorted(path.stem for path in noise.TRACES.glob("*.npz"))
    for name in traces:
        print(guard_trips(name))
    columns = f"{'passed':>12} {'inconclusive':>12} {'failed':>12} {'without guard':>14} {'pairs':>7}"
    print(f"\n{'noise':<18} {'true speedup':<16} {columns}")
    for name, sd in (("Q, SD .03", 0.03), ("Q, SD .05", 0.05), ("M, SD .10", 0.10), ("M, SD .20", 0.20)):
        rates(name, synthetic(sd), runs)
    rates("H, tasks", heavy(1.0), runs)
    for name in traces:
        rates(f"recorded {name}", recorded(name), runs)
    print(f"\n{'noise':<18} {'speedup:5':<16} {'passed':>12} {'inconclusive':>12} {'failed':>12}")
    for name, sd in (("Q, SD .03", 0.03), ("Q, SD .05", 0.05), ("M, SD .10", 0.10), ("M, SD .20", 0.20)):
        comparisons(name, synthetic(sd), runs)
    comparisons("recorded calm", recorded("calm"), runs)


if __name__ == "__main__":
    main()
