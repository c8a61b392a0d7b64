"""What engines stand on keeps what the shipped conformance suite asks, whatever the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_parallelism import clusters
from pytest_parallelism.conformance import StrategyConformance
from pytest_parallelism.conformance._promises import Promises
from pytest_parallelism.strategy import Strategy
from tests.clusters.fake_engine import FAKE


class TestFake(StrategyConformance):
    @pytest.fixture
    def strategy(self) -> Strategy:
        return FAKE


class TestKept(Promises):
    """What is left is the cluster, so that the matrix of faults has nothing to say here."""

    test_nothing_is_left = None  # type: ignore[assignment]  # the same

    @pytest.fixture
    def strategy(self) -> Strategy:
        return FAKE

    @pytest.fixture(autouse=True)
    def _kept(self) -> Iterator[None]:
        with clusters.keeping():
            yield
