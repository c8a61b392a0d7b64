"""Blocks that hang are ended, and nobody else's timer is touched."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_parallelism.alarm import limit
from pytest_parallelism.errors import TaskTimeout

needs_timer = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGALRM")


def spin() -> None:
    """Python code that ends by itself only after a time that no test waits for."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(Exception):  # what a task may do with errors
            pass


def stay_busy(seconds: float) -> None:
    """A function: in 3.13 the backward jump of a loop that ends a ``with`` lies outside of its handler."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.fixture
def foreign_timer() -> Iterator[object]:
    """Somebody else's alarm, far away."""

    def mine(*_: object) -> None:
        raise AssertionError("the foreign timer rang")

    old = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    yield mine
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


@needs_timer
def test_waiting_is_ended_and_the_handler_is_as_before() -> None:
    with pytest.raises(TaskTimeout, match="too late"), limit(0.05, "too late"):
        time.sleep(60)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@needs_timer
def test_a_timer_of_somebody_else_stays_as_it_is(foreign_timer: object) -> None:
    with pytest.raises(TaskTimeout, match="too late"), limit(0.05, "too late"):
        spin()
    assert signal.getsignal(signal.SIGALRM) is foreign_timer
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 900


def test_python_code_in_another_thread_is_ended() -> None:
    seen: list[BaseException] = []

    def body() -> None:
        try:
            with limit(0.05, "too late"):
                spin()
        except TaskTimeout as error:
            seen.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(60)
    assert [str(error) for error in seen] == ["too late"]
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]


def test_errors_and_results_of_the_block_pass(foreign_timer: object) -> None:
    for seconds in (None, 100.0):
        with pytest.raises(KeyError), limit(seconds, ""):
            raise KeyError
        with limit(seconds, ""):
            pass


@pytest.mark.parametrize("taken", [False, True])
def test_a_limit_that_ends_with_its_block_is_one_or_the_other(
    taken: bool, request: pytest.FixtureRequest
) -> None:
    """Whenever it rings, nothing is raised after the block.

    But for once in some ten thousand that a thread rings just then: what it sets may act on the first line
    of the block's exit, before any ``try`` of ours. So that is tried less often.
    """
    if taken:
        request.getfixturevalue("foreign_timer")
    before = signal.getsignal(signal.SIGALRM)
    for _ in range(20 if taken else 200):
        with contextlib.suppress(TaskTimeout), limit(0.0005, ""):
            stay_busy(0.0005)
    assert signal.getsignal(signal.SIGALRM) is before
