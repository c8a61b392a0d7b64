"""The user's work: what one round does, and how untrue workloads are found out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.errors import ItemsChanged, NotRepeatable, Unsuitable, UsageError, WrongResult
from pytest_parallelism.measurement import Kind
from pytest_parallelism.strategy import Isolation, Strategy
from pytest_parallelism.workload import Workload, WorkPool, refuse_lazy


class FakePool:
    """Maps in turn and notes what it was asked."""

    workers = 3

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        self.asked = {"items": list(items), "chunk_size": chunk_size, "timeout": timeout}
        results = [fn(item) for item in items]
        return [asyncio.run(r) if asyncio.iscoroutine(r) else r for r in results]


def strategy(*, isolation: Isolation = Isolation.THREAD, native_async: bool = False) -> Strategy:
    return Strategy(name="fake", open=lambda n, o: None, isolation=isolation, native_async=native_async)  # type: ignore[arg-type,return-value]  # never opened


def view(pool: Any = None, **kwargs: Any) -> WorkPool:
    return WorkPool(pool or FakePool(), strategy(**kwargs))


def double(x: int) -> int:
    return 2 * x


async def double_later(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


def fail_on_two(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x


async def fail_on_two_later(x: int) -> int:
    return fail_on_two(x)


class TestPoolView:
    def test_has_the_pools_workers_and_the_strategys_name(self) -> None:
        assert view().workers == 3
        assert view().strategy == "fake"

    def test_hands_over_chunk_size_and_timeout(self) -> None:
        pool = FakePool()
        view(pool).map(double, range(3), chunk_size=2, timeout=5)
        assert pool.asked == {"items": [0, 1, 2], "chunk_size": 2, "timeout": 5.0}

    def test_auto_is_the_strategys_own_choice(self) -> None:
        pool = FakePool()
        view(pool).map(double, [1], chunk_size="auto")
        assert pool.asked["chunk_size"] is None

    def test_dearest_items_start_first_and_results_keep_their_places(self) -> None:
        pool = FakePool()
        assert view(pool).map(double, [1, 3, 2], cost=float) == [2, 6, 4]
        assert pool.asked["items"] == [3, 2, 1]

    def test_collected_errors_stand_in_their_places(self) -> None:
        results = view().map(fail_on_two, [1, 2, 3], on_error="collect")
        assert results[0::2] == [1, 3]
        assert isinstance(results[1], ValueError)

    def test_collected_errors_of_coroutines_too(self) -> None:
        results = view(native_async=True).map(fail_on_two_later, [1, 2], on_error="collect")
        assert isinstance(results[1], ValueError)

    def test_coroutine_functions_run_on_strategies_that_block(self) -> None:
        assert view().map(double_later, [1, 2]) == [2, 4]

    def test_event_loops_take_the_coroutine_twin(self) -> None:
        assert view(native_async=True).map(double, [1, 2], async_fn=double_later) == [2, 4]

    def test_event_loops_refuse_blocking_functions_in_one_sentence(self) -> None:
        with pytest.raises(Unsuitable, match="coroutine functions only, and double is not one: pass"):
            view(native_async=True).map(double, [1])

    def test_an_executor_is_there_or_its_absence_is_said(self) -> None:
        with pytest.raises(Unsuitable, match="fake has no concurrent"):
            _ = view().executor

        with ThreadPoolExecutor(1) as threads:

            class WithExecutor(FakePool):
                executor: Executor = threads

            assert view(WithExecutor()).executor is threads


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"chunk_size": 0}, "chunk_size must be a whole number"),
            ({"chunk_size": "big"}, "or 'auto', not 'big'"),
            ({"timeout": -1}, "timeout must be seconds above 0"),
            ({"on_error": "ignore"}, "'raise' or 'collect', not 'ignore'"),
            ({"setup": 3}, "setup= must be a function, not 3"),
            ({"equal": "=="}, "equal= must be a function"),
            ({"kind": "gpu"}, "kind= must be 'cpu', 'io' or 'mixed', not 'gpu'"),
            ({"size": -1}, "size= must be bytes"),
        ],
    )
    def test_a_wrong_argument_is_one_sentence(self, arguments: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UsageError) as caught:
            Workload.of_map(double, [1], **arguments)
        assert sentence in str(caught.value)

    def test_items_must_be_some(self) -> None:
        with pytest.raises(UsageError, match="got no items"):
            Workload.of_map(double, [])
        with pytest.raises(UsageError, match="items to map over, not int"):
            Workload.of_map(double, 3)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(UsageError, match="takes a function and its items, not 3"):
            Workload.of_map(3, [1])  # type: ignore[arg-type]  # the mistake under test

    def test_measure_takes_a_plain_function(self) -> None:
        with pytest.raises(UsageError, match="plain function of the pool, not double_later"):
            Workload.of_call(double_later)  # type: ignore[arg-type]  # the mistake under test

    def test_a_generator_is_materialized_once(self) -> None:
        workload = Workload.of_map(double, (x for x in range(3)))
        assert workload.items == [0, 1, 2]
        assert workload.run(view(), workload.prepare()) == [0, 2, 4]
        assert workload.run(view(), workload.prepare()) == [0, 2, 4]

    @pytest.mark.parametrize(
        ("items", "size", "expected"),
        [([b"ab", b"c"], None, 3), (["ab"], len, 2), ([1, 2], 10, 10), ([1, 2], None, None)],
    )
    def test_size_is_found_or_given(self, items: list[Any], size: Any, expected: int | None) -> None:
        assert Workload.of_map(double, items, size=size).size_bytes == expected

    def test_kind_can_be_stated(self) -> None:
        assert Workload.of_map(double, [1], kind="io").kind is Kind.IO


class TestSetup:
    def test_setup_may_give_fresh_items_and_teardown_follows(self) -> None:
        calls: list[str] = []

        def setup() -> Iterator[int]:
            calls.append("setup")
            return iter([5, 6])

        workload = Workload.of_map(double, [1, 2], setup=setup, teardown=lambda: calls.append("teardown"))
        assert workload.run(view(), workload.prepare()) == [10, 12]
        workload.clean()
        assert calls == ["setup", "teardown"]

    def test_setup_that_returns_nothing_keeps_the_items(self, tmp_path: Path) -> None:
        workload = Workload.of_map(double, [1], setup=(tmp_path / "out").mkdir)
        assert workload.prepare() == [1]

    def test_setup_that_returns_something_else_is_refused(self) -> None:
        for wrong, said in [(3, "3"), ("ab", "'ab'"), ([], "0 items"), ([1, 2, 3], "3 items")]:
            with pytest.raises(UsageError, match=f"setup= returned {said}: it must return None or as many"):
                Workload.of_map(double, [1, 2], setup=lambda found=wrong: found).prepare()


class TestTruth:
    @pytest.mark.parametrize(
        ("item", "change"),
        [
            ([2, 1], lambda x: x.sort()),
            ({"a": 1}, lambda x: x.clear()),
            (bytearray(b"ab"), lambda x: x.reverse()),
            (np.arange(3), lambda x: x.__setitem__(0, 9)),
        ],
    )
    def test_changed_items_are_named(self, item: Any, change: Callable[[Any], Any]) -> None:
        workload = Workload.of_map(change, ["same", item])
        before = workload.fingerprints(workload.items)
        change(item)
        with pytest.raises(ItemsChanged, match=r"changes its items: item 1 \(\w+\).*use setup="):
            workload.check_unchanged(workload.items, before)

    def test_items_that_stay_are_fine_and_opaque_ones_are_left_alone(self) -> None:
        items = [1, [2], Path("x"), np.zeros(3), (x for x in "ab")]
        workload = Workload.of_map(double, items)
        workload.check_unchanged(workload.items, workload.fingerprints(workload.items))

    def test_rounds_that_disagree_are_named(self) -> None:
        with pytest.raises(NotRepeatable, match=r"(?s)of double disagree; use setup=.*difference at \[1\]"):
            Workload.of_map(double, [1]).check_repeats([1, 2], [1, 3])

    def test_a_wrong_result_shows_the_first_difference(self) -> None:
        workload = Workload.of_map(double, [1])
        with pytest.raises(WrongResult) as caught:
            workload.check_same([1, 2, 3], [1, 3, 2], "threads-w2")
        assert str(caught.value) == (
            "threads-w2 gives another result than the sequential run of double\n"
            "first difference at [1]:\n  sequential  2\n  threads-w2  3"
        )

    def test_order_counts_unless_it_is_given_up(self) -> None:
        Workload.of_map(double, [1], ordered=False).check_same([1, 2], [2, 1], "threads-w2")

    def test_the_users_own_equality_decides(self) -> None:
        close = Workload.of_map(double, [1], equal=lambda a, b: abs(a[0] - b[0]) < 1)
        close.check_same([1.0], [1.5], "threads-w2")
        with pytest.raises(WrongResult):
            close.check_same([1.0], [3.0], "threads-w2")
        with pytest.raises(WrongResult, match="equal= said that the results differ"):
            Workload.of_map(double, [1], equal=lambda a, b: False).check_same([1], [1], "threads-w2")

    @pytest.mark.parametrize("lazy", [(x for x in "ab"), [(x for x in "ab")]])
    def test_a_result_that_has_not_run_yet_is_refused(self, lazy: Any) -> None:
        with pytest.raises(UsageError, match="returns a generator, which has not run yet"):
            refuse_lazy(lazy)

    def test_so_is_an_iterator(self) -> None:
        with pytest.raises(UsageError, match="returns a map, which has not run yet"):
            refuse_lazy(map(double, [1]))
