"""The user's work: what one round does, and how untrue workloads are found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.errors import ItemsChanged, NotRepeatable, UsageError, WrongResult
from pytest_parallelism.measurement import Kind
from pytest_parallelism.strategy import Isolation, Strategy
from pytest_parallelism.workload import Workload, refuse_lazy
from pytest_parallelism.workpool import WorkPool


class FakePool:
    """Maps in turn."""

    workers = 3

    def map(self, fn: Callable[[Any], Any], items: Sequence[Any], **_: Any) -> list[Any]:
        return [fn(item) for item in items]


def view() -> WorkPool:
    fake = Strategy(name="fake", open=lambda n, o: None, isolation=Isolation.THREAD)  # type: ignore[arg-type,return-value]  # never opened
    return WorkPool(FakePool(), fake)


def double(x: int) -> int:
    return 2 * x


async def double_later(x: int) -> int:
    return 2 * x


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
            ({"ordered": "no"}, "ordered must be True or False, not 'no'"),
            ({"chunk_size": "atuo"}, "not 'atuo'. Did you mean 'auto'?"),
            ({"on_error": "colect"}, "not 'colect'. Did you mean 'collect'?"),
            ({"task_timeout": 0}, "task_timeout must be seconds above 0, not 0"),
            ({"partition": "even"}, "partition must be 'balanced', not 'even'"),
            ({"partition": "balanced", "chunk_size": 3}, "chunk_size=3 cannot hold beside it: leave one"),
            ({"retries": -1}, "retries must be a whole number of at least 0, not -1"),
            ({"retries": True}, "retries must be a whole number of at least 0, not True"),
            ({"backoff": -1}, "backoff must be seconds from 0, not -1"),
            ({"backoff": None}, "backoff must be seconds from 0, not None"),
            ({"cost": 3}, "cost= must be a function, not 3"),
            ({"async_fn": 3}, "async_fn= must be a function, not 3"),
            ({"initializer": 3}, "initializer= must be a plain function, not 3"),
            ({"initializer": double_later}, "must be a plain function, not double_later"),
            (
                {"initializer": len, "initargs": 3},
                "initargs= must be a tuple of arguments, not 3: write (3,)",
            ),
            ({"initargs": (3,)}, "arguments of initializer=, which is missing"),
            ({"baseline_timeout": "1s"}, "baseline_timeout must be seconds above 0, not '1s'"),
        ],
    )
    def test_a_wrong_argument_is_one_sentence(self, arguments: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UsageError) as caught:
            Workload.of_map(double, [1], **arguments)
        assert sentence in str(caught.value)

    def test_items_must_be_some(self) -> None:
        with pytest.raises(UsageError, match="a map of no items"):
            Workload.of_map(double, [])
        with pytest.raises(UsageError, match="a map takes items, one after another, not int"):
            Workload.of_map(double, 3)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(UsageError, match="takes a function and its items, not 3"):
            Workload.of_map(3, [1])  # type: ignore[arg-type]  # the mistake under test

    def test_measure_takes_a_plain_function(self) -> None:
        with pytest.raises(UsageError, match="plain function of the pool, not double_later"):
            Workload.of_call(double_later)  # type: ignore[arg-type]  # the mistake under test

    def test_measure_takes_bytes_in_all(self) -> None:
        assert Workload.of_call(lambda pool: None, size=5).size_bytes == 5
        with pytest.raises(UsageError, match="bytes in all"):
            Workload.of_call(lambda pool: None, size=len)  # type: ignore[arg-type]  # the mistake under test

    def test_an_initializer_gets_its_arguments(self) -> None:
        seen: list[int] = []
        workload = Workload.of_map(double, [1], initializer=seen.append, initargs=(3,))
        assert workload.initializer
        workload.initializer()
        assert seen == [3]

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
