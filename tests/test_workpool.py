"""The pool that a workload sees: what it hands over, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from pytest_parallelism.errors import TaskExit, TaskTimeout, Unsuitable, UsageError
from pytest_parallelism.strategy import Chunk, Counts, Isolation, Strategy
from pytest_parallelism.trace import Recorder
from pytest_parallelism.workpool import WorkPool


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


class StreamingPool(FakePool):
    """Streams backwards where order does not count, and notes the chunks."""

    def stream(
        self, fn: Callable[[Any], Any], chunks: Iterable[Chunk], **asked: Any
    ) -> Iterator[tuple[int, list[Any]]]:
        taken = list(chunks) if asked["in_flight"] is None else chunks
        self.asked = {"chunks": taken, **asked}
        for start, chunk in taken if asked["ordered"] else reversed(list(taken)):
            yield start, [fn(item) for item in chunk]


def strategy(**kwargs: Any) -> Strategy:
    kwargs = {"isolation": Isolation.THREAD, **kwargs}
    return Strategy(name="fake", open=lambda n, o: None, **kwargs)  # type: ignore[arg-type,return-value]  # never opened


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

    def test_what_is_dear_does_not_meet_in_one_chunk(self) -> None:
        pool = FakePool()
        items = [1] * 40 + [100, 90, 80, 70]
        made = view(pool, isolation=Isolation.PROCESS)
        assert made.map(double, items, cost=float) == [2 * item for item in items]
        asked = pool.asked["items"]
        chunks = [asked[start : start + 3] for start in range(0, len(asked), 3)]
        assert chunks[:4] == [[100, 1, 1], [90, 1, 1], [80, 1, 1], [70, 1, 1]]

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

    def test_an_engines_own_interface_is_there_and_counts_as_use_of_the_pool(self) -> None:
        class OfAnEngine(FakePool):
            native = "its client"

        made = view(OfAnEngine())
        with contextlib.closing(Recorder()) as recorder:
            made.recorder = recorder
            assert (made.used, made.native, made.used) == (False, "its client", True)
            assert recorder.unseen

    @pytest.mark.parametrize("how", [{}, {"counts": Counts.ONE, "isolation": Isolation.NONE}])
    def test_without_an_engine_a_workload_has_none_and_brings_its_own(self, how: dict[str, Any]) -> None:
        made = view(**how)
        assert (made.native or "pandas") == "pandas"
        assert not made.used

    def test_costs_must_be_numbers(self) -> None:
        with pytest.raises(UsageError, match=r"cost= must give a number of at least 0, not -1 \(item 1\)"):
            view().map(double, [1, -1], cost=lambda item: item)


class TestCollectedErrors:
    def test_have_the_index_of_their_item(self) -> None:
        (error,) = [
            r for r in view().map(fail_on_two, [1, 3, 2], on_error="collect") if not isinstance(r, int)
        ]
        assert (error.item_index, error.__notes__) == (2, ["item 2"])

    def test_have_it_where_results_come_in_another_order(self) -> None:
        pool = StreamingPool()
        found = view(pool).map(fail_on_two, [4, 2, 6], on_error="collect", ordered=False)
        assert found[0::2] == [6, 4]
        assert found[1].item_index == 1

    def test_have_it_where_the_dearest_start_first(self) -> None:
        assert view().map(fail_on_two, [1, 2, 3], on_error="collect", cost=float)[1].item_index == 1

    def test_are_not_what_a_function_returns(self) -> None:
        (found,) = view().map(lambda _: ValueError("a result"), [1], on_error="collect")
        assert not hasattr(found, "item_index")
        assert not hasattr(found, "__notes__")


class TestChunks:
    def test_without_order_results_come_as_they_are_there(self) -> None:
        assert view(StreamingPool()).map(double, [1, 2, 3], ordered=False) == [6, 4, 2]
        assert view(FakePool()).map(double, [1, 2, 3], ordered=False) == [2, 4, 6]

    def test_a_limit_for_each_task_makes_chunks_of_one(self) -> None:
        pool = StreamingPool()
        assert view(pool, limits_tasks=True).map(double, [1, 2], task_timeout=5, timeout=9) == [2, 4]
        assert pool.asked["chunks"] == [(0, [1]), (1, [2])]
        assert (pool.asked["task_timeout"], pool.asked["timeout"]) == (5, 9)

    def test_a_limit_for_each_task_is_refused_where_no_task_can_be_ended(self) -> None:
        for ask in (view().map, view().imap):
            with pytest.raises(Unsuitable, match="fake cannot end a single task: for task_timeout= use proc"):
                ask(double, [1], task_timeout=5)

    @pytest.mark.parametrize("pool", [FakePool, StreamingPool])
    def test_a_balanced_partition_is_one_chunk_a_worker(self, pool: Callable[[], FakePool]) -> None:
        made = pool()
        items = [1, 9, 3, 4, 5]
        assert view(made).map(double, items, partition="balanced", cost=float) == [2, 18, 6, 8, 10]
        parts = [[9], [5, 1], [4, 3]]
        asked = made.asked.get("items") or [chunk for _, chunk in made.asked["chunks"]]
        assert asked == parts

    def test_strategies_that_partition_do_it_unasked_and_keep_a_chunk_size(self) -> None:
        pool = StreamingPool()
        assert view(pool, partitions=True).map(double, range(5)) == [0, 2, 4, 6, 8]
        assert [chunk for _, chunk in pool.asked["chunks"]] == [[0, 3], [1, 4], [2]]
        view(pool, partitions=True).map(double, range(3), chunk_size=2)
        assert pool.asked["chunk_size"] == 2

    def test_nothing_of_this_reaches_the_sequential_arm(self) -> None:
        pool = FakePool()
        sequential = view(pool, counts=Counts.ONE, isolation=Isolation.NONE)
        for how in ({"partition": "balanced"}, {"task_timeout": 1, "timeout": 1}, {"cost": float}):
            assert sequential.map(double, [1, 3, 2], **how) == [2, 6, 4]
            assert pool.asked == {"items": [1, 3, 2], "chunk_size": None, "timeout": None}


class TestRetries:
    def test_are_counted_and_cost_the_result_nothing(self) -> None:
        failures = iter([ValueError(), ValueError()])

        def fn(item: int) -> int:
            for error in failures:
                raise error
            return item

        pool = view()
        assert pool.map(fn, [1, 2], retries=2, backoff=0) == [1, 2]
        assert pool.retries == 2

    def test_of_errors_that_are_collected_in_the_end_are_counted_too(self) -> None:
        pool = view()
        (_, error) = pool.map(fail_on_two, [1, 2], retries=2, backoff=0, on_error="collect")
        assert error.__notes__ == ["failed after 3 attempts", "item 1"]
        assert pool.retries == 2


class Drawn:
    """An endless iterable that knows how many items it gave."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        for self.count in itertools.count(1):
            yield self.count - 1


