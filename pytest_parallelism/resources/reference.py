"""What the machine gives right now to a computation that divides perfectly.

Run queues tell of processes that we share the machine with, and nothing tells of the guests that its host
has besides: two virtual cores may be two threads of one real core, or wait unseen. A kernel that only
computes, with no memory to speak of and without the GIL, run once alone and then on all cores at once,
shows it (MEASURING.md, finding 5).
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from .load import waited

__all__ = ["Reference"]

_PATIENCE = 10.0
"""Seconds in which its threads must have met: else this sample is none."""
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_THREAD = "thread-self"
_ITERATIONS = 4000
"""Of PBKDF2: 2 to 4 ms of one core."""


class Reference:
    """Samples the speedup of the kernel on ``cores`` cores. Its threads live for one sample each: a pool that
    forks must find none.

    Each thread has a core of its own, where the system lets one say so: a scheduler that has just seen the
    workload's workers wakes both on one core (two cores that gave 1.9 read .9 to 1.2). What a thread waits
    in the run queue does not count, since others than the host's guests are seen without a kernel.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._places = _apart()[:cores]

    def sample(self) -> float | None:
        """Runs the kernel once alone and once on all cores: 5 to 8 ms. The speedup, as for as many kernels in
        turn; None where the threads did not meet."""
        begun = time.perf_counter()
        _compute()
        alone = time.perf_counter() - begun
        meeting = threading.Barrier(self._cores, timeout=_PATIENCE)
        found: list[float] = []

        def run(number: int) -> None:
            if self._places:
                with suppress(OSError):  # a core that was taken away since
                    os.sched_setaffinity(0, self._places[number])
            try:
                meeting.wait()
            except threading.BrokenBarrierError:
                return
            before, start = waited(_THREAD), time.perf_counter()
            _compute()
            found.append(time.perf_counter() - start - (waited(_THREAD) - before))

        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(self._cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._cores * alone / max(found) if len(found) == self._cores else None


def _apart() -> list[set[int]]:
    """The cores that we may use, one of each pair of hardware threads first; none where nobody tells."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    first: list[set[int]] = []
    second: list[set[int]] = []
    seen: set[str] = set()
    for core in sorted(os.sched_getaffinity(0)):
        siblings = str(core)
        with suppress(OSError):
            siblings = Path(_SIBLINGS.format(core)).read_text()
        (second if siblings in seen else first).append({core})
        seen.add(siblings)
    return first + second


def _compute() -> None:
    hashlib.pbkdf2_hmac("sha256", b"pytest", b"parallelism", _ITERATIONS)
