"""Every strategy of ours keeps what the shipped conformance suite asks."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from pytest_parallelism.conformance import FAULTS, StrategyConformance
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy

KNOWN = load()
LOCAL = [name for name, strategy in KNOWN.items() if strategy.group == "local"]
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


class TestOurs(StrategyConformance):
    @pytest.fixture(params=[KNOWN[name] for name in LOCAL], ids=LOCAL)
    def strategy(self, request: pytest.FixtureRequest) -> Strategy:
        return cast("Strategy", request.param)


def test_the_page_of_faults_has_every_fault_in_both_tables() -> None:
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    counts = {name: sum(row.startswith(f"| {name} |") for row in rows) for name in FAULTS}
    assert counts == dict.fromkeys(FAULTS, 2)


def test_the_page_of_faults_has_every_local_strategy_that_runs_here() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in LOCAL if not KNOWN[name].obstacle(2) and f"\n| `{name}` |" not in text] == []
