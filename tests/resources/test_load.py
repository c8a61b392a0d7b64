"""What others use of our cores."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pytest_parallelism.resources import load
from pytest_parallelism.resources.load import LoadMeter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc/stat is Linux's")


def used() -> float | None:
    meter = LoadMeter()
    time.sleep(0.02)
    found = meter.since((), 0.0)
    assert found is not None
    return found.foreign


def test_it_is_known_from_the_kernels_own_counters() -> None:
    assert used() is not None


@pytest.mark.parametrize("text", ["", "cpu 9 0 0 9\ncpu0 9 0 0 9 0 0 0 0 0 0\n"])
def test_counters_that_are_not_the_kernels_tell_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those that lxcfs puts in their place: on another file system, and of one container only."""
    other = tmp_path / "stat"
    other.write_text(text)
    monkeypatch.setattr(load, "_STAT", str(other))
    assert used() is None


def test_counters_that_stand_still_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = "".join(f"cpu{core} 0 0 0 0 0 0 0 0 0 0\n" for core in range(4096))
    monkeypatch.setattr(Path, "read_text", lambda _path, *_how, **_more: zeros)
    assert used() is None
