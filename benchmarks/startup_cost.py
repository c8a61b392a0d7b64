"""What the plugin costs a pytest start that does not use it: must be under 5 ms.

Usage: python benchmarks/startup_cost.py [pairs]

Each pair starts ``pytest`` twice on an empty test, with the plugin and without, in alternating order,
and with no other plugin but pytest-benchmark, which this one needs. The answer is the median
of the paired differences in CPU time (user + system) and in wall time, with the exact sign-test interval of
the median (Conover, Practical Nonparametric Statistics, 3.2). CPU time is what judges: a start runs on one
core, and foreign load does not enter. Exit status 1 where the interval's lower end is above the limit, 2
where the interval holds it.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_MS = 5.0
PAIRS = 60
WARM_UP = 3
CONFIDENCE = 0.98
HOST = "pytest_benchmark.plugin"
# Plugins are named in PYTEST_PLUGINS: pytest looks through every installed distribution once for each -p, and
# once for all entry points, which is no plugin's cost. Bytecode is cached, as in every installation.
PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": ""}


def main(pairs: int) -> int:
    """The exit status."""
    arms = {True: f"{HOST},pytest_parallelism.plugin", False: HOST}
    cpu, wall = [], []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_empty.py").write_text("def test_empty():\n    pass\n")
        for number in range(-WARM_UP, pairs):
            order = (True, False) if number % 2 else (False, True)
            cost = {arm: start(folder, arms[arm]) for arm in order}
            if number >= 0:
                cpu.append(1000 * (cost[True][0] - cost[False][0]))
                wall.append(1000 * (cost[True][1] - cost[False][1]))
    print(f"an unused plugin costs a pytest start, median of {pairs} interleaved pairs:")
    print(f"  CPU time  {told(cpu)}")
    print(f"  wall time {told(wall)}")
    low, high = interval(cpu)
    verdict = "under" if high < LIMIT_MS else "over" if low > LIMIT_MS else "not decided against"
    print(f"{verdict} the limit of {LIMIT_MS:.0f} ms")
    return {"under": 0, "over": 1}.get(verdict, 2)


def start(folder: str, plugins: str) -> tuple[float, float]:
    """CPU seconds and wall seconds of one run."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, **PLAIN, "PYTEST_PLUGINS": plugins, "PYTHONPATH": paths},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    ended, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended - begun


def told(differences: list[float]) -> str:
    low, high = interval(differences)
    return f"{statistics.median(differences):+.2f} ms [{low:+.2f}, {high:+.2f}] ({CONFIDENCE:.0%})"


def interval(differences: list[float]) -> tuple[float, float]:
    """Order statistics around the median, at least ``CONFIDENCE`` (less with under 8 pairs)."""
    n = len(differences)
    tail, rank = 0.5**n, 0
    while tail + math.comb(n, rank + 1) * 0.5**n <= (1 - CONFIDENCE) / 2:
        rank += 1
        tail += math.comb(n, rank) * 0.5**n
    ordered = sorted(differences)
    return ordered[rank], ordered[n - 1 - rank]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else PAIRS))
