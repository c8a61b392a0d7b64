"""Does the stated interval hold what it states? Sequential against sequential, the truth is 1.00.

    python benchmarks/interval_coverage.py            all of it, about six minutes
    python benchmarks/interval_coverage.py --quick    200 runs of each instead of 1,000
    python benchmarks/interval_coverage.py --record   record the traces anew first (four minutes more)

Each run stops by the real procedure (`gate.decider`) and asks the real interval (`gate.interval`). The gates
lie where stopping does most harm: claim * 0.95 is the truth itself, so that a gate stops as soon as an
interval misses. Printed: runs that missed 1.00, the coverage, its one-sided 95 % lower bound (Clopper and
Pearson), and `holds` where that bound reaches the stated confidence, `ok` where the misses are within what
chance gives at exactly that confidence (1 % level), `FAILS` else. The exit status is 1 if any line fails.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import noise
import numpy as np

from pytest_parallelism.contention import CONTENDED
from pytest_parallelism.gate import TOLERANCE, Gate, Where, decider, interval
from pytest_parallelism.measurement import Pair
from pytest_parallelism.scaling import contention

TRUTH_GATE = Gate(claim=1 / (1 - TOLERANCE))
LIVE_SECONDS = 0.3
MOST_PAIRS = 80


@dataclass(frozen=True)
class Mode:
    """How a run ends: gated or not, fixed rounds, or out of time at a random pair from 3 on."""

    name: str
    gated: bool
    rounds: int | None = None
    out_of_time: bool = False


MODES = (
    Mode("ungated", gated=False),
    Mode("gated", gated=True),
    Mode("gated, out of time", gated=True, out_of_time=True),
    Mode("3 rounds", gated=False, rounds=3),
    Mode("8 rounds", gated=True, rounds=8),
)


@dataclass
class Tally:
    """Runs of one kind and what came of them."""

    runs: int = 0
    misses: int = 0
    pairs: int = 0
    half_widths: list[float] = field(default_factory=list)
    confidence: float = 1.0
    busy: int = 0

    def add(self, pairs: Sequence[Pair], mode: Mode) -> None:
        found = interval(pairs, gated=mode.gated, rounds=mode.rounds)
        self.runs += 1
        self.pairs += len(pairs)
        self.misses += not found.low <= 1.0 <= found.high
        self.half_widths.append((found.high - found.low) / 2 / found.estimate)
        self.confidence = min(self.confidence, found.confidence)
        self.busy += (contention([pair.sequential for pair in pairs]) or 0.0) > CONTENDED

    def line(self, name: str, *, promised: bool = True) -> tuple[str, bool]:
        bound = lower_bound(self.runs - self.misses, self.runs)
        fails = tail(self.misses, self.runs, 1 - self.confidence) < 0.01
        word = "holds" if bound >= self.confidence else "FAILS" if fails else "ok"
        text = (
            f"{name:<46} {self.runs:>5} {self.misses:>6} {1 - self.misses / self.runs:>8.2%} {bound:>8.2%} "
            f"{self.confidence:>6.0%} {self.pairs / self.runs:>6.1f} {np.median(self.half_widths):>7.1%}  "
            f"{word if promised else 'not promised'}"
        )
        return text, promised and word == "FAILS"


_COLUMNS = " {:>5} {:>6} {:>8} {:>8} {:>6} {:>6} {:>7}"
HEADER = f"{'noise, stop':<46}" + _COLUMNS.format(
    "runs", "missed", "covered", "bound", "stated", "pairs", "±"
)


def tail(misses: int, runs: int, chance: float) -> float:
    """P(X >= misses) for X binomial."""
    logs = (
        math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
        + k * math.log(chance) + (runs - k) * math.log1p(-chance)
        for k in range(misses)
    )  # fmt: skip
    return 1 - math.fsum(map(math.exp, logs))


def lower_bound(covered: int, runs: int) -> float:
    """One-sided 95 % Clopper-Pearson lower bound of a share."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        # P(X >= covered) grows with the share; the bound is where it reaches 5 %.
        low, high = (middle, high) if tail(covered, runs, middle) < 0.05 else (low, middle)
    return low


def simulate(draw: Callable[[np.random.Generator], list[Pair]], mode: Mode, runs: int, seed: int) -> Tally:
    rng, tally = np.random.default_rng(seed), Tally()
    for _ in range(runs):
        pairs = draw(rng)
        most = int(rng.integers(3, 40)) if mode.out_of_time else len(pairs)
        tally.add(noise.decided(_decide(mode), pairs, most=most), mode)
    return tally


def _decide(mode: Mode) -> Callable[[Sequence[Pair]], bool]:
    return decider([TRUTH_GATE] if mode.gated else [], Where(workers=2, cores=2), rounds=mode.rounds)


