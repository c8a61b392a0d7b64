"""What every strategy promises, as tests; a strategy of your own joins with a few lines::

    from pytest_parallelism import StrategyConformance

    class TestMine(StrategyConformance):
        @pytest.fixture
        def strategy(self):
            return MINE

What no strategy without process isolation can survive is not asked of it: a worker that ends its process.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing.util
import operator
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..errors import NotTransferable, ParallelismError, TaskExit, TaskTimeout, WorkerLost
from ..strategy import Counts, HasExecutor, HasPids, Isolation, Pool, Strategy, StrategyOptions
from ._traces import leftovers, remaining

__all__ = ["StrategyConformance"]

_OUTSIDE = (Isolation.PROCESS, Isolation.REMOTE)


class _OwnError(Exception):
    """An exception that pickle alone cannot carry: its class wants other arguments than it keeps."""

    def __init__(self, item: int, *, hint: str) -> None:
        super().__init__(f"item {item} is wrong")
        self.hint = hint


class _Multiplier:
    """Has a method to send."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, item: int) -> int:
        """A bound method."""
        return self.factor * item


def _double(item: int) -> int:
    """A module-level function."""
    return 2 * item


def _nested(offset: int) -> Callable[[int], int]:
    """A function that closes over a value and calls another inner one."""

    def inner(item: int) -> int:
        return item + offset

    def outer(item: int) -> int:
        return inner(item)

    return outer


_FUNCTIONS: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "module": (_double, _double),
    "nested": (_nested(5), _nested(5)),
    "lambda": (lambda item: item - 1, lambda item: item - 1),
    "partial": (functools.partial(operator.mul, 3), lambda item: 3 * item),
    "method": (_Multiplier(7).times, lambda item: 7 * item),
    "builtin": (str, str),
}


def _fail_at_two(item: int) -> int:
    """Fails for item 2 with an error of its own."""
    if item == 2:
        raise _OwnError(item, hint="look there")
    return item


def _leave(kind: type[BaseException], item: int) -> int:
    """Tries to end the interpreter at item 1."""
    if item == 1:
        raise kind(3)
    return item


def _die(how: str, item: int) -> int:
    """Ends its process at item 3."""
    if item == 3:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(int(how))
    return item


