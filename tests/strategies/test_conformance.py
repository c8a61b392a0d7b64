"""Every strategy of ours keeps what the shipped conformance suite asks."""

from __future__ import annotations

from typing import cast

import pytest

from pytest_parallelism.conformance import StrategyConformance
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy

KNOWN = load()


class TestOurs(StrategyConformance):
    @pytest.fixture(params=KNOWN.values(), ids=list(KNOWN))
    def strategy(self, request: pytest.FixtureRequest) -> Strategy:
        return cast("Strategy", request.param)