def live(mode: Mode, runs: int) -> Tally:
    tally, decide, rng = Tally(), _decide(mode), np.random.default_rng(5)
    for _ in range(runs):
        noise.timed_round()
        pairs: list[Pair] = []
        seconds = float(rng.uniform(0.005, 0.1)) if mode.out_of_time else LIVE_SECONDS
        end = time.perf_counter() + seconds
        while not decide(pairs) and (len(pairs) < 3 or time.perf_counter() < end):
            rows = np.array([noise.timed_round(), noise.timed_round()])
            pairs += noise.pairs_of_rounds(rows if len(pairs) % 2 == 0 else rows[::-1])
        tally.add(pairs, mode)
    return tally


def synthetic_lines(runs: int) -> Iterator[tuple[str, bool]]:
    for seed, (name, series) in enumerate(noise.SYNTHETIC.items()):
        for sd in (0.03, 0.15):

            def draw(
                rng: np.random.Generator, series: noise.Generator = series, sd: float = sd
            ) -> list[Pair]:
                return noise.pairs_of_logs(series(rng, MOST_PAIRS, sd))

            for mode in MODES:
                yield simulate(draw, mode, runs, seed).line(f"{name}, SD {sd}, {mode.name}")
    for rho in (0.3, 0.5):
        series = noise.autocorrelated(rho)

        def beyond(rng: np.random.Generator, series: noise.Generator = series) -> list[Pair]:
            return noise.pairs_of_logs(series(rng, MOST_PAIRS, 0.15))

        for mode in MODES[:2]:
            tally = simulate(beyond, mode, runs, 99)
            yield tally.line(f"autocorrelated {rho}, SD 0.15, {mode.name}", promised=False)


def recorded_lines(name: str, runs: int) -> Iterator[tuple[str, bool]]:
    trace, _ = noise.load(name)
    for per_pair in (1, 3):

        def draw(rng: np.random.Generator, per_pair: int = per_pair) -> list[Pair]:
            return noise.pairs_of_rounds(
                noise.window(rng, trace, (1 + per_pair) * MOST_PAIRS), per_pair=per_pair
            )

        for mode in MODES:
            title = f"{name}, {per_pair} parallel a pair, {mode.name}"
            # A mean of three skewed times against one is not symmetric, and 320 rounds a window leave
            # few that do not overlap: measured, not promised.
            yield simulate(draw, mode, runs, 7).line(title, promised=per_pair == 1)


def trace_facts(name: str) -> str:
    trace, about = noise.load(name)
    logs = np.array([pair.log_ratio for pair in noise.pairs_of_rounds(trace)])
    times = np.log(trace[:, 0])
    share = trace[:, 2].sum() / (trace[:, 1].sum() + trace[:, 2].sum())
    return (
        f"{name}: {about}\n  round {np.median(trace[:, 0]) * 1e3:.2f} ms (median), contention {share:.1%}, "
        f"SD of the log: time {times.std():.3f}, paired ratio {logs.std():.3f}; "
        f"lag-1 autocorrelation: time {_lag1(times):.2f}, paired ratio {_lag1(logs):.2f}"
    )


def _lag1(values: noise.Floats) -> float:
    return float(np.corrcoef(values[:-1], values[1:])[0, 1])


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Coverage of the stated interval, sequential against sequential."
    )
    parser.add_argument("--quick", action="store_true", help="200 runs of each kind instead of 1,000")
    parser.add_argument("--record", action="store_true", help="record the traces of this machine first")
    parser.add_argument("--hogs", type=int, default=2, help="foreign CPU hogs in the busy trace")
    arguments = parser.parse_args()
    runs = 200 if arguments.quick else 1000
    print(noise.machine())
    if arguments.record:
        noise.record("calm", rounds=20_000, beside=0)
        noise.record("busy", rounds=20_000, beside=arguments.hogs)
        noise.record("busy-20ms", rounds=4_000, beside=arguments.hogs, times=16)
    failed = False
    names = sorted(path.stem for path in noise.TRACES.glob("*.npz"))
    sections: list[tuple[str, Iterator[tuple[str, bool]]]] = [
        ("synthetic log ratios", synthetic_lines(runs)),
        *(
            (f"recorded windows (they overlap)\n{trace_facts(name)}", recorded_lines(name, runs))
            for name in names
        ),
    ]
    for title, lines in sections:
        print(f"\n{title}\n{HEADER}")
        for text, bad in lines:
            print(text, flush=True)
            failed |= bad
    print(f"\nlive rounds, each run its own, at most {LIVE_SECONDS} s\n{HEADER}")
    for mode in MODES:
        tally = live(mode, runs)
        text, bad = tally.line(f"live, {mode.name}")
        print(f"{text}; {tally.busy} runs over {CONTENDED:.0%} contention", flush=True)
        failed |= bad
    print("\nFAILED" if failed else "\nthe stated confidence holds wherever it is promised")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
