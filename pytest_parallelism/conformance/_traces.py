"""What a pool may leave behind, as names that can be compared."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["leftovers", "remaining"]

_GRACE_SECONDS = 2.0

_HELPERS = re.compile(r"resource_tracker|forkserver")
"""Processes of Python and loky that serve the whole session and stay after a pool is closed."""


def leftovers(folder: Path) -> set[str]:
    """What a closed pool must not leave, by name."""
    found = {f"process {process.pid}" for process in multiprocessing.active_children()}
    found |= {f"process {pid}" for pid in _children()}
    found |= {f"file {path.name}" for path in folder.iterdir()}
    found |= {f"thread {thread.name}" for thread in threading.enumerate()}
    shared = Path("/dev/shm")  # noqa: S108  # looked at, never written
    if shared.is_dir():
        found |= {f"memory {path.name}" for path in shared.iterdir() if str(os.getpid()) in path.name}
    return found


def remaining(before: set[str], folder: Path) -> set[str]:
    """What is left beside what was there before; a thread that is told to end takes a moment."""
    end = time.monotonic() + _GRACE_SECONDS
    while (left := leftovers(folder) - before) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def _children() -> Iterator[int]:
    """Processes of this one, the ended that nobody reaped too; helpers of Python are none of ours."""
    for thread in Path("/proc/self/task").glob("*"):
        for pid in (_read(thread / "children") or "").split():
            command = _read(Path(f"/proc/{pid}/cmdline"))
            if command is not None and not _HELPERS.search(command):
                yield int(pid)


def _read(path: Path) -> str | None:
    """A file of /proc, None where its thread or process ended after it was listed."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
