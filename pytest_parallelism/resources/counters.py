"""Where the counters of processes come from: /proc and CPU clocks on Linux, psutil elsewhere.

CPU time of a process on Linux is ``clock_gettime`` on its CPU clock, exact to the nanosecond, with all its
threads, those that ended too, for half a microsecond. The clock's id is ``~pid << 3 | 2``, those of its
user and of its user and system time end in 1 and 0 (clock_getcpuclockid(3); the kernel's
include/linux/posix-timers_types.h). These two count the kernel's ticks, mostly 4 ms; the figures of
/proc/<pid>/stat and psutil are whole hundredths of a second. Run-queue delay is the second figure of a
thread's ``schedstat`` (the kernel's Documentation/scheduler/sched-stats.rst), context switches the last
lines of its ``status``: the files of the process itself tell of its main thread only. Bytes read and
written are those of ``/proc/<pid>/io`` (proc(5)), with all threads and all children that were reaped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["Counters", "ProcSource", "PsutilSource", "Source", "source"]

# Descriptors kept open between readings; files beyond that are opened anew each time, 11 us instead of 1.
# Systems often allow a process 1024, and most of those are the user's.
KEPT_OPEN = 256

Thread = tuple[int, int]

IO = ("read_bytes", "write_bytes", "rchar", "wchar")
"""Counters of a process, by their names in ``/proc/<pid>/io``: storage first, then all calls."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of processes and their threads, as (process id, thread id), since these began.

    ``cpu``: seconds by process id, workers only; ``ticked``: the same in ticks, ``user``: its part in user
    mode.
    ``delays``: nanoseconds by thread, the parent's threads too; None where the system does not tell.
    Context switches by thread, workers only. ``io``: bytes by name (see `IO`) and process id, the parent's
    too, None where the system does not tell.
    """

    cpu: Mapping[int, float]
    delays: Mapping[Thread, int] | None
    voluntary: Mapping[Thread, int]
    involuntary: Mapping[Thread, int]
    user: Mapping[int, float] = field(default_factory=dict)
    ticked: Mapping[int, float] = field(default_factory=dict)
    io: Mapping[str, Mapping[int, int]] | None = None


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
    return ProcSource(with_delays=kept, with_io=os.access("/proc/self/io", os.R_OK))


# The last bits of a CPU clock's id: CPUCLOCK_PROF, CPUCLOCK_VIRT, CPUCLOCK_SCHED.
_USER_AND_SYSTEM, _USER, _EXACT = 0, 1, 2


def _cpu_clock(pid: int, which: int = _EXACT) -> int:
    return ~pid << 3 | which


def _delays_are_kept(schedstat: Path) -> bool:
    """Whether the kernel keeps run-queue delays: it may have no such file, or fill it with zeros."""
    try:
        return any(int(number) for number in schedstat.read_text().split())
    except (OSError, ValueError):
        return False


class ProcSource:
    """Reads Linux's CPU clocks and /proc, through descriptors that stay open."""

    def __init__(self, *, with_delays: bool = True, with_io: bool = True) -> None:
        self._with_delays = with_delays
        self._with_io = with_io
        self._files: dict[tuple[int, str], _Tasks | _Whole] = {}
        self._looked = 0
        """Bytes that this source itself has read, which are none of the workload's."""

    def read(self, pids: Sequence[int]) -> Counters:
        """The counters now; delays, or bytes, are None when those of one living process cannot be read."""
        clocks: dict[int, tuple[float, float, float]] = {}
        for pid in pids:
            # A process that is gone has no clock.
            with suppress(OSError):
                clocks[pid] = _cpu_times(pid)
        everyone = (os.getpid(), *clocks)
        delays = self._contents("schedstat", everyone) if self._with_delays else None
        switches = {
            thread: _switches(text) for thread, text in (self._contents("status", clocks) or {}).items()
        }
        self._forget(key for key in self._files if key[0] not in everyone)
        return Counters(
            cpu={pid: exact for pid, (exact, _, _) in clocks.items()},
            user={pid: user for pid, (_, user, _) in clocks.items()},
            ticked={pid: ticked for pid, (_, _, ticked) in clocks.items()},
            delays=None if delays is None else {thread: _delay(text) for thread, text in delays.items()},
            voluntary={thread: both[0] for thread, both in switches.items()},
            involuntary={thread: both[1] for thread, both in switches.items()},
            io=self._io(everyone) if self._with_io else None,
        )

    def close(self) -> None:
        """Close every descriptor."""
        self._forget(self._files)

    def _io(self, pids: Sequence[int]) -> dict[str, dict[int, int]] | None:
        # The parent is read first: its figure holds all that was looked at until now.
        looked = self._looked
        found = self._contents("io", pids)
        if found is None:
            return None
        numbers = {pid: _io_numbers(text) for (pid, _), text in found.items()}
        own = numbers.get(os.getpid())
        if own:
            own["rchar"] -= looked
        return {name: {pid: of[name] for pid, of in numbers.items()} for name in IO}

    def _contents(self, name: str, pids: Iterable[int]) -> dict[Thread, bytes] | None:
        """That file of every thread; None where one can neither be read nor is gone."""
        found: dict[Thread, bytes] = {}
        for pid in pids:
            try:
                kept = self._files.get((pid, name)) or (_Whole if name == "io" else _Tasks)(pid, name)
                self._files[pid, name] = kept
                texts = kept.read()
            except (FileNotFoundError, ProcessLookupError):
                # Opened anew the next time, in case that a new process takes its id.
                self._forget([(pid, name)])
                continue
            except OSError:
                return None
            found.update(texts)
            self._looked += sum(map(len, texts.values()))
            if sum(map(len, self._files.values())) > KEPT_OPEN:
                self._forget([(pid, name)])
        return found

    def _forget(self, keys: Iterable[tuple[int, str]]) -> None:
        for key in tuple(keys):
            if kept := self._files.pop(key, None):
                kept.close()


