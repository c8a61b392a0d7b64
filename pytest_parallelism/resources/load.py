"""How many of our cores others use, and how much of its time a worker computes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "LoadMeter", "waited"]

_STAT = "/proc/stat"
_IDLE = slice(3, 5)
"""``idle`` and ``iowait`` among the ten times of a cpu line in /proc/stat (proc(5))."""
_GUEST = slice(8, 10)
"""Guest times, which user time holds already."""


@dataclass(frozen=True, slots=True)
class Load:
    """Between two readings, ``seconds`` apart: cores that others used, and what the workers did.

    ``foreign``: None where the system does not tell; off by a tick a core at each reading, so that it may be
    below 0. ``computed``: CPU seconds of the workers. ``delayed``: seconds that they waited for a core.
    """

    seconds: float
    foreign: float | None
    computed: float
    delayed: float


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    busy: float | None
    own: float
    workers: Mapping[int, tuple[float, float]]


class LoadMeter:
    """Reads /proc/stat of the cores that we may use (ticks of 10 ms), and our own CPU time.

    ``workers``: process ids of those that run already. Where the system does not tell how much the workers
    compute, it tells nothing: None.
    """

    def __init__(self, workers: Sequence[int] = ()) -> None:
        self._then = _read(workers)

    def since(self, workers: Sequence[int], least: float) -> Load | None:
        """The load since the last one that was given, None where that is under ``least`` seconds ago.

        ``workers``: their process ids.
        """
        if time.monotonic() - self._then.at < least:
            return None
        now, then = _read(workers), self._then
        self._then = now
        if workers and not now.workers:
            return None
        both = [(now.workers[pid], then.workers.get(pid, (0.0, 0.0))) for pid in now.workers]
        computed = sum(after[0] - before[0] for after, before in both)
        foreign = None
        if now.busy is not None and then.busy is not None:
            others = now.busy - then.busy - computed - (now.own - then.own)
            foreign = others / (now.at - then.at)
        return Load(
            seconds=now.at - then.at,
            foreign=foreign,
            computed=computed,
            delayed=sum(after[1] - before[1] for after, before in both),
        )


def _read(workers: Sequence[int]) -> _Reading:
    return _Reading(
        at=time.monotonic(),
        busy=_busy(),
        own=_own(),
        workers={pid: used for pid in workers if (used := _used(pid))},
    )


def _own() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _used(pid: int) -> tuple[float, float] | None:
    """CPU seconds of a process, and seconds that its main thread waited for a core."""
    try:
        computed = time.clock_gettime(~pid << 3 | 2)
    except (OSError, AttributeError):  # it has ended; other systems have no such clock
        return None
    return computed, waited(pid)


def waited(thread: int | str) -> float:
    """Seconds that a thread (``thread-self``), or the main one of a process, has waited for a core in its
    life; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) * 1e-9
    except (OSError, IndexError):  # a kernel without CONFIG_SCHED_INFO
        return 0.0


def _busy() -> float | None:
    """CPU seconds that anybody used on our cores since the machine started; None where nobody tells.

    That is also where something stands in the place of the kernel's own file, as lxcfs does, which counts
    one container only.
    """
    try:
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        if Path(_STAT).stat().st_dev != Path("/proc").stat().st_dev:
            return None
        lines = [line.split() for line in Path(_STAT).read_text().splitlines()]
    except (OSError, AttributeError):
        return None
    ticks = 0
    for name, *times in lines:
        if name in cores:
            numbers = [int(number) for number in times]
            ticks += sum(numbers) - sum(numbers[_IDLE]) - sum(numbers[_GUEST])
    return ticks / os.sysconf("SC_CLK_TCK") or None  # kernels that count nothing say 0
