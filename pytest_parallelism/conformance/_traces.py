"""What a closed pool must not leave: processes, threads, shared memory, files, descriptors."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing.util
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "end_session",
    "foreign",
    "in_session",
    "lasting",
    "left",
    "leftovers",
    "memory_entries",
    "own_temporary_files",
    "remaining",
    "runs",
    "state",
]

_HELPERS = re.compile(r"resource_tracker|forkserver")
"""Processes of Python and loky that serve the whole session and stay after a pool is closed."""

_SHARED = Path("/dev/shm")  # noqa: S108  # looked at, never written
_POLL_SECONDS = 0.01
_TCP_CLOSE = 7
"""A state of tcp_info (linux/tcp.h): the connection is over on both sides."""
_THREADS = 17
"""Where proc(5) says how many threads a process has, among the fields after its name."""


@contextlib.contextmanager
def own_temporary_files(folder: Path) -> Iterator[None]:
    """Temporary files of this process and its children stand in ``folder``."""
    multiprocessing.util.get_temp_dir()  # made once a session, and its own to remove at exit
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]


def leftovers(folder: Path) -> set[str]:
    """What is there now, by name, of what a closed pool must not leave."""
    found = {f"process {pid}" for pid in _children()}  # first, for the next line reaps
    found |= {f"process {process.pid}" for process in multiprocessing.active_children()}
    found |= {f"file {path.name}" for path in folder.iterdir()}
    found |= {f"thread {thread.name}" for thread in threading.enumerate()}
    return found | {f"memory {name}" for name in memory_entries() if str(os.getpid()) in name}


def _descriptors() -> set[str]:
    """Open descriptors of this process, with what they are open on."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the one that reads the folder is gone
            found.add(f"descriptor {entry.name} on {entry.readlink()}")
    return found


def state(folder: Path) -> set[str]:
    """All that is there before a pool is opened."""
    return leftovers(folder) | _descriptors() | {f"memory {name}" for name in memory_entries()}


def _spent() -> set[str]:
    """Descriptors on nothing, and on connections that are closed.

    The cores of some engines keep such in this process for good.
    """
    found = set()
    for name in _descriptors():
        number = int(name.split()[1])
        if name.endswith(f" on {os.devnull}") or (" on socket:" in name and _closed(number)):
            found.add(name)
    return found


def _closed(number: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    return False


def remaining(
    before: set[str], folder: Path, patience: float, pids: Sequence[int] = (), *, engine: bool = False
) -> set[str]:
    """What is there beyond ``before``, and which of ``pids`` live, and stays so for ``patience`` seconds.

    ``engine``: the library of an engine has run here, which may keep descriptors that are spent.
    """

    def look() -> set[str]:
        found = _now(folder, pids) - before
        if engine:
            found -= _spent()
        memory = {name for name in found if name.startswith("memory ")}
        return found - {name for name in memory if foreign(name.removeprefix("memory "))}

    return lasting(look, patience)


def lasting(look: Callable[[], set[str]], patience: float) -> set[str]:
    """What ``look`` still finds after ``patience`` seconds; nothing as soon as it finds nothing.

    A killed process and a released thread take a moment to go, and what only a reference cycle holds goes
    when Python collects it.
    """
    end = time.monotonic() + patience
    while (found := look()) and time.monotonic() < end:
        gc.collect()
        time.sleep(_POLL_SECONDS)
    return found and found & look()  # what another program had for a moment is gone


def _now(folder: Path, pids: Sequence[int]) -> set[str]:
    started = {f"process {pid} of a task" for pid in pids if left(pid)}
    return leftovers(folder) | _descriptors() | started | {f"memory {name}" for name in memory_entries()}


def memory_entries() -> set[str]:
    """Names in /dev/shm."""
    return {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()


def foreign(name: str) -> bool:
    """Whether a process that is none of ours has it mapped, or is told by its name; so too what is gone."""
    ours = {os.getpid(), *_children()}
    if any(runs(pid) for pid in set(map(int, re.findall(r"\d+", name))) - ours):
        return True
    try:
        entry = (_SHARED / name).stat()
    except FileNotFoundError:
        return True
    # A semaphore is mapped under another name, and then linked to its own (sem_open in glibc).
    mapped = f" {os.major(entry.st_dev):02x}:{os.minor(entry.st_dev):02x} {entry.st_ino} "
    others = (maps for maps in Path("/proc").glob("[0-9]*/maps") if int(maps.parent.name) not in ours)
    return any(mapped in (_read(maps) or "") for maps in others)


class _Process(NamedTuple):
    """What proc(5) says in ``stat``."""

    ended: bool
    parent: int
    session: int


def _process(pid: int) -> _Process | None:
    fields = (_read(Path(f"/proc/{pid}/stat")) or "").rpartition(")")[2].split()
    if not fields:
        return None
    ended = fields[0] in "ZX" and int(fields[_THREADS]) <= 1  # its first thread may end before the others
    return _Process(ended, int(fields[1]), int(fields[3]))


def runs(pid: int) -> bool:
    """Whether the process has not ended."""
    process = _process(pid)
    return process is not None and not process.ended


def left(pid: int) -> bool:
    """Whether it runs, or has ended and we are who must reap it; init reaps orphans when it likes."""
    process = _process(pid)
    return process is not None and not (process.ended and process.parent != os.getpid())


def in_session(leader: int) -> list[int]:
    """Processes of the session that this process began; ended ones where one of it must reap them."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = {pid: process for pid in pids if (process := _process(pid)) and process.session == leader}
    return [pid for pid, process in found.items() if not process.ended or process.parent in found]


def end_session(leader: int) -> None:
    """Kills what is left of it."""
    for pid in in_session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _children() -> Iterator[int]:
    """Processes of this one, the ended that nobody reaped too; helpers of Python are none of ours."""
    for thread in Path("/proc/self/task").glob("*"):
        for pid in (_read(thread / "children") or "").split():
            command = _read(Path(f"/proc/{pid}/cmdline"))
            if command is not None and not _HELPERS.search(command):
                yield int(pid)


def _read(path: Path) -> str | None:
    """A file of /proc, None where its thread or process ended after it was listed, or is not ours."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