class _Whole:
    """One file of a process: ``/proc/<pid>/<name>``."""

    def __init__(self, pid: int, name: str) -> None:
        self._pid = pid
        self._file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)

    def __len__(self) -> int:
        return 1

    def read(self) -> dict[Thread, bytes]:
        return {(self._pid, self._pid): os.pread(self._file, 4096, 0)}

    def close(self) -> None:
        os.close(self._file)


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


def _cpu_times(pid: int) -> tuple[float, float, float]:
    """Seconds of a process: exact, in user mode, in user and system mode."""
    now = time.clock_gettime
    return now(_cpu_clock(pid)), now(_cpu_clock(pid, _USER)), now(_cpu_clock(pid, _USER_AND_SYSTEM))


def _io_numbers(text: bytes) -> dict[str, int]:
    """All counters of ``/proc/<pid>/io``, one a line: ``rchar: 718683``."""
    words = text.decode().split()
    return {name[:-1]: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def _delay(schedstat: bytes) -> int:
    return int(schedstat.split()[1])


def _switches(status: bytes) -> tuple[int, int]:
    """Voluntary and involuntary context switches: the last two lines of ``status``, found from its end."""
    involuntary = status.rindex(b"nonvoluntary_ctxt_switches:")
    voluntary = status.rindex(b"voluntary_ctxt_switches:", 0, involuntary)
    return int(status[voluntary + 24 : involuntary]), int(status[involuntary + 27 :].split()[0])


_PSUTIL_IO = ("read_bytes", "write_bytes", "read_chars", "write_chars")


class PsutilSource:
    """Reads what psutil knows of any system: time, switches and bytes of whole processes, no delays."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}

    def read(self, pids: Sequence[int]) -> Counters:
        """The counters now; CPU time in ticks of the system, often 10 ms."""
        import psutil

        times, switches = {}, {}
        for pid in pids:
            # psutil raises OSError too for what ends while it looks.
            with suppress(psutil.Error, OSError):
                process = self._processes.setdefault(pid, psutil.Process(pid))
                with process.oneshot():
                    times[pid], switches[pid, pid] = process.cpu_times(), process.num_ctx_switches()
        return Counters(
            cpu={pid: found.user + found.system for pid, found in times.items()},
            user={pid: found.user for pid, found in times.items()},
            ticked={pid: found.user + found.system for pid, found in times.items()},
            delays=None,
            voluntary={thread: found.voluntary for thread, found in switches.items()},
            involuntary={thread: found.involuntary for thread, found in switches.items()},
            io=self._io([os.getpid(), *times]),
        )

    def _io(self, pids: Iterable[int]) -> dict[str, dict[int, int]] | None:
        """What psutil tells of bytes; macOS has no such counters, and only Linux those of all calls."""
        import psutil

        found: dict[str, dict[int, int]] = {}
        for pid in pids:
            try:
                counted: Any = self._processes.setdefault(pid, psutil.Process(pid)).io_counters()  # type: ignore[attr-defined,unused-ignore]  # not on macOS
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
            except (AttributeError, psutil.Error, OSError):
                return None
            for name, psutils in zip(
                IO, ("read_bytes", "write_bytes", "read_chars", "write_chars"), strict=True
            ):
                if hasattr(counted, psutils):
                    found.setdefault(name, {})[pid] = getattr(counted, psutils)
        return found

    def close(self) -> None:
        """Forget the processes."""
        self._processes.clear()
