"""A run of one engine that is killed in the middle of a map, and what is left of its cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from pytest_parallelism.workers.site import MARK

_RUN = """
import json, sys, time
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions

def sleep(seconds):
    time.sleep(seconds)

if __name__ == "__main__":
    with load()[sys.argv[1]].open(2, StrategyOptions()) as pool:
        pool.executor.submit(sleep, 600)
        print(json.dumps(list(pool.pids())), flush=True)
        pool.map(sleep, [600])
"""
_GONE_SECONDS = 20.0


def left_after_sigkill(name: str, folder: Path) -> set[str]:
    """What is left of such a run of a strategy; ``folder`` is where its temporary files are."""
    script, temporary = folder / "run.py", folder / "t"
    script.write_text(_RUN)
    temporary.mkdir()
    memory = set(Path("/dev/shm").glob("*mpi*"))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    run = subprocess.Popen([sys.executable, str(script), name], stdout=subprocess.PIPE, env=environment)
    assert run.stdout is not None
    with run.stdout:
        workers = json.loads(run.stdout.readline())
    assert len(workers) == 2
    members = _marked_like(workers[0])
    assert set(workers) <= members
    run.send_signal(signal.SIGKILL)
    run.wait()
    end = time.monotonic() + _GONE_SECONDS
    while True:
        found = {f"process {pid}" for pid in members if _lives(pid)}
        found |= {str(path) for path in temporary.iterdir()}
        found |= {str(path) for path in set(Path("/dev/shm").glob("*mpi*")) - memory}
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def _marked_like(pid: int) -> set[int]:
    mark = psutil.Process(pid).environ()[MARK]
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
