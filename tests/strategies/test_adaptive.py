"""The adaptive strategy: how it chooses, and that its count follows the load of others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.registry import load
from pytest_parallelism.resources import usable_cores
from pytest_parallelism.resources.load import Load, LoadMeter
from pytest_parallelism.strategies._adaptive import AdaptivePool, choice
from pytest_parallelism.strategy import StrategyOptions

ADAPTIVE = load()["adaptive"]
PATIENCE = 30.0


@pytest.mark.parametrize(
    ("cores", "foreign", "share", "now", "expected"),
    [
        (4, 0.0, 1.0, 4, 4),
        (4, 2.0, 1.0, 4, 2),
        (4, 4.0, 1.0, 4, 1),
        (4, 0.5, 1.0, 4, 4),
        (4, 0.0, 1.0, 2, 4),
        (4, 0.0, 0.5, 4, 8),
        (4, 0.0, 0.01, 4, 32),
        (1, 3.0, 1.0, 1, 1),
    ],
)
def test_it_feeds_as_many_as_keep_the_free_cores_busy(
    cores: int, foreign: float, share: float, now: int, expected: int
) -> None:
    assert choice(cores, foreign, share, now, 32)[0] == expected


def test_it_stays_below_its_limit() -> None:
    assert choice(4, 0.0, 0.1, 4, 6)[0] == 6


def test_it_says_why() -> None:
    assert choice(4, 2.0, 0.5, 4, 32)[1] == (
        "4 usable cores, of which others use 2.0; a worker computes 50% of its time"
    )


def test_a_wrong_limit_is_one_sentence() -> None:
    with (
        pytest.raises(UsageError, match="most must be a whole number"),
        ADAPTIVE.open(1, StrategyOptions(extra={"most": 0})),
    ):
        pass


class Told:
    """A load that a test sets: cores that others use; workers compute a share of their time."""

    def __init__(self, pool: AdaptivePool, share: float = 1.0) -> None:
        self.foreign = 0.0
        self._pool = pool
        self._share = share
        self._then = 0.0

    def since(self, _workers: Sequence[int], least: float) -> Load | None:
        now = self._pool._crew.busy_seconds()
        if self._share < 1.0 and now - self._then < least:
            return None  # as the real one does: of a moment no share can be told
        computed, self._then = self._share * (now - self._then), now
        return Load(seconds=1.0, foreign=self.foreign, computed=computed, delayed=0.0)


def opened(most: int) -> AbstractContextManager[Any]:
    return ADAPTIVE.open(1, StrategyOptions(extra={"most": most}))


def nap(_item: int) -> int:
    time.sleep(0.002)
    return os.getpid()


def test_its_count_follows_the_load_of_others() -> None:
    """Load comes and goes between the chunks of one map, and from map to map."""
    cores = usable_cores().usable
    with opened(cores) as pool:
        pool.meter = told = Told(pool)
        assert pool.map(nap, range(20), chunk_size=1)
        assert pool.workers == cores
        told.foreign = float(cores)
        seen = pool.map(nap, range(200), chunk_size=1)
        assert pool.workers == 1
        assert len(set(seen[100:])) == 1, "workers that are not wanted were fed"
        told.foreign = 0.0
        assert len(set(pool.map(nap, range(200), chunk_size=1))) == cores
        assert pool.info()["chosen"] == (f"{cores} 1 {cores}" if cores > 1 else "1")
        assert pool.info()["why"].startswith(f"{cores} usable core")


def test_tasks_that_wait_get_more_workers_than_cores() -> None:
    cores = usable_cores().usable
    with opened(3 * cores) as pool:
        pool.meter = Told(pool, share=0.2)
        while pool.workers < 3 * cores:
            pool.map(nap, range(200), chunk_size=1)
        assert len(set(pool.map(nap, range(200), chunk_size=1))) == len(pool.pids()) == 3 * cores


def test_the_load_of_others_is_seen() -> None:
    """Real processes that compute; how much of a busy machine they get is not ours to say."""
    meter = LoadMeter()
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        limit = time.monotonic() + PATIENCE
        found = None
        while (found is None or (found.foreign or 0.0) < 0.5) and time.monotonic() < limit:
            time.sleep(0.01)
            found = meter.since((), 0.2)
        assert found is not None
        assert found.foreign is not None
        assert found.foreign >= 0.5
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_our_own_work_is_not_the_load_of_others() -> None:
    with opened(2) as pool:
        meter = LoadMeter()
        meter.since(pool.pids(), 0.0)
        pool.map(compute, range(20), chunk_size=1)
        found = meter.since(pool.pids(), 0.0)
        assert found is not None
        assert found.computed >= 0.4


def compute(_item: int) -> None:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
