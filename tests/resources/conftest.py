"""Child processes that do what they are told, for the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pytest_parallelism.resources import meter
from pytest_parallelism.resources.counters import PsutilSource

WORKER = """
import sys, threading, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
for line in sys.stdin:
    exec(line, globals())
    print("done", flush=True)
"""


class Worker:
    """A child process that runs one line of Python at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.run("pass")

    def run(self, line: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        """Let it end, and reap it; again is fine."""
        if self._process.returncode is None:
            self._process.communicate()


@pytest.fixture
def start_worker() -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker())
        return started[-1]

    yield start
    for worker in started:
        worker.end()


@pytest.fixture
def worker(start_worker: Callable[[], Worker]) -> Worker:
    return start_worker()


@pytest.fixture(params=["best", "psutil"])
def any_source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "psutil":
        monkeypatch.setattr(meter, "source", PsutilSource)
