"""What tests of every local strategy share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Counts, Strategy, StrategyOptions

LOCAL = {name: strategy for name, strategy in load().items() if strategy.group == "local"}
WORKERS = 2


@pytest.fixture(params=LOCAL.values(), ids=list(LOCAL), scope="module")
def strategy(request: pytest.FixtureRequest) -> Strategy:
    """Each local strategy that can run here with two workers."""
    found: Strategy = request.param
    obstacle = found.obstacle(WORKERS)
    if obstacle:
        pytest.skip(obstacle)
    return found


@pytest.fixture(scope="session")
def opened() -> Callable[..., AbstractContextManager[Any]]:
    """Opens a strategy with two workers; the module's functions go by value."""

    def opening(strategy: Strategy, module: ModuleType, **options: Any) -> AbstractContextManager[Any]:
        workers = 1 if strategy.counts is Counts.ONE else WORKERS
        return strategy.open(workers, StrategyOptions(by_value=(module,), **options))

    return opening
