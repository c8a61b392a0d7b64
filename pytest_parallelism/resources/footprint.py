"""Memory and threads of the parent and its workers. Read once a point, outside every clock."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..measurement import Memory

__all__ = ["memory", "reset_peak", "thread_count"]


def reset_peak(pids: Iterable[int] = ()) -> None:
    """Start the peaks of `memory` anew, for this process and ``pids``, where the system can.

    Writes 5 to ``/proc/<pid>/clear_refs``, which resets VmHWM (proc(5)). Elsewhere peaks are those of the
    whole life of a process.
    """
    for pid in (os.getpid(), *pids):
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            continue


def memory(pids: Sequence[int] = ()) -> Memory:
    """Peak bytes of this process and the workers ``pids`` together, and mean unique bytes of a worker.

    Resident memory counts pages that fork left shared once per process (17 MB where 1.7 MB were unique, in
    our measurements). So the peak sums, per process, ``VmHWM - (RSS - PSS)``: its own peak less the part of
    its resident memory now that others pay for, in which a page shared by k processes counts 1/k. It is an
    upper bound, because the processes need not have their peaks at once. Unique bytes are USS, the private
    lines of ``smaps_rollup``. Outside Linux: psutil's peak where it has one, else resident bytes, with
    the unique bytes of the workers. Processes that are gone do not count.
    """
    parent = _footprint(os.getpid())
    workers = [found for found in map(_footprint, pids) if found]
    if parent is None:
        return Memory()
    unique = sum(worker.unique for worker in workers) // len(workers) if workers else None
    return Memory(
        peak_bytes=parent.peak + sum(worker.peak for worker in workers),
        per_worker_bytes=unique,
    )


def thread_count(pids: Sequence[int] = ()) -> int:
    """Threads of all workers ``pids``, of this process where there are none; those gone count zero."""
    import psutil

    total = 0
    for pid in pids or (os.getpid(),):
        try:
            total += psutil.Process(pid).num_threads()
        except psutil.Error:
            continue
    return total


@dataclass(frozen=True, slots=True)
class _Footprint:
    """Bytes of one process: its share of the common peak, and what is its alone."""

    peak: int
    unique: int


def _footprint(pid: int) -> _Footprint | None:
    return _from_proc(pid) or _from_psutil(pid)


def _from_proc(pid: int) -> _Footprint | None:
    try:
        rollup = dict(_kilobytes(f"/proc/{pid}/smaps_rollup"))
        status = dict(_kilobytes(f"/proc/{pid}/status"))
        shared = rollup["Rss"] - rollup["Pss"]
        # VmHWM and Rss come from two counters, of which the kernel updates the first with a lag.
        peak = max(status["VmHWM"], rollup["Rss"]) - shared
    except (OSError, KeyError):
        return None
    private = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
    return _Footprint(peak=peak, unique=sum(rollup.get(name, 0) for name in private))


def _kilobytes(path: str) -> Iterator[tuple[str, int]]:
    for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", Path(path).read_text(), re.MULTILINE):
        yield name, int(number) * 1024


def _from_psutil(pid: int) -> _Footprint | None:
    import psutil

    try:
        process = psutil.Process(pid)
        plain = process.memory_info()
        unique = getattr(process.memory_full_info(), "uss", plain.rss)
    except psutil.Error:
        return None
    own = getattr(plain, "peak_wset", plain.rss) if pid == os.getpid() else unique
    return _Footprint(peak=own, unique=unique)
