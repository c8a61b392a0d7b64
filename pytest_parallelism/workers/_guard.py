"""The guard of a `Site`: ends what is left of it when the process that made it has been killed.

Started as a program, with its parent's id, the mark and the folder; imports the standard library only. Its
standard input ends with its parent, or says that there is nothing to do any more.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

__all__ = ["MARK", "marked"]

MARK = "PYTEST_PARALLELISM_CLUSTER"
"""The variable that processes of a cluster have: its mark, behind those of clusters whose task started it."""
_LOOK_SECONDS = 1.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.02
_BETWEEN_SECONDS = 0.001
_TRIES = 200
_PLACES = slice(42, 49)
"""``start_data`` to ``env_end`` of the fields of ``stat`` behind the name, see proc(5). Linux notes where the
data is after where the environment is (load_elf_binary in fs/binfmt_elf.c)."""
_KERNEL = (b"0", b"2")
"""The parents of the kernel's own threads, which have neither a command line nor an environment."""


def marked(mark: str) -> set[int]:
    """Processes of the cluster with that mark, and their descendants: some write over their environment."""
    wanted = mark.encode()
    children: dict[int, list[int]] = {}
    found = set()
    for pid, parent, variables in _listed() if os.path.isdir("/proc/self") else _told():  # noqa: PTH112  # no pathlib: it starts quickly
        children.setdefault(parent, []).append(pid)
        if wanted in variables:
            found.add(pid)
    waiting = list(found)
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(new)
        waiting += new
    return found - {os.getpid()}


def _listed() -> Iterator[tuple[int, int, bytes]]:
    """Each process that has not ended: its id, its parent's, and whatever in its environment is a mark."""
    for entry in os.listdir("/proc"):  # noqa: PTH208  # the same
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, parent = _read(f"/proc/{entry}/stat").rpartition(b")")[2].split()[:2]
            if state in b"ZX":
                continue
            variables = b""
            with contextlib.suppress(OSError):  # another user's
                variables = _environment(entry, patient=parent not in _KERNEL)
            yield int(entry), int(parent), _marks(variables.split(b"\0"))


def _environment(pid: str, *, patient: bool) -> bytes:
    """It is empty for a moment while a process becomes another program (execve(2)).

    One without any has its data by then, and an empty place for an environment. A single reading tells both:
    at the next it may be becoming yet another.
    """
    for _ in range(_TRIES if patient else 1):
        variables = _read(f"/proc/{pid}/environ")
        if variables:
            return variables
        data, *_, start, end = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[_PLACES]
        if data != b"0" and start == end:
            return b""
        time.sleep(_BETWEEN_SECONDS)
    return b""


def _told() -> Iterator[tuple[int, int, bytes]]:
    """The same where the system has no /proc (macOS)."""
    with contextlib.suppress(OSError):
        command = ["ps", "axeww", "-o", "pid=,ppid=,stat=,command="]
        told = subprocess.run(command, capture_output=True, check=False).stdout  # noqa: S603  # fixed words
        for line in told.splitlines():
            pid, parent, state, *words = line.split()
            if not state.startswith(b"Z"):
                yield int(pid), int(parent), _marks(words)


def _marks(variables: list[bytes]) -> bytes:
    return b" ".join(one for one in variables if one.startswith(f"{MARK}=".encode()))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # the same
        return file.read()


def _orphaned(parent: int) -> bool:
    """Waits until our parent has gone; False where it says that nothing is left to do."""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready:
            return not os.read(0, 16)
        if os.getppid() != parent:  # a forked child holds the other end of our input
            return True


def _main(parent: str, mark: str, folder: str) -> None:
    if not _orphaned(int(parent)):
        return
    limit = time.monotonic() + _END_SECONDS
    while (pids := marked(mark)) and time.monotonic() < limit:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
