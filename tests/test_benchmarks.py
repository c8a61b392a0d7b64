"""The scripts in benchmarks/ run; what they prove is proved by their full settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERDICTS = ("ok", "undecided", "MISSED 1.05", "MISSED 1.10", "MISSED 0.40")
AT_MOST_SECONDS = 100  # a bound against hanging

linux = pytest.mark.skipif(sys.platform != "linux", reason="fork, and PSS in /proc")


def dispatch(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/dispatch.py", "--quick", *options],
        cwd=ROOT,
        timeout=AT_MOST_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )


@linux
def test_dispatch_prints_each_workload_of_each_strategy_that_it_is_asked_for() -> None:
    done = dispatch("--only", "threads", "--only", "processes-fork", "--only", "multiprocessing-pool-fork")
    rows = re.findall(r"^(\S+) +(\S.*?) +(one|best|payload|memory) .*?(\S+(?: \d\.\d+)?)$", done.stdout, re.M)
    found = [(name, against, workload) for name, against, workload, _ in rows]
    stock = ("processes-fork", "ProcessPoolExecutor", "one")
    each = ("one", "best", "payload", "memory")
    assert sorted(found) == sorted(
        [
            *(("threads", "executor.map", workload) for workload in ("one", "payload")),
            *(("processes-fork", "Process, Pipe, wait", workload) for workload in each),
            stock,
            *(("multiprocessing-pool-fork", "Pool.map", workload) for workload in each),
            *(
                ("multiprocessing-pool-fork", "imap_unordered", workload)
                for workload in ("one", "best", "memory")
            ),
        ]
    ), done.stdout + done.stderr
    assert {verdict for *_, verdict in rows} <= set(VERDICTS)
    assert done.returncode in (1, 2)  # four pairs decide little, and memory nothing
    assert done.stderr == ""


def test_dispatch_names_the_strategies_when_it_is_asked_for_one_that_does_not_exist() -> None:
    done = dispatch("--only", "thread")
    assert done.returncode == 1
    assert "no strategy is named thread" in done.stderr
    assert "threads" in done.stderr
    assert done.stdout == ""
