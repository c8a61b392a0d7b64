"""What mpire would do by itself, and what its strategy does instead."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_parallelism.errors import WorkerLost
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import HasPids, StrategyOptions

MPIRE = load()["mpire"]
pytestmark = pytest.mark.skipif(MPIRE.obstacle(1) is not None, reason=str(MPIRE.obstacle(1)))

CAUGHT_BY_MPIRE = ("SIGTERM", "SIGHUP", "SIGUSR1")


def own_signal(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


@pytest.mark.parametrize("name", CAUGHT_BY_MPIRE)
def test_a_signal_that_mpire_catches_in_its_workers_ends_the_worker_by_its_name(name: str) -> None:
    with MPIRE.open(1, StrategyOptions()) as pool:
        assert isinstance(pool, HasPids)
        (pid,) = pool.pids()
        with pytest.raises(WorkerLost, match=f"{pid} was ended by {name}"):
            pool.map(own_signal, [name])


def test_handlers_of_signals_are_those_of_before() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(signal.Signals[name]) for name in (*CAUGHT_BY_MPIRE, "SIGINT")]

    before = handlers()
    with MPIRE.open(1, StrategyOptions()) as pool:
        assert (pool.map(abs, [-1]), handlers()) == ([1], before)
    assert handlers() == before


def test_a_slow_chunk_does_not_hold_up_those_that_wait() -> None:
    """Each worker of mpire's has a queue of its own; what stands in it no other worker can take."""
    slow, rest = os.pipe(), list(range(1, 40))

    def act(item: int) -> int:
        if item == 0:
            os.read(slow[0], 1)
        return item

    done: list[int] = []
    with MPIRE.open(2, StrategyOptions()) as pool:
        answers = pool.stream(act, ((item, [item]) for item in range(40)), ordered=False, timeout=60)  # type: ignore[attr-defined]  # it has one
        for start, _ in answers:
            done.append(start)
            if len(done) == len(rest) - 1:  # one may stand behind the slow one
                os.write(slow[1], b"x")
    for end in slow:
        os.close(end)
    assert (sorted(done), set(done[-2:]) & {0}) == (list(range(40)), {0})
