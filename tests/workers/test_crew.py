"""Processes of our own: what is given is answered, what ends is noticed, nothing blocks."""

from __future__ import annotations

import errno
import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism.envelope import enclosed, line, pack, start_worker, unpack
from pytest_parallelism.errors import WorkerLost
from pytest_parallelism.workers import Crew, Job, OutOfTime, adopting

PATIENCE = 30.0


class Feed:
    """Chunks of one item each for one function."""

    over = False

    def __init__(self, fn: Callable[[Any], Any], items: Iterable[Any], patience: float = PATIENCE) -> None:
        self._blob = pack(fn)
        self._items = iter(enumerate(items))
        self._patience = patience
        self.drawn = 0

    def draw(self) -> Job | None:
        for number, item in self._items:
            self.drawn += 1
            return Job(number, self._blob, enclosed([item]))
        return None

    def patience(self) -> float | None:
        return self._patience


def results(crew: Crew, feed: Feed) -> dict[int, Any]:
    return {number: unpack(answer)[0] for number, answer in crew.exchange(feed)}


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew([1, 1], "fork")
    with adopting():
        made.start(functools.partial(start_worker, 1, False), None, PATIENCE)
        yield made
        made.close()


def test_every_chunk_is_answered_once(crew: Crew) -> None:
    assert results(crew, Feed(lambda x: 2 * x, range(500))) == {x: 2 * x for x in range(500)}


def test_all_processes_answer(crew: Crew) -> None:
    def pid(_item: int) -> int:
        time.sleep(0.005)
        return os.getpid()

    assert set(results(crew, Feed(pid, range(20))).values()) == set(crew.pids())


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_535, 65_536, 65_537, 5_000_000])
def test_messages_of_any_size_pass(crew: Crew, size: int) -> None:
    item = os.urandom(size)
    assert results(crew, Feed(lambda x: x, [item] * 3)) == dict.fromkeys(range(3), item)


def test_large_messages_both_ways_at_once_block_nobody(crew: Crew) -> None:
    """Chunks longer than a line's buffer, while answers as long wait to be read."""
    items = [bytes([n]) * 2_000_000 for n in range(12)]
    assert results(crew, Feed(lambda x: x + x, items)) == {n: item + item for n, item in enumerate(items)}


def test_a_worker_that_does_not_read_blocks_nobody(crew: Crew) -> None:
    for pid in crew.pids():
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(OutOfTime):
        results(crew, Feed(len, [bytes(5_000_000)] * 4, patience=0.2))
    crew.kill()


def test_an_exchange_runs_inside_a_suspended_one(crew: Crew) -> None:
    outer = crew.exchange(Feed(lambda x: x + 1, range(30)))
    seen = {}
    for number, answer in outer:
        seen[number] = unpack(answer)[0]
        assert results(crew, Feed(lambda x: x * x, range(3))) == {0: 0, 1: 1, 2: 4}
    assert seen == {x: x + 1 for x in range(30)}


def test_answers_of_an_exchange_left_early_go_to_nobody(crew: Crew) -> None:
    left: Any = crew.exchange(Feed(lambda x: x, range(100)))
    next(left)
    left.close()
    assert results(crew, Feed(lambda x: -x, range(10))) == {x: -x for x in range(10)}


def test_an_exchange_waits_for_workers_that_one_left_early_keeps_busy(crew: Crew, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def hold(item: int) -> int:
        while item and not gate.exists():
            time.sleep(0.001)
        return item

    left: Any = crew.exchange(Feed(hold, range(100)))
    next(left)
    left.close()
    threading.Timer(0.05, gate.touch).start()
    assert results(crew, Feed(lambda x: -x, range(10))) == {x: -x for x in range(10)}


def test_only_active_workers_are_fed(crew: Crew) -> None:
    crew.active = 1
    assert set(results(crew, Feed(lambda _x: os.getpid(), range(20))).values()) == {crew.pids()[0]}


def test_a_crew_can_grow(crew: Crew) -> None:
    crew.grow([1])

    def pid(_item: int) -> int:
        time.sleep(0.005)
        return os.getpid()

    assert set(results(crew, Feed(pid, range(30))).values()) == set(crew.pids())
    assert len(crew.pids()) == 3


def test_a_process_that_cannot_start_leaves_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[socket.socket] = []

    def made() -> list[socket.socket]:
        ends.extend(line())
        return ends

    def refused(_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr("pytest_parallelism.workers.worker.line", made)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refused)
    with pytest.raises(BlockingIOError):
        Crew([1, 1], "fork").start(functools.partial(start_worker, 1, False), None, PATIENCE)
    assert [end.fileno() for end in ends] == [-1, -1]


@pytest.mark.parametrize("how", ["SIGKILL", "exit code 7"])
def test_a_worker_that_ends_is_named(crew: Crew, how: str) -> None:
    def end(item: int) -> int:
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL) if how == "SIGKILL" else os._exit(7)
        return item

    with pytest.raises(WorkerLost, match=how):
        results(crew, Feed(end, range(8)))


def test_a_worker_that_ended_between_two_exchanges_is_named(crew: Crew) -> None:
    results(crew, Feed(abs, range(4)))
    os.kill(crew.pids()[1], signal.SIGKILL)
    with pytest.raises(WorkerLost, match=str(crew.pids()[1])):
        results(crew, Feed(abs, range(100)))


def test_the_end_is_noticed_though_a_child_holds_the_line_open(crew: Crew) -> None:
    def fork_and_end(_item: int) -> None:
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(3)

    with pytest.raises(WorkerLost, match="exit code 3"):
        results(crew, Feed(fork_and_end, [0]))


def test_a_task_that_closes_the_line_loses_its_worker(crew: Crew) -> None:
    with pytest.raises(WorkerLost):
        results(crew, Feed(lambda _x: os.closerange(3, 4096), [0]))


def test_what_a_worker_started_is_killed_with_it(crew: Crew) -> None:
    def start_child(_item: int) -> int:
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        return child

    (child,) = results(crew, Feed(start_child, [0])).values()
    crew.kill()
    assert not Path(f"/proc/{child}").exists()


def test_a_thread_that_outlives_its_task_does_not_keep_its_worker(crew: Crew) -> None:
    def start_thread(_item: int) -> None:
        threading.Thread(target=time.sleep, args=(1000,), daemon=False).start()

    results(crew, Feed(start_thread, [0]))
    pids = crew.pids()
    crew.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_worker_is_given_as_much_as_it_can_run_at_once() -> None:
    crew = Crew([3], "fork")
    with adopting():
        crew.start(functools.partial(start_worker, 1, False), None, PATIENCE)
        feed = Feed(lambda _x: time.sleep(0.05), range(3))
        exchange = crew.exchange(feed)
        next(exchange)
        assert feed.drawn == 3
        list(exchange)
        crew.close()