class TestStreams:
    def test_the_sequential_arm_is_a_lazy_loop(self) -> None:
        drawn = Drawn()
        stream = view(counts=Counts.ONE, isolation=Isolation.NONE).imap(double, drawn)
        for expected in range(5):
            assert next(stream) == 2 * expected
            assert drawn.count == expected + 1

    @pytest.mark.parametrize("error", [SystemExit(3), TaskExit("x")])
    def test_a_task_that_exits_has_failed_in_the_sequential_arm_too(self, error: BaseException) -> None:
        def leave(_: int) -> None:
            raise error

        with pytest.raises(TaskExit):
            next(view(counts=Counts.ONE, isolation=Isolation.NONE).imap(leave, [1]))

    def test_coroutine_functions_stream_in_the_sequential_arm(self) -> None:
        sequential = view(counts=Counts.ONE, isolation=Isolation.NONE)
        assert list(sequential.imap(double_later, [1, 2])) == [2, 4]

    @pytest.mark.parametrize(("how", "most"), [({}, 24), ({"chunk_size": 2, "in_flight": 5}, 4)])
    def test_pools_without_a_stream_map_windows(self, how: dict[str, Any], most: int) -> None:
        drawn, ahead = Drawn(), 0
        for given, result in enumerate(view().imap(double, drawn, **how)):
            assert result == 2 * given
            ahead = max(ahead, drawn.count - given)
            if given == 100:
                break
        assert ahead == most

    def test_a_time_limit_of_windows_is_named_as_what_the_caller_said(self) -> None:
        class Late(FakePool):
            def map(self, *_: Any, **__: Any) -> list[Any]:
                raise TaskTimeout("the map did not end within 0.1 s")

        with pytest.raises(TaskTimeout, match=r"the stream did not end within 5 s"):
            list(view(Late()).imap(double, [1], timeout=5))

    def test_errors_are_collected_in_their_places(self) -> None:
        found = list(view(StreamingPool()).imap(fail_on_two, [1, 2, 3], chunk_size=2, on_error="collect"))
        assert found[0::2] == [1, 3]
        assert found[1].item_index == 1

    @pytest.mark.parametrize(
        ("how", "sentence"),
        [
            ({"chunk_size": "auto"}, "imap does not know how many items will come"),
            ({"in_flight": 0}, "in_flight must be a whole number of at least 1, not 0"),
            ({"in_flight": 2, "chunk_size": 3}, "in_flight is 2 items, less than one chunk of 3"),
            ({"on_error": 3}, "on_error must be 'raise' or 'collect', not 3"),
        ],
    )
    def test_a_wrong_argument_is_one_sentence_at_the_call(self, how: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UsageError, match=sentence):
            view().imap(double, [1], **how)

    def test_what_is_no_iterable_is_said_at_the_call(self) -> None:
        with pytest.raises(UsageError, match="imap takes items to map over, not int"):
            view().imap(double, 3)  # type: ignore[arg-type]  # the mistake under test
