"""What an engine's second worker brings, by how much work a map has.

Usage: python benchmarks/engine_sizes.py ENGINE... [--bytes N]... [--seconds N]

What an engine spends on a map, whatever is in it, is shared by all that the map computes. So each size of
documents has a line: how long one process takes for them, what the engine's second worker gained, what a
second bare process gained in the same rounds, and the first over the second (engine_scaling.py).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from dispatch import described
from engine_natives import NATIVES
from engine_scaling import DOCUMENT_BYTES, WARM_MAPS, beside_bare, documents, gains

from pytest_parallelism.registry import load

sys.path.append(str(Path(__file__).parents[1]))  # where the example suites are; workers get it from there

SECONDS = 55.0


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description="What an engine's second worker brings, by size of the work."
    )
    parser.add_argument("engine", nargs="+", choices=NATIVES)
    parser.add_argument("--bytes", type=int, action="append", help="of documents; repeatable")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of rounds, for each worker count")
    found = parser.parse_args()
    found.bytes = found.bytes or [DOCUMENT_BYTES, 4 * DOCUMENT_BYTES]
    return found


def main(asked: argparse.Namespace) -> None:
    """Prints a line for each engine and size."""
    print(described())
    print("engine        documents  one process  rounds  second worker        second process       share")
    warm = WARM_MAPS if asked.seconds else 1
    for name in asked.engine:
        strategy = load()[name]
        if obstacle := strategy.obstacle(2):
            print(f"{name}: not here: {obstacle}")
            continue
        for size in asked.bytes:
            task, bodies = documents(size)
            rounds = {
                workers: beside_bare(strategy, workers, task, bodies, seconds=asked.seconds, warm=warm)
                for workers in (1, 2)
            }
            alone = statistics.median(one["1"] for one in (*rounds[1], *rounds[2]))
            found = (f"{e:.2f} [{low:.2f}, {high:.2f}]" for e, low, high in gains(rounds).values())
            print(
                f"{name:12}  {size / 1e6:6.2f} MB  {alone:9.2f} s  {sum(map(len, rounds.values())):6}  "
                + "  ".join(f"{one:19}" for one in found).rstrip(),
                flush=True,
            )


if __name__ == "__main__":
    main(options())
