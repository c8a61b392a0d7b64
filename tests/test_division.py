"""How items are divided into parts."""

from __future__ import annotations

import itertools
import random

import pytest

from pytest_parallelism.division import balanced


def test_items_that_cost_nothing_are_divided_too() -> None:
    divided = balanced([5.0] + [0.0] * 9, 3)
    assert sorted(map(len, divided)) == [1, 4, 5]
    assert balanced([1.0, 0.0], 5) == [[0], [1]]


def test_equal_costs_go_round() -> None:
    assert balanced([1.0] * 5, 2) == [[0, 2, 4], [1, 3]]


def test_the_dearest_comes_first_and_goes_where_least_is() -> None:
    assert balanced([1, 8, 3, 4], 2) == [[1], [3, 2, 0]]


def test_no_part_is_empty() -> None:
    assert balanced([1, 1], 5) == [[0], [1]]
    assert balanced([], 5) == []


@pytest.mark.parametrize("seed", range(20))
def test_the_dearest_part_is_within_grahams_bound_of_the_best_division(seed: int) -> None:
    chance = random.Random(seed)
    parts = chance.choice([2, 3])
    costs = [chance.randint(1, 30) for _ in range(chance.randint(1, 8))]
    best = min(
        max(sum(c for c, p in zip(costs, places, strict=True) if p == part) for part in range(parts))
        for places in itertools.product(range(parts), repeat=len(costs))
    )
    divided = balanced(costs, parts)
    assert sorted(itertools.chain(*divided)) == list(range(len(costs)))
    assert max(sum(costs[i] for i in part) for part in divided) <= (4 / 3 - 1 / (3 * parts)) * best + 1e-9
