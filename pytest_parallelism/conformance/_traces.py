"""What a closed pool must not leave: processes, threads, shared memory, files, descriptors."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing.util
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = [
    "alive",
    "end_session",
    "foreign",
    "in_session",
    "leftovers",
    "memory_entries",
    "own_temporary_files",
    "remaining",
    "state",
]

_HELPERS = re.compile(r"resource_tracker|forkserver")
"""Processes of Python and loky that serve the whole session and stay after a pool is closed."""

_SHARED = Path("/dev/shm")  # noqa: S108  # looked at, never written
_POLL_SECONDS = 0.01


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


def remaining(before: set[str], folder: Path, patience: float, pids: Sequence[int] = ()) -> set[str]:
    """What is there beyond ``before``, and which of ``pids`` live, and stays so for ``patience`` seconds.

    A killed process takes a moment to go, and descriptors that only a reference cycle holds are closed when
    Python collects it.
    """
    end = time.monotonic() + patience
    left = _now(folder, pids) - before
    if left:
        gc.collect()
    while left and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        left = _now(folder, pids) - before
        left -= {
            name for name in left if name.startswith("memory ") and foreign(name.removeprefix("memory "))
        }
    return left


def _now(folder: Path, pids: Sequence[int]) -> set[str]:
    started = {f"process {pid} of a task" for pid in pids if alive(pid)}
    return leftovers(folder) | _descriptors() | started | {f"memory {name}" for name in memory_entries()}


def memory_entries() -> set[str]:
    """Names in /dev/shm."""
    return {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()


def foreign(name: str) -> bool:
    """Whether a process that is none of ours has it mapped, or is told by its name; so too what is gone."""
    ours = {os.getpid(), *_children()}
    if any(alive(pid) for pid in set(map(int, re.findall(r"\d+", name))) - ours):
        return True
    try:
        entry = (_SHARED / name).stat()
    except FileNotFoundError:
        return True
    # A semaphore is mapped under another name, and then linked to its own (sem_open in glibc).
    mapped = f" {os.major(entry.st_dev):02x}:{os.minor(entry.st_dev):02x} {entry.st_ino} "
    others = (maps for maps in Path("/proc").glob("[0-9]*/maps") if int(maps.parent.name) not in ours)
    return any(mapped in (_read(maps) or "") for maps in others)


def alive(pid: int) -> bool:
    """Whether there is such a process, ended and not reaped ones included."""
    return Path(f"/proc/{pid}").exists()


def in_session(leader: int) -> list[int]:
    """Processes of the session that this process began."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = (_read(stat) or "").rpartition(")")[2].split()  # proc(5): state, ppid, pgrp, session …
        if fields and int(fields[3]) == leader:
            found.append(int(stat.parent.name))
    return found


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
