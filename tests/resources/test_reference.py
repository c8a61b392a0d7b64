"""What the machine gives to a computation that divides perfectly."""

from __future__ import annotations

import threading

from pytest_parallelism.resources import Reference


def test_it_samples_and_leaves_no_thread() -> None:
    threads = threading.active_count()
    reference = Reference(2)
    unknown = reference.speedup
    for _ in range(3):
        reference.sample()
    found = reference.speedup
    assert threading.active_count() == threads
    assert unknown is None
    assert found is not None
    assert found > 0
