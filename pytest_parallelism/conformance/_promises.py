"""What every strategy promises about maps."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing.util
import operator
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..errors import NotTransferable, ParallelismError, TaskExit, TaskTimeout, WorkerLost
from ..strategy import Counts, HasExecutor, HasPids, Isolation, Pool, Strategy, StrategyOptions
from ._tasks import (
    APART,
    FUNCTIONS,
    MEETINGS,
    OUTSIDE,
    OwnError,
    as_task,
    counted,
    die,
    double,
    fail_at_two,
    hung_task,
    leave,
    meet,
    meet_awaiting,
    nested,
)
from ._traces import lasting, leftovers

__all__ = ["Promises"]

_GRACE_SECONDS = 2.0
"""How long what was ended or released may take to be gone."""


class Promises:
    """Tests of one strategy; a subclass gives it as the fixture ``strategy``."""

    patience = 30.0
    """Seconds after which workers that should meet are missing."""
    lasting_workers = True
    """False for an engine that starts a new process for each task."""

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy to test."""
        raise NotImplementedError(f"{type(self).__name__} must give the fixture 'strategy'")

    @pytest.fixture
    def options(self) -> StrategyOptions:
        """Options to open it with; our own functions go by value, as those of a test module do."""
        return StrategyOptions(by_value=(sys.modules[__name__.rpartition(".")[0]],))

    @pytest.fixture(autouse=True)
    def _can_run(self, strategy: Strategy) -> None:
        obstacle = strategy.obstacle(1)
        if obstacle:
            pytest.skip(obstacle)

    @pytest.mark.parametrize("chunk_size", [None, 1, 3, 100])
    @pytest.mark.parametrize("workers", [1, 2])
    def test_results_are_in_the_order_of_the_items(
        self, strategy: Strategy, options: StrategyOptions, workers: int, chunk_size: int | None
    ) -> None:
        """Whatever the chunks."""
        with strategy.open(counted(strategy, workers), options) as pool:
            found = pool.map(as_task(strategy, double), range(20), chunk_size=chunk_size)
        assert found == [double(item) for item in range(20)]

    def test_no_items_give_no_results(self, strategy: Strategy, options: StrategyOptions) -> None:
        """An empty list, not an error."""
        with strategy.open(1, options) as pool:
            assert pool.map(as_task(strategy, double), []) == []

    def test_the_tasks_own_exception_is_raised_and_the_pool_survives(
        self, strategy: Strategy, options: StrategyOptions
    ) -> None:
        """The very class, message and attributes; afterwards the pool works."""
        with strategy.open(counted(strategy, 2), options) as pool:
            with pytest.raises(OwnError, match="item 2 is wrong") as caught:
                pool.map(as_task(strategy, fail_at_two), range(4), chunk_size=1)
            assert (caught.value.args, caught.value.hint) == (("item 2 is wrong",), "look there")
            assert pool.map(as_task(strategy, double), range(4)) == [0, 2, 4, 6]

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_a_task_that_exits_has_failed(
        self, strategy: Strategy, options: StrategyOptions, kind: type[BaseException]
    ) -> None:
        """It never ends the run."""
        with strategy.open(counted(strategy, 2), options) as pool:
            with pytest.raises(TaskExit, match=kind.__name__):
                pool.map(as_task(strategy, functools.partial(leave, kind)), range(4), chunk_size=1)
            assert pool.map(as_task(strategy, double), [4]) == [8]

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_any_function_runs(self, strategy: Strategy, options: StrategyOptions, name: str) -> None:
        """Closures, lambdas, partials, methods."""
        fn, same = FUNCTIONS[name]
        with strategy.open(1, options) as pool:
            assert pool.map(as_task(strategy, fn), range(5)) == [same(item) for item in range(5)]

    def test_coroutine_functions_run(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Natively, or on an event loop of their own in the worker."""

        async def slowly(item: int) -> int:
            await asyncio.sleep(0)
            return item + 1

        with strategy.open(counted(strategy, 2), options) as pool:
            assert pool.map(slowly, range(5)) == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("workers", [1, 2, 4])
    def test_exactly_that_many_workers_run_at_once(
        self, strategy: Strategy, options: StrategyOptions, workers: int, tmp_path: Path
    ) -> None:
        """Where the isolation says, also when there is one."""
        count = counted(strategy, workers)
        with strategy.open(count, options) as pool:
            assert pool.workers == count or strategy.counts is Counts.OWN
            if strategy.native_async and strategy.isolation not in OUTSIDE:
                assert most_in_flight(pool, count) == count
                return
            # Of these, nobody can say how many tasks run at once: parallel inside of each, or as they choose.
            count = 1 if strategy.inside or strategy.counts is Counts.OWN else count
            together = meet_awaiting if strategy.native_async else meet
            task = functools.partial(together, str(tmp_path), count, self.patience)
            seen = pool.map(task, range((MEETINGS + 1) * count), chunk_size=1)
        assert all(met for _, _, met in seen), f"not {count} workers ran at once"
        if strategy.native_async or strategy.counts is Counts.OWN:
            assert os.getpid() not in {pid for pid, _, _ in seen}, "tasks ran in the parent"
            return
        self._check_places(strategy.isolation, count, [(pid, thread) for pid, thread, _ in seen])

    def test_worker_pids_are_those_that_run(
        self, strategy: Strategy, options: StrategyOptions, tmp_path: Path
    ) -> None:
        """Where a pool tells them."""
        with strategy.open(counted(strategy, 2), options) as pool:
            if not isinstance(pool, HasPids):
                return
            own = strategy.counts is Counts.OWN  # it need not use all that it has
            together = meet_awaiting if strategy.native_async else meet
            task = functools.partial(together, str(tmp_path), 1 if own else pool.workers, self.patience)
            tickets = range((MEETINGS + 1) * pool.workers)
            seen = {pid for pid, _, _ in pool.map(task, tickets, chunk_size=1)}
            assert set(pool.pids()) >= seen if own else set(pool.pids()) == seen

    def test_an_executor_runs_any_function(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Where a pool has one; it survives its own ``with``."""
        with strategy.open(counted(strategy, 2), options) as pool:
            if not isinstance(pool, HasExecutor):
                return
            for _ in range(2):
                with pool.executor as executor:
                    futures = [executor.submit(nested(item), 1) for item in range(4)]
                    assert [future.result() for future in futures] == [1, 2, 3, 4]
                    assert list(executor.map(operator.add, [1, 2], [3, 4])) == [4, 6]
                    with pytest.raises(OwnError):
                        executor.submit(fail_at_two, 2).result()

    def test_a_hung_task_ends_in_a_timeout(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Whose pool then works or says that it has ended; sequential notices between two items."""
        release = threading.Event()
        hung, timeout = hung_task(strategy, release)
        try:
            with strategy.open(counted(strategy, 2), options) as pool:
                with pytest.raises(TaskTimeout):
                    pool.map(hung, range(4), timeout=timeout)
                check_ended_or_usable(strategy, pool)
        finally:
            release.set()

    @pytest.mark.parametrize("how", ["killed", "3", "0"])
    def test_a_lost_worker_is_named(self, strategy: Strategy, options: StrategyOptions, how: str) -> None:
        """Its process id and, where it is a child of this process, how it ended."""
        if strategy.isolation not in OUTSIDE:
            pytest.skip(f"a task of {strategy.name} that ends its process ends this one")
        with strategy.open(2, options) as pool:
            pids = pool.pids() if isinstance(pool, HasPids) else ()
            with pytest.raises(WorkerLost) as caught:
                pool.map(as_task(strategy, functools.partial(die, how)), range(8), chunk_size=1)
            if pids:
                assert any(str(pid) in str(caught.value) for pid in pids)
            if pids and strategy.isolation is not Isolation.REMOTE:
                assert ("SIGKILL" if how == "killed" else f"exit code {how}") in str(caught.value)
            check_ended_or_usable(strategy, pool)

    def test_what_cannot_travel_is_named(self, strategy: Strategy, options: StrategyOptions) -> None:
        """A result, an item and a function; strategies in this process send nothing."""
        lock = threading.Lock()
        with strategy.open(counted(strategy, 1), options) as pool:
            if strategy.isolation not in APART:
                assert pool.map(as_task(strategy, lambda item: item), [lock]) == [lock]
                return
            with pytest.raises(NotTransferable, match="result of item 2"):
                pool.map(as_task(strategy, lambda x: threading.Lock() if x == 2 else x), range(4))
            with pytest.raises(NotTransferable, match="item 1"):
                pool.map(as_task(strategy, double), [1, lock])
            with pytest.raises(NotTransferable, match="cannot be sent"):
                pool.map(as_task(strategy, lambda _: lock), range(4))
            assert pool.map(as_task(strategy, double), [4]) == [8]

    @pytest.mark.parametrize("end", ["closed", "exception", "timeout"])
    def test_nothing_is_left(
        self,
        strategy: Strategy,
        options: StrategyOptions,
        end: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """No process, thread, shared memory or temporary file."""
        multiprocessing.util.get_temp_dir()  # made once a session, and its own to remove at exit
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        release = threading.Event()
        before = leftovers(tmp_path)
        try:
            with strategy.open(counted(strategy, 2), options) as pool:
                pool.map(as_task(strategy, double), range(10))
                if end == "exception":
                    raise OwnError(0, hint="")
                if end == "timeout":
                    hung, timeout = hung_task(strategy, release)
                    with pytest.raises(TaskTimeout):
                        pool.map(hung, range(4), timeout=timeout)
                    release.set()
        except OwnError:
            assert end == "exception"
        finally:
            release.set()
        assert lasting(lambda: leftovers(tmp_path) - before, _GRACE_SECONDS) == set()

    def _check_places(self, isolation: Isolation, workers: int, seen: Sequence[tuple[int, int]]) -> None:
        pids = {pid for pid, _ in seen}
        if isolation in OUTSIDE:
            assert os.getpid() not in pids, "tasks ran in the parent"
            assert not self.lasting_workers or len(set(seen)) == workers
        elif isolation is Isolation.NONE:
            assert set(seen) == {(os.getpid(), threading.get_ident())}
        else:
            assert pids == {os.getpid()}
            assert threading.get_ident() not in {thread for _, thread in seen}, "tasks ran in the caller"
            assert len(set(seen)) == workers


def most_in_flight(pool: Pool, workers: int) -> int:
    """How many coroutines were in flight at once at most; each waits until as many as allowed are."""
    now, most, turns = 0, 0, 0

    async def task(_item: int) -> None:
        nonlocal now, most, turns
        now += 1
        most = max(most, now)
        for turns in range(1000):  # noqa: B007  # so many turns of the loop let every worker begin
            if now >= workers:
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= 1

    pool.map(task, range(4 * workers))
    return most


def check_ended_or_usable(strategy: Strategy, pool: Pool) -> None:
    """After a fault a pool gives right results or says that it has ended."""
    try:
        assert pool.map(as_task(strategy, double), [4]) == [8]
    except ParallelismError as exc:
        assert "has ended" in str(exc)  # noqa: PT017  # both ends are right
