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
