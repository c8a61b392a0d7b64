"""Map options that need a fresh pool, on every strategy of ours that runs on this machine."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.envelope import Initializing
from pytest_parallelism.errors import PoolError, TaskTimeout, Unsuitable
from pytest_parallelism.strategy import Counts, HasStream, Strategy
from pytest_parallelism.workpool import WorkPool

HERE = sys.modules[__name__]
Opened = Callable[..., AbstractContextManager[Any]]


def double(item: int) -> int:
    return 2 * item


async def double_async(item: int) -> int:
    return 2 * item


def test_one_task_can_be_limited_or_its_strategy_says_what_to_use(strategy: Strategy, opened: Opened) -> None:
    how: dict[str, Any] = {"task_timeout": 0.3, "async_fn": hung_async}
    if strategy.counts is Counts.ONE:
        return
    with opened(strategy, HERE) as inner:
        pool = WorkPool(inner, strategy)
        if not strategy.limits_tasks:
            with pytest.raises(Unsuitable, match="cannot end a single task: for task_timeout= use processes"):
                pool.map(hung, range(4), **how)
            return
        with pytest.raises(TaskTimeout, match=r"item \d" if strategy.partitions else "item 2"):
            pool.map(hung, range(4), **how)
        try:
            assert pool.map(double, [4], async_fn=double_async) == [8]
        except PoolError as error:
            assert "has ended" in str(error)  # noqa: PT017 - both ends are right


def hung(item: int) -> int:
    if item == 2:
        threading.Event().wait()
    return item


async def hung_async(item: int) -> int:
    if item == 2:
        await asyncio.Event().wait()
    return item


def note_worker(folder: str) -> None:
    """Leaves a file for each call."""
    for number in itertools.count():
        path = Path(folder, f"{os.getpid()}-{threading.get_ident()}-{number}")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return


def test_an_initializer_runs_once_in_each_worker_while_the_pool_opens(
    strategy: Strategy, opened: Opened, tmp_path: Path
) -> None:
    with opened(strategy, HERE, initializer=Initializing(note_worker, (str(tmp_path),))) as inner:
        calls = sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir())
        assert len(calls) == len(set(calls)) <= inner.workers
        ran = WorkPool(inner, strategy).map(where, range(20), chunk_size=1, async_fn=where_async)
        assert set(ran) <= set(calls)
        assert len(list(tmp_path.iterdir())) == len(calls)


def where(_item: int) -> str:
    return f"{os.getpid()}-{threading.get_ident()}"


async def where_async(_item: int) -> str:
    return where(_item)


def test_the_error_of_an_initializer_is_its_own_and_says_what_it_was(
    strategy: Strategy, opened: Opened
) -> None:
    with pytest.raises(ZeroDivisionError) as caught, opened(strategy, HERE, initializer=Initializing(divide)):
        raise AssertionError("it opened")
    assert "raised by initializer=" in caught.value.__notes__[0]  # type: ignore[attr-defined]  # Python 3.11


def divide() -> float:
    return 1 / 0


def late(folder: str, item: int) -> int:
    """Item 0 ends only when another has begun."""
    Path(folder, str(item)).touch()
    while item == 0 and alone(folder):
        threading.Event().wait(0.001)
    return item


def alone(folder: str) -> bool:
    return len(list(Path(folder).iterdir())) < 2


def test_completion_order_does_not_wait_for_the_first(
    strategy: Strategy, opened: Opened, tmp_path: Path
) -> None:
    """Where the pool has a stream: the first item ends only when another has begun."""
    folder = str(tmp_path)

    async def later(item: int) -> int:
        Path(folder, str(item)).touch()
        while item == 0 and alone(folder):
            await asyncio.sleep(0.001)
        return item

    with opened(strategy, HERE) as inner:  # whose workers are all idle
        if not isinstance(inner, HasStream):
            return
        pool = WorkPool(inner, strategy)  # type: ignore[arg-type]  # narrowed to a stream only
        found = pool.imap(lambda item: late(folder, item), range(4), ordered=False, async_fn=later)
        assert sorted(found) == [0, 1, 2, 3]