def _meet(folder: str, workers: int, patience: float, ticket: int) -> tuple[int, int, bool]:
    """Waits for the others of its group of ``workers`` tickets; who ran it, and whether they came.

    It then stays a moment, in which a worker too many takes the next ticket and is seen.
    """
    Path(folder, str(ticket)).touch()
    needed = (ticket // workers + 1) * workers
    end = time.monotonic() + patience
    while (came := len(os.listdir(folder))) < needed and time.monotonic() < end:  # noqa: PTH208  # polled: no object an entry
        time.sleep(0.001)
    time.sleep(0.03)
    return os.getpid(), threading.get_ident(), came >= needed


def _as_task(strategy: Strategy, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function as the strategy takes it: event loops want coroutine functions."""
    if not strategy.native_async:
        return fn

    async def task(item: Any) -> Any:
        return fn(item)

    return task


class StrategyConformance:
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
        return StrategyOptions(by_value=(sys.modules[__name__],))

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
        with strategy.open(_counted(strategy, workers), options) as pool:
            found = pool.map(_as_task(strategy, _double), range(20), chunk_size=chunk_size)
        assert found == [_double(item) for item in range(20)]

    def test_no_items_give_no_results(self, strategy: Strategy, options: StrategyOptions) -> None:
        """An empty list, not an error."""
        with strategy.open(1, options) as pool:
            assert pool.map(_as_task(strategy, _double), []) == []

    def test_the_tasks_own_exception_is_raised_and_the_pool_survives(
        self, strategy: Strategy, options: StrategyOptions
    ) -> None:
        """The very class, message and attributes; afterwards the pool works."""
        with strategy.open(_counted(strategy, 2), options) as pool:
            with pytest.raises(_OwnError, match="item 2 is wrong") as caught:
                pool.map(_as_task(strategy, _fail_at_two), range(4), chunk_size=1)
            assert (caught.value.args, caught.value.hint) == (("item 2 is wrong",), "look there")
            assert pool.map(_as_task(strategy, _double), range(4)) == [0, 2, 4, 6]

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_a_task_that_exits_has_failed(
        self, strategy: Strategy, options: StrategyOptions, kind: type[BaseException]
    ) -> None:
        """It never ends the run."""
        with strategy.open(_counted(strategy, 2), options) as pool:
            with pytest.raises(TaskExit, match=kind.__name__):
                pool.map(_as_task(strategy, functools.partial(_leave, kind)), range(4), chunk_size=1)
            assert pool.map(_as_task(strategy, _double), [4]) == [8]

    @pytest.mark.parametrize("name", _FUNCTIONS)
    def test_any_function_runs(self, strategy: Strategy, options: StrategyOptions, name: str) -> None:
        """Closures, lambdas, partials, methods."""
        fn, same = _FUNCTIONS[name]
        with strategy.open(1, options) as pool:
            assert pool.map(_as_task(strategy, fn), range(5)) == [same(item) for item in range(5)]

    def test_coroutine_functions_run(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Natively, or on an event loop of their own in the worker."""

        async def slowly(item: int) -> int:
            await asyncio.sleep(0)
            return item + 1

        with strategy.open(_counted(strategy, 2), options) as pool:
            assert pool.map(slowly, range(5)) == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("workers", [1, 2, 4])
    def test_exactly_that_many_workers_run_at_once(
        self, strategy: Strategy, options: StrategyOptions, workers: int, tmp_path: Path
    ) -> None:
        """Where the isolation says, also when there is one."""
        count = _counted(strategy, workers)
        with strategy.open(count, options) as pool:
            assert pool.workers == count
            if strategy.native_async:
                assert _most_in_flight(pool, count) == count
                return
            task = functools.partial(_meet, str(tmp_path), count, self.patience)
            seen = pool.map(task, range(4 * count), chunk_size=1)
        assert all(met for _, _, met in seen), f"{count} workers never ran at once"
        self._check_places(strategy.isolation, count, [(pid, thread) for pid, thread, _ in seen])

    def test_worker_pids_are_those_that_run(
        self, strategy: Strategy, options: StrategyOptions, tmp_path: Path
    ) -> None:
        """Where a pool tells them."""
        with strategy.open(_counted(strategy, 2), options) as pool:
            if isinstance(pool, HasPids):
                task = functools.partial(_meet, str(tmp_path), pool.workers, self.patience)
                seen = pool.map(task, range(4 * pool.workers), chunk_size=1)
                assert set(pool.pids()) == {pid for pid, _, _ in seen}

    def test_an_executor_runs_any_function(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Where a pool has one; it survives its own ``with``."""
        with strategy.open(_counted(strategy, 2), options) as pool:
            if not isinstance(pool, HasExecutor):
                return
            for _ in range(2):
                with pool.executor as executor:
                    futures = [executor.submit(_nested(item), 1) for item in range(4)]
                    assert [future.result() for future in futures] == [1, 2, 3, 4]
                    assert list(executor.map(operator.add, [1, 2], [3, 4])) == [4, 6]
                    with pytest.raises(_OwnError):
                        executor.submit(_fail_at_two, 2).result()

    def test_a_hung_task_ends_in_a_timeout(self, strategy: Strategy, options: StrategyOptions) -> None:
        """Whose pool then works or says that it has ended; sequential notices between two items."""
        release = threading.Event()
        hung, timeout = _hung(strategy, release)
        try:
            with strategy.open(_counted(strategy, 2), options) as pool:
                with pytest.raises(TaskTimeout):
                    pool.map(hung, range(4), timeout=timeout)
                _check_ended_or_usable(strategy, pool)
        finally:
            release.set()

    @pytest.mark.parametrize("how", ["killed", "3", "0"])
    def test_a_lost_worker_is_named(self, strategy: Strategy, options: StrategyOptions, how: str) -> None:
        """Its process id, and how it ended."""
        if strategy.isolation not in _OUTSIDE:
            pytest.skip(f"a task of {strategy.name} that ends its process ends this one")
        with strategy.open(2, options) as pool:
            pids = pool.pids() if isinstance(pool, HasPids) else ()
            with pytest.raises(WorkerLost) as caught:
                pool.map(functools.partial(_die, how), range(8), chunk_size=1)
            if pids:
                assert any(str(pid) in str(caught.value) for pid in pids)
                assert ("SIGKILL" if how == "killed" else f"exit code {how}") in str(caught.value)
            _check_ended_or_usable(strategy, pool)

    def test_what_cannot_travel_is_named(self, strategy: Strategy, options: StrategyOptions) -> None:
        """A result, an item and a function; strategies in this process send nothing."""
        lock = threading.Lock()
        with strategy.open(_counted(strategy, 1), options) as pool:
            if strategy.isolation not in _OUTSIDE:
                assert pool.map(_as_task(strategy, lambda item: item), [lock]) == [lock]
                return
            with pytest.raises(NotTransferable, match="result of item 2"):
                pool.map(lambda item: threading.Lock() if item == 2 else item, range(4))
            with pytest.raises(NotTransferable, match="item 1"):
                pool.map(_double, [1, lock])
            with pytest.raises(NotTransferable, match="cannot be sent"):
                pool.map(lambda _: lock, range(4))
            assert pool.map(_double, [4]) == [8]

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
            with strategy.open(_counted(strategy, 2), options) as pool:
                pool.map(_as_task(strategy, _double), range(10))
                if end == "exception":
                    raise _OwnError(0, hint="")
                if end == "timeout":
                    hung, timeout = _hung(strategy, release)
                    with pytest.raises(TaskTimeout):
                        pool.map(hung, range(4), timeout=timeout)
                    release.set()
        except _OwnError:
            assert end == "exception"
        finally:
            release.set()
        assert remaining(before, tmp_path) == set()

    def _check_places(self, isolation: Isolation, workers: int, seen: Sequence[tuple[int, int]]) -> None:
        pids = {pid for pid, _ in seen}
        if isolation in _OUTSIDE:
            assert os.getpid() not in pids, "tasks ran in the parent"
            assert not self.lasting_workers or len(set(seen)) == workers
        elif isolation is Isolation.NONE:
            assert set(seen) == {(os.getpid(), threading.get_ident())}
        else:
            assert pids == {os.getpid()}
            assert threading.get_ident() not in {thread for _, thread in seen}, "tasks ran in the caller"
            assert len(set(seen)) == workers


def _counted(strategy: Strategy, workers: int) -> int:
    """The count that the strategy takes."""
    return 1 if strategy.counts is Counts.ONE else workers


def _most_in_flight(pool: Pool, workers: int) -> int:
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


def _check_ended_or_usable(strategy: Strategy, pool: Pool) -> None:
    """After a fault a pool gives right results or says that it has ended."""
    try:
        assert pool.map(_as_task(strategy, _double), [4]) == [8]
    except ParallelismError as exc:
        assert "has ended" in str(exc)  # noqa: PT017  # both ends are right


def _hung(strategy: Strategy, release: threading.Event) -> tuple[Callable[[Any], Any], float]:
    """A task that does not end by itself, and the timeout to give; threads are released by the event."""
    if strategy.native_async:

        async def for_ever(_item: int) -> None:
            await asyncio.Event().wait()

        return for_ever, 0.05
    if strategy.isolation in _OUTSIDE:
        return lambda _item: time.sleep(10**6), 0.5
    if strategy.counts is Counts.ONE:
        return _double, 0.0
    return lambda _item: release.wait(), 0.05
