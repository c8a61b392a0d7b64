"""Streams and map options on every strategy of ours that runs on this machine."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.strategy import Counts, Strategy
from pytest_parallelism.workpool import WorkPool

HERE = sys.modules[__name__]


def double(item: int) -> int:
    return 2 * item


async def double_async(item: int) -> int:
    await asyncio.sleep(0)
    return 2 * item


def odd_fails(item: int) -> int:
    if item % 2:
        raise KeyError(item)
    return item


async def odd_fails_async(item: int) -> int:
    return odd_fails(item)


def second_time(folder: str, item: int) -> int:
    """Fails until it has left a file."""
    mark = Path(folder, str(item))
    if not mark.exists():
        mark.touch()
        raise OSError(item)
    return item


class Drawn:
    """An endless iterable that knows how many items it gave."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        for self.count in itertools.count(1):
            yield self.count - 1


@pytest.fixture(scope="module")
def opened_pool(strategy: Strategy, opened: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with opened(strategy, HERE) as pool:
        yield pool


@pytest.fixture
def pool(opened_pool: Any, strategy: Strategy) -> WorkPool:
    """On one pool for all tests that leave it usable."""
    return WorkPool(opened_pool, strategy)


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_results_come_in_the_order_of_the_items(pool: WorkPool, chunk_size: int) -> None:
    found = pool.imap(double, range(20), chunk_size=chunk_size, async_fn=double_async)
    assert list(found) == [2 * item for item in range(20)]
    assert list(pool.imap(double, [], async_fn=double_async)) == []


def test_without_order_every_result_comes_once(pool: WorkPool) -> None:
    expected = [2 * item for item in range(20)]
    assert sorted(pool.imap(double, range(20), ordered=False, async_fn=double_async)) == expected
    assert sorted(pool.map(double, range(20), ordered=False, async_fn=double_async)) == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_an_endless_input_is_drawn_no_further_than_said(pool: WorkPool, ordered: bool) -> None:
    drawn, ahead = Drawn(), 0
    with closing(pool.imap(double, drawn, in_flight=6, ordered=ordered, async_fn=double_async)) as stream:  # type: ignore[type-var]  # a generator
        for given, _ in enumerate(itertools.islice(stream, 100)):
            ahead = max(ahead, drawn.count - given)
    assert 0 < ahead <= 6


def test_a_stream_that_is_left_early_leaves_the_pool_usable(pool: WorkPool) -> None:
    for _ in range(2):
        with closing(pool.imap(double, itertools.count(), async_fn=double_async)) as stream:  # type: ignore[type-var]  # a generator
            assert list(itertools.islice(stream, 3)) == [0, 2, 4]
    assert pool.map(double, range(5), async_fn=double_async) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("ordered", [True, False])
def test_the_error_of_a_task_ends_its_stream_and_no_other(pool: WorkPool, ordered: bool) -> None:
    with pytest.raises(KeyError) as caught:
        list(pool.imap(odd_fails, itertools.count(), ordered=ordered, async_fn=odd_fails_async))
    assert caught.value.args[0] % 2 == 1
    assert list(pool.imap(double, range(3), async_fn=double_async)) == [0, 2, 4]


def test_an_error_of_the_input_is_raised_as_it_is(pool: WorkPool) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        list(pool.imap(double, broken(), async_fn=double_async))
    assert pool.map(double, [4], async_fn=double_async) == [8]


@pytest.mark.parametrize("ordered", [True, False])
def test_collected_errors_know_their_items(pool: WorkPool, ordered: bool) -> None:
    how: dict[str, Any] = {"on_error": "collect", "ordered": ordered, "async_fn": odd_fails_async}
    for found in (pool.map(odd_fails, range(9), **how), list(pool.imap(odd_fails, range(9), **how))):
        errors = [result for result in found if isinstance(result, KeyError)]
        assert sorted(error.item_index for error in errors) == [1, 3, 5, 7]  # type: ignore[attr-defined]  # the pool puts it on each error
        assert all(error.item_index == error.args[0] for error in errors)  # type: ignore[attr-defined]  # the pool puts it on each error
        assert sorted(result for result in found if isinstance(result, int)) == [0, 2, 4, 6, 8]


def test_attempts_are_counted_wherever_they_run(pool: WorkPool, tmp_path: Path) -> None:
    folder = str(tmp_path)

    async def later(item: int) -> int:
        return second_time(folder, item)

    again: dict[str, Any] = {"retries": 1, "backoff": 0, "async_fn": later}
    assert pool.map(lambda item: second_time(folder, item), range(4), **again) == [0, 1, 2, 3]
    assert pool.retries == 4


def test_an_error_says_where_items_are_counted_in_another_order(pool: WorkPool, strategy: Strategy) -> None:
    if strategy.counts is Counts.ONE:
        return
    with pytest.raises(KeyError) as caught:
        pool.map(odd_fails, range(4), cost=float, async_fn=odd_fails_async)
    assert "the items were sent in another order" in caught.value.__notes__[0]  # type: ignore[attr-defined]  # Python 3.11


def test_a_balanced_partition_keeps_the_order_of_the_results(pool: WorkPool) -> None:
    how: dict[str, Any] = {"partition": "balanced", "async_fn": double_async}
    for cost in (None, float, lambda item: -(item - 10) + 10):
        assert pool.map(double, range(11), cost=cost, **how) == [2 * item for item in range(11)]
