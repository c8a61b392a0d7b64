"""What the machine gives to a computation that divides perfectly."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pytest_parallelism.resources import Reference, reference


def test_it_samples_and_leaves_no_thread() -> None:
    threads = threading.active_count()
    found = Reference(2).sample()
    assert threading.active_count() == threads
    assert found is not None
    assert found > 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system lets nobody choose a core")
def test_each_of_its_threads_has_a_core_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = os.sched_getaffinity(0), []
    monkeypatch.setattr(reference, "_compute", lambda: seen.append(os.sched_getaffinity(0)))
    cores = len(before)
    Reference(cores).sample()
    alone, *together = seen
    assert alone == before
    assert sorted(map(sorted, together)) == [[core] for core in sorted(before)]
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system lets nobody choose a core")
def test_hardware_threads_of_one_core_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core in range(4):
        (tmp_path / str(core)).write_text(f"{core % 2},{core % 2 + 2}")
    monkeypatch.setattr(reference, "_SIBLINGS", f"{tmp_path}/{{}}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 2, 1, 0})
    assert reference._apart() == [{0}, {1}, {2}, {3}]
    (tmp_path / "1").write_text("0,1")
    (tmp_path / "0").write_text("0,1")
    assert reference._apart() == [{0}, {2}, {3}, {1}]
