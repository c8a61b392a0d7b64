"""Items and results of megabytes: they arrive whole, and a worker killed in the middle of one is named."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.errors import WorkerLost
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import (
    HasExecutor,
    HasPids,
    HasStream,
    Isolation,
    Pool,
    Strategy,
    StrategyOptions,
)

KNOWN = load()
OPTIONS = StrategyOptions()
MB = 1 << 20
PROCESSES = [
    pytest.param(strategy, id=name)
    for name, strategy in KNOWN.items()
    if strategy.isolation is Isolation.PROCESS and not strategy.native_async and strategy.obstacle(2) is None
]


@pytest.fixture(params=PROCESSES)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    strategy: Strategy = request.param
    with strategy.open(2, OPTIONS) as opened:
        yield opened


def twice(item: Any) -> Any:
    return item + item


def many() -> Sequence[Any]:
    """Of sizes up and down, below and above those that are sent and kept apart, none like its neighbours."""
    some = random.Random(3)
    sizes = [10, 70_000, 3 * MB, 65_536, 5 * MB, 0, 65_535, MB, MB + 1, 4 * MB, 200_000]
    items: list[Any] = [bytes([index]) * size for index, size in enumerate(sizes, 1)]
    items += [item.decode("latin-1") for item in items[:7]]
    items += [bytearray(item) for item in items[:4]]
    items += [[items[1], index, items[7]] for index in range(3)]
    some.shuffle(items)
    return items


def test_large_and_small_items_arrive_whole(pool: Pool) -> None:
    items = many()
    expected = [item + item for item in items]
    for _ in range(2):
        assert pool.map(twice, items, chunk_size=1) == expected
    assert pool.map(twice, items, chunk_size=5) == expected


def test_large_results_of_a_stream_last(pool: Pool) -> None:
    assert isinstance(pool, HasStream)
    items = many()
    chunks = ((index, [item]) for index, item in enumerate(items))
    found = dict(pool.stream(twice, chunks, in_flight=3, ordered=False))
    assert [found[index] for index in range(len(items))] == [[item + item] for item in items]


def test_large_results_of_an_executor_last(pool: Pool) -> None:
    assert isinstance(pool, HasExecutor)
    items = many()
    futures = [pool.executor.submit(twice, item) for item in items]
    assert [future.result() for future in futures] == [item + item for item in items]


@pytest.mark.parametrize("name", ["processes-fork", "processes-queue", "process-pool-executor-fork"])
def test_what_changes_after_it_was_drawn_arrives_as_it_was(name: str) -> None:
    kept = [bytearray(b"a" * MB) for _ in range(8)]

    def items() -> Iterator[tuple[int, list[bytearray]]]:
        for index, item in enumerate(kept):
            yield index, [item]
            item[:] = b"b" * MB

    with KNOWN[name].open(2, OPTIONS) as pool:
        assert isinstance(pool, HasStream)
        found = [result for _, results in pool.stream(bytes, items(), in_flight=8) for result in results]
    assert found == [b"a" * MB] * 8


def large(item: bytes) -> bytes:
    return item * 20


def keep_on(pool: Pool) -> None:
    while True:
        pool.map(large, [b"x" * MB] * 40, chunk_size=1)


@pytest.mark.parametrize("moment", [0.05, 0.15])
def test_a_worker_killed_amid_large_results_is_named(pool: Pool, moment: float) -> None:
    assert isinstance(pool, HasPids)
    victim = pool.pids()[0]
    timer = threading.Timer(moment, os.kill, (victim, signal.SIGKILL))
    timer.start()
    with pytest.raises(WorkerLost, match=str(victim)):
        keep_on(pool)
    timer.join()


def leave_a_mark(folder: str) -> int:
    def mark() -> None:
        time.sleep(0.05)
        Path(folder, str(os.getpid())).touch()

    util.Finalize(None, mark, exitpriority=1)
    time.sleep(0.1)  # so that each worker gets one
    return os.getpid()


@pytest.mark.parametrize(
    "name",
    ["process-pool-executor-fork", "process-pool-executor-spawn", "multiprocessing-pool-fork", "processes"],
)
def test_workers_that_are_idle_do_at_their_end_what_they_have_to(name: str, tmp_path: Path) -> None:
    with KNOWN[name].open(2, OPTIONS) as pool:
        pids = set(pool.map(leave_a_mark, [str(tmp_path)] * 2, chunk_size=1))
    assert {int(path.name) for path in tmp_path.iterdir()} == pids
