"""Where the counters of processes come from: /proc and CPU clocks on Linux, psutil elsewhere.

CPU time of a process on Linux is ``clock_gettime`` on its CPU clock, exact to the nanosecond, with all its
threads, those that ended too, for half a microsecond. The clock's id is ``~pid << 3 | 2``
(clock_getcpuclockid(3); the kernel's include/linux/posix-timers_types.h). /proc/<pid>/stat and psutil
tick at 10 ms. Run-queue delay is the second figure of a thread's ``schedstat`` (the kernel's
Documentation/scheduler/sched-stats.rst), context switches the last lines of its ``status``: the files
of the process itself tell of its main thread only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["Counters", "ProcSource", "PsutilSource", "Source", "source"]

# Descriptors kept open between readings; files beyond that are opened anew each time, 11 us instead of 1.
# Systems often allow a process 1024, and most of those are the user's.
KEPT_OPEN = 256

Thread = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of processes and their threads, as (process id, thread id), since these began.

    ``cpu``: seconds by process id, workers only. ``delays``: nanoseconds by thread, the parent's threads
    too; None where the system does not tell. Context switches by thread, workers only.
    """

    cpu: Mapping[int, float]
    delays: Mapping[Thread, int] | None
    voluntary: Mapping[Thread, int]
    involuntary: Mapping[Thread, int]


class Source(Protocol):
    """A way to read the counters of this process and of workers; processes that are gone are left out."""

    def read(self, pids: Sequence[int]) -> Counters:
        """The counters now, ``pids`` being the workers."""

    def close(self) -> None:
        """Close what is kept open."""


def source() -> Source:
    """The best source that this system has."""
    try:
        time.clock_gettime(_cpu_clock(os.getpid()))
        kept = _delays_are_kept(Path("/proc/self/schedstat"))
    except (OSError, AttributeError):
        return PsutilSource()
    return ProcSource(with_delays=kept)


def _cpu_clock(pid: int) -> int:
    return ~pid << 3 | 2


def _delays_are_kept(schedstat: Path) -> bool:
    """Whether the kernel keeps run-queue delays: it may have no such file, or fill it with zeros."""
    try:
        return any(int(number) for number in schedstat.read_text().split())
    except (OSError, ValueError):
        return False


class ProcSource:
    """Reads Linux's CPU clocks and /proc, through descriptors that stay open."""

    def __init__(self, *, with_delays: bool = True) -> None:
        self._with_delays = with_delays
        self._tasks: dict[tuple[int, str], _Tasks] = {}

    def read(self, pids: Sequence[int]) -> Counters:
        """The counters now; delays are None when those of one living process cannot be read."""
        cpu: dict[int, float] = {}
        for pid in pids:
            # A process that is gone has no clock.
            with suppress(OSError):
                cpu[pid] = time.clock_gettime(_cpu_clock(pid))
        delays = self._contents("schedstat", (os.getpid(), *cpu)) if self._with_delays else None
        switches = {thread: _switches(text) for thread, text in (self._contents("status", cpu) or {}).items()}
        self._forget(key for key in self._tasks if key[0] not in cpu and key[0] != os.getpid())
        return Counters(
            cpu=cpu,
            delays=None if delays is None else {thread: _delay(text) for thread, text in delays.items()},
            voluntary={thread: both[0] for thread, both in switches.items()},
            involuntary={thread: both[1] for thread, both in switches.items()},
        )

    def close(self) -> None:
        """Close every descriptor."""
        self._forget(self._tasks)

    def _contents(self, name: str, pids: Iterable[int]) -> dict[Thread, bytes] | None:
        """That file of every thread; None where one can neither be read nor is gone."""
        found: dict[Thread, bytes] = {}
        for pid in pids:
            try:
                tasks = self._tasks.get((pid, name)) or _Tasks(pid, name)
                self._tasks[pid, name] = tasks
                found.update(tasks.read())
            except (FileNotFoundError, ProcessLookupError):
                continue
            except OSError:
                return None
            if sum(map(len, self._tasks.values())) > KEPT_OPEN:
                self._forget([(pid, name)])
        return found

    def _forget(self, keys: Iterable[tuple[int, str]]) -> None:
        for key in tuple(keys):
            self._tasks.pop(key).close()


class _Tasks:
    """One file of each thread of a process: ``/proc/<pid>/task/<thread>/<name>``."""

    def __init__(self, pid: int, name: str) -> None:
        self._pid = pid
        self._name = name
        self._files: dict[int, int] = {}
        self._folder = os.open(f"/proc/{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __len__(self) -> int:
        return 1 + len(self._files)

    def read(self) -> dict[Thread, bytes]:
        # The link count is two and the number of threads; asking it costs a tenth of listing the folder.
        if os.fstat(self._folder).st_nlink - 2 != len(self._files):
            self._look_again()
        found = self._read()
        if len(found) < len(self._files):
            # A thread ended, and a new one may make the count look right.
            self._look_again()
            found = self._read()
        return found

    def close(self) -> None:
        for file in (self._folder, *self._files.values()):
            os.close(file)
        self._files.clear()

    def _read(self) -> dict[Thread, bytes]:
        found = {}
        for tid, file in self._files.items():
            # The descriptor stands for that very thread, even if its id is taken anew.
            with suppress(ProcessLookupError):
                found[self._pid, tid] = os.pread(file, 4096, 0)
        return found

    def _look_again(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])
        for tid in os.listdir(self._folder):  # noqa: PTH208 - pathlib takes no descriptor
            with suppress(FileNotFoundError, ProcessLookupError):
                self._files[int(tid)] = os.open(
                    f"{tid}/{self._name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder
                )


def _delay(schedstat: bytes) -> int:
    return int(schedstat.split()[1])


def _switches(status: bytes) -> tuple[int, int]:
    """Voluntary and involuntary context switches: the last two lines of ``status``, found from its end."""
    involuntary = status.rindex(b"nonvoluntary_ctxt_switches:")
    voluntary = status.rindex(b"voluntary_ctxt_switches:", 0, involuntary)
    return int(status[voluntary + 24 : involuntary]), int(status[involuntary + 27 :].split()[0])


class PsutilSource:
    """Reads what psutil knows of any system: CPU time and switches of whole processes, no delays."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}

    def read(self, pids: Sequence[int]) -> Counters:
        """The counters now; CPU time in ticks of the system, often 10 ms."""
        import psutil

        cpu, voluntary, involuntary = {}, {}, {}
        for pid in pids:
            try:
                process = self._processes.setdefault(pid, psutil.Process(pid))
                with process.oneshot():
                    times, switches = process.cpu_times(), process.num_ctx_switches()
            except psutil.Error:
                continue
            cpu[pid] = times.user + times.system
            voluntary[pid, pid], involuntary[pid, pid] = switches.voluntary, switches.involuntary
        return Counters(cpu=cpu, delays=None, voluntary=voluntary, involuntary=involuntary)

    def close(self) -> None:
        """Forget the processes."""
        self._processes.clear()
