"""What the tests of the plugin share: small suites, run by a pytest of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

# pytester forgets what a run in this process imports, and numpy cannot be imported twice.
from pytest_parallelism.plugin import collect, fixture, printing, session  # noqa: F401 - for the effect

BUSY = """
import pytest

def work(x):
    total = 0
    for i in range(4000):
        total += i * x
    return total
"""
"""A CPU-bound function of about 0.3 ms, the start of many suites."""


class Suite:
    """A test suite in a temp folder."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeini("[pytest]\n")

    def write(self, body: str, name: str = "test_suite") -> None:
        """Make a test module of `BUSY` and ``body``."""
        import textwrap

        self.pytester.makepyfile(**{name: BUSY + textwrap.dedent(body)})

    def run(self, *args: str, subprocess: bool = True) -> pytest.RunResult:
        """Run it, in the order of the file."""
        run = self.pytester.runpytest_subprocess if subprocess else self.pytester.runpytest_inprocess
        order = () if "randomly" in args else ("-p", "no:randomly")
        return run("-p", "no:cacheprovider", *order, *args)

    def json(self, *args: str) -> tuple[pytest.RunResult, dict[str, dict[str, Any]]]:
        """Run it, storing; the result and the records by test name."""
        path = Path(self.pytester.path) / "out.json"
        result = self.run(f"--benchmark-json={path}", *args)
        text = path.read_text() if path.exists() else ""  # older pytest-benchmarks leave an empty file
        records = json.loads(text, parse_constant=_no_constant)["benchmarks"] if text else []
        return result, {r["name"]: r for r in records}


def _no_constant(name: str) -> float:
    raise AssertionError(f"{name} stands in the JSON")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """An empty suite."""
    return Suite(pytester)


CLOCK = """
import json
import os
from dataclasses import replace

from pytest_parallelism.rounds import _arm, _point, _pools

SPEEDUP = {"threads": 1.31, "processes-fork": 1.9, "asyncio-threads": 1.0}
SPEEDUP.update(json.loads(os.environ.get("TURNED", "{}")))


class Turned(_arm.Arm):
    '''An arm whose rounds take exactly what SPEEDUP says, and as much CPU time however it is divided.'''

    def run(self, items):
        timed, result = super().run(items)
        seconds = 0.1 / SPEEDUP.get(self.view.strategy, 1.0)
        usage = replace(timed.usage, cpu_seconds=0.1, delay_seconds=0.0)
        return replace(timed, seconds=seconds, usage=usage), result


class Steady:
    '''A machine that is always itself.'''

    speedup = None

    def __init__(self, cores):
        pass

    def sample(self):
        pass


_pools.Arm = _point.Arm = Turned
_point.Reference = Steady
"""


@pytest.fixture
def gated(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite on a machine with two cores, whose speedups are known exactly."""
    suite.pytester.makeconftest(
        CLOCK
        + """
from pytest_parallelism.plugin import session
from pytest_parallelism.resources import Cores
session.usable_cores = lambda: Cores(usable=2, affinity=2, quota=None, logical=2)
"""
    )
    return suite
