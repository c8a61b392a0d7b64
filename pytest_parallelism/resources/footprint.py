"""Memory and threads of the parent and its workers. Read once a point, outside every clock."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..measurement import Memory

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["descendants", "helpers", "memory", "reset_peak", "thread_count"]


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


def memory(pids: Sequence[int] = (), helpers: Sequence[int] = ()) -> Memory:
    """Peak bytes of this process and the workers ``pids`` together, and of a worker (the mean of them).

    Resident memory counts pages that fork left shared once per process (17 MB where 1.7 MB were unique, in
    our measurements). So the peak sums, per process, ``VmHWM - (RSS - PSS)``: its own peak less the part of
    its resident memory now that others pay for, in which a page shared by k processes counts 1/k. It is an
    upper bound, because the processes need not have their peaks at once. A worker's peak of what it has for
    itself alone is ``VmHWM - (RSS - USS)``, USS being the private lines of ``smaps_rollup`` (proc(5)).
    Helper processes count with their PSS now. Outside Linux: psutil's peak of this process where it has
    one, else resident bytes, with the unique bytes of the others. Processes that are gone do not count.
    """
    parent = _footprint(os.getpid())
    if parent is None:
        return Memory()
    workers = [found for found in map(_footprint, pids) if found]
    assisting = [found for found in map(_footprint, helpers) if found]
    return Memory(
        peak_bytes=parent.peak + sum(worker.peak for worker in workers),
        per_worker_bytes=_mean([worker.unique for worker in workers]),
        per_worker_pss_bytes=_mean([worker.peak for worker in workers]),
        helpers_bytes=sum(found.now for found in assisting) if workers else None,
    )


def _mean(amounts: Sequence[int]) -> int | None:
    return sum(amounts) // len(amounts) if amounts else None


def descendants() -> set[Process]:
    """Living processes that this one has started, directly or not; equal where id and start time are."""
    import psutil

    try:
        return set(psutil.Process().children(recursive=True))
    except (psutil.Error, OSError):  # one that ends while psutil looks
        return set()


def helpers(pids: Sequence[int], before: Collection[Process] = ()) -> list[int]:
    """Process ids of what runs for the workers ``pids`` beside them: trackers, fork servers, managers.

    All `descendants` that are no workers, without those of ``before`` (the opening of the pool), which are
    the user's. Resource trackers and what started the workers count all the same, as Python keeps them for
    the session. Where the workers are no processes there are no helpers.
    """
    found = descendants() if pids else ()
    started_by = {_parent(pid) for pid in pids}
    return [
        process.pid
        for process in found
        if process.pid not in pids
        and (process not in before or process.pid in started_by or _is_tracker(process))
    ]


def _parent(pid: int) -> int | None:
    import psutil

    try:
        return psutil.Process(pid).ppid()
    except (psutil.Error, OSError):
        return None


def _is_tracker(process: Process) -> bool:
    """Whether it is a resource tracker of multiprocessing or loky, by its command line."""
    import psutil

    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except (psutil.Error, OSError):
        return False


def thread_count(pids: Sequence[int] = ()) -> int:
    """Threads of all workers ``pids``, of this process where there are none; those gone count zero."""
    import psutil

    total = 0
    for pid in pids or (os.getpid(),):
        try:
            total += psutil.Process(pid).num_threads()
        except (psutil.Error, OSError):
            continue
    return total


@dataclass(frozen=True, slots=True)
class _Footprint:
    """Bytes of one process: its share of the common peak and of memory now, its peak of what is its alone."""

    peak: int
    now: int
    unique: int


def _footprint(pid: int) -> _Footprint | None:
    return _from_proc(pid) or _from_psutil(pid)


def _from_proc(pid: int) -> _Footprint | None:
    try:
        rollup = dict(_kilobytes(f"/proc/{pid}/smaps_rollup"))
        status = dict(_kilobytes(f"/proc/{pid}/status"))
        pss, resident = rollup["Pss"], rollup["Rss"]
        # VmHWM and Rss come from two counters, of which the kernel updates the first with a lag.
        freed = max(0, status["VmHWM"] - resident)
    except (OSError, KeyError):
        return None
    private = sum(rollup.get(name, 0) for name in ("Private_Clean", "Private_Dirty", "Private_Hugetlb"))
    return _Footprint(peak=pss + freed, now=pss, unique=private + freed)


def _kilobytes(path: str) -> Iterator[tuple[str, int]]:
    for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", Path(path).read_text(), re.MULTILINE):
        yield name, int(number) * 1024


def _from_psutil(pid: int) -> _Footprint | None:
    import psutil

    try:
        process = psutil.Process(pid)
        plain = process.memory_info()
        unique = getattr(process.memory_full_info(), "uss", plain.rss)
    except (psutil.Error, OSError):
        return None
    if not plain.rss:  # it has ended, and nobody reaped it
        return None
    own = getattr(plain, "peak_wset", plain.rss) if pid == os.getpid() else unique
    return _Footprint(peak=own, now=unique, unique=unique)
