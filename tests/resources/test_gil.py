"""Who holds the GIL, asked by a thread that knocks. Figures are shares of what it counted, and no times."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable

import pytest

from pytest_parallelism.resources import GilProbe, gil_enabled
from pytest_parallelism.resources.gil import INTERVAL

pytestmark = pytest.mark.skipif(not gil_enabled(), reason="this interpreter has no GIL")


def compute() -> None:
    sum(i * i % 7 for i in range(20_000))


def hashed() -> None:
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 5_000)  # without the GIL


def asked(work: Callable[[], None], knocks: int = 30) -> float:
    """The share once there were so many knocks, for 20 s at most."""
    probe, end = GilProbe(), time.monotonic() + 20
    while probe.knocks < knocks and time.monotonic() < end:
        with probe:
            for _ in range(10):
                work()
    assert probe.share is not None
    return probe.share


def test_pure_python_holds_it_and_a_native_kernel_does_not() -> None:
    assert asked(compute) > 0.8
    assert asked(hashed) < 0.2


def test_nothing_is_left_of_a_probe() -> None:
    before, threads = sys.getswitchinterval(), threading.active_count()
    with GilProbe() as probe:
        assert sys.getswitchinterval() == pytest.approx(INTERVAL)
    assert sys.getswitchinterval() == before
    assert threading.active_count() == threads
    assert probe.share is None or 0 <= probe.share <= 1


def test_an_error_of_the_workload_passes_through() -> None:
    before = sys.getswitchinterval()

    def fail() -> None:
        with GilProbe():
            raise ValueError("a task's")

    with pytest.raises(ValueError, match="a task's"):
        fail()
    assert sys.getswitchinterval() == before
