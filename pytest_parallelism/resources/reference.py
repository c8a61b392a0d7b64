"""What the machine gives right now to a computation that divides perfectly.

Run queues tell of processes that we share the machine with, and nothing tells of the guests that its host
has besides: two virtual cores may be two threads of one real core, or wait unseen. A kernel that only
computes, with no memory to speak of and without the GIL, run once alone and then on all cores at once,
shows it (MEASURING.md, finding 5).
"""

from __future__ import annotations

import hashlib
import threading
import time
from statistics import median

__all__ = ["Reference"]

_PATIENCE = 10.0
"""Seconds in which its threads must have met: else this sample is none."""
_ITERATIONS = 4000
"""Of PBKDF2: 2 to 4 ms of one core."""


class Reference:
    """Samples the speedup of the kernel on ``cores`` cores. Its threads live for one sample each: a pool that
    forks must find none."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._alone: list[float] = []
        self._together: list[float] = []

    def sample(self) -> None:
        """Runs the kernel once alone and once on all cores: 5 to 8 ms."""
        begun = time.perf_counter()
        _compute()
        alone = time.perf_counter() - begun
        meeting = threading.Barrier(self._cores, timeout=_PATIENCE)
        spans: list[tuple[float, float]] = []

        def run() -> None:
            try:
                meeting.wait()
            except threading.BrokenBarrierError:
                return
            start = time.perf_counter()
            _compute()
            spans.append((start, time.perf_counter()))

        threads = [threading.Thread(target=run, daemon=True) for _ in range(self._cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(spans) == self._cores:
            self._alone.append(alone)
            self._together.append(max(end for _, end in spans) - min(start for start, _ in spans))

    @property
    def speedup(self) -> float | None:
        """Of the medians, as for as many kernels in turn; None before the first sample."""
        if not self._alone:
            return None
        return self._cores * median(self._alone) / median(self._together)


def _compute() -> None:
    hashlib.pbkdf2_hmac("sha256", b"pytest", b"parallelism", _ITERATIONS)
