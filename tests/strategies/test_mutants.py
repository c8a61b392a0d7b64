"""Conformance catches strategies that are deliberately wrong: each mutant of each strategy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.conformance import StrategyConformance
from pytest_parallelism.envelope import is_async
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Counts, Pool, Strategy, StrategyOptions

KNOWN = {name: strategy for name, strategy in load().items() if not strategy.obstacle(3)}
Mapping = Callable[..., list[Any]]


def drops_an_item(pool: Pool, fn: Any, items: Sequence[Any], how: Any) -> list[Any]:
    return pool.map(fn, items, **how)[:-1]


def swaps_two_results(pool: Pool, fn: Any, items: Sequence[Any], how: Any) -> list[Any]:
    found = pool.map(fn, items, **how)
    return [*found[1::-1], *found[2:]]


def runs_in_the_parent(_pool: Pool, fn: Any, items: Sequence[Any], _how: Any) -> list[Any]:
    if is_async(fn):
        return [asyncio.run(fn(item)) for item in items]
    return [fn(item) for item in items]


class Mutant:
    """A pool whose map goes wrong, and whose other powers are gone."""

    def __init__(self, pool: Pool, wrong: Mapping) -> None:
        self._pool = pool
        self._wrong = wrong
        self.workers = pool.workers

    def map(self, fn: Any, items: Sequence[Any], **how: Any) -> list[Any]:
        return self._wrong(self._pool, fn, items, how)


def mutated(strategy: Strategy, wrong: Mapping) -> Strategy:
    @contextmanager
    def start(workers: int, options: StrategyOptions) -> Iterator[Pool]:
        with strategy.open(workers, options) as pool:
            yield Mutant(pool, wrong)

    return replace(strategy, open=start)


class Impatient(StrategyConformance):
    patience = 0.2


OPTIONS = StrategyOptions(by_value=(__import__("pytest_parallelism.conformance", fromlist=["x"]),))
# The caller is where these are right to run.
ELSEWHERE = [name for name, s in KNOWN.items() if s.counts is not Counts.ONE and not s.inside]
COUNTED = [name for name in ELSEWHERE if KNOWN[name].counts is not Counts.OWN]


@pytest.mark.parametrize("wrong", [drops_an_item, swaps_two_results], ids=lambda fn: fn.__name__)
@pytest.mark.parametrize("name", KNOWN)
def test_conformance_catches_wrong_results(name: str, wrong: Mapping) -> None:
    mutant = mutated(KNOWN[name], wrong)
    with pytest.raises(AssertionError):
        Impatient().test_results_are_in_the_order_of_the_items(mutant, OPTIONS, 2, None)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_conformance_catches_a_run_in_the_parent(name: str, workers: int, tmp_path: Path) -> None:
    if KNOWN[name].native_async and workers == 1:
        workers = 3  # one coroutine after another is what an event loop with one in flight does
    mutant = mutated(KNOWN[name], runs_in_the_parent)
    with pytest.raises(AssertionError):
        Impatient().test_exactly_that_many_workers_run_at_once(mutant, OPTIONS, workers, tmp_path)


@pytest.mark.parametrize("name", COUNTED)
def test_conformance_catches_one_worker_too_many(name: str, tmp_path: Path) -> None:
    strategy = KNOWN[name]

    @contextmanager
    def start(workers: int, options: StrategyOptions) -> Iterator[Pool]:
        with strategy.open(workers + 1, options) as pool:
            pool_of_too_many = Mutant(pool, lambda pool, fn, items, how: pool.map(fn, items, **how))
            pool_of_too_many.workers = workers
            yield pool_of_too_many

    with pytest.raises(AssertionError):
        Impatient().test_exactly_that_many_workers_run_at_once(
            replace(strategy, open=start), OPTIONS, 2, tmp_path
        )
