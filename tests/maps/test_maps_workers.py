"""Which workers `parallel_map` and `threaded_map` start, and how many."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from pytest_parallelism import parallel_map, registry, threaded_map
from pytest_parallelism.errors import UsageError
from pytest_parallelism.resources import usable_cores
from pytest_parallelism.strategy import Pool, Strategy, StrategyOptions


def square(number: int) -> int:
    return number * number


class Opened:
    """Which strategies were opened, with how many workers and which options."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.workers: list[int] = []
        self.options: list[StrategyOptions] = []
        self.known = {
            name: replace(strategy, open=functools.partial(self._open, strategy))
            for name, strategy in registry.load().items()
        }
        monkeypatch.setattr(registry, "load", lambda: self.known)

    def bar(self, name: str) -> None:
        """That strategy cannot run here."""
        self.known[name] = replace(self.known[name], available=lambda _: f"{name} cannot run here")

    def _open(
        self, strategy: Strategy, workers: int, options: StrategyOptions
    ) -> AbstractContextManager[Pool]:
        self.names.append(strategy.name)
        self.workers.append(workers)
        self.options.append(options)
        return strategy.open(workers, options)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


@pytest.mark.parametrize(
    ("items", "options", "workers"),
    [
        (30, {"processes": 3}, 3),
        (11, {"processes": 3}, 2),
        (3, {"processes": 64}, 1),
        (3, {"processes": 64, "chunk_size": 1}, 3),
        (3, {"processes": 64, "async_mode": True}, 3),
    ],
)
def test_no_more_processes_than_chunks_are_started(
    opened: Opened, items: int, options: dict[str, Any], workers: int
) -> None:
    parallel_map(square, range(items), **options)
    assert opened.workers == [workers]


def test_no_more_threads_than_items_are_started(opened: Opened) -> None:
    threaded_map(square, range(3), max_workers=64)
    assert opened.workers == [3]


def test_defaults_are_the_usable_cores_and_the_default_of_the_thread_pool_executor(opened: Opened) -> None:
    parallel_map(square, range(1000), chunk_size=1)
    threaded_map(square, range(1000))
    cores: Callable[[], int | None] = getattr(os, "process_cpu_count", os.cpu_count)
    assert opened.workers == [usable_cores().usable, min(32, (cores() or 1) + 4)]


def test_processes_share_the_cores_for_native_threads_and_threads_leave_them_alone(opened: Opened) -> None:
    parallel_map(square, range(100), processes=1)
    parallel_map(square, range(100), processes=2)
    threaded_map(square, range(100), max_workers=2)
    cores = usable_cores().usable
    assert [o.native_threads for o in opened.options] == [cores, max(1, cores // 2), None]


def test_where_our_own_processes_cannot_run_those_of_the_executor_do(opened: Opened) -> None:
    opened.bar("processes")
    assert parallel_map(square, range(30), 2, handle_errors=True) == [n * n for n in range(30)]
    assert opened.names == ["process-pool-executor-spawn"]


def test_where_no_processes_can_run_one_sentence_says_why(opened: Opened) -> None:
    opened.bar("processes")
    opened.bar("process-pool-executor-spawn")
    with pytest.raises(UsageError, match=r"^process-pool-executor-spawn cannot run here$"):
        parallel_map(square, range(30))
