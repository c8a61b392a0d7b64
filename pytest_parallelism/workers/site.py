"""The site of a cluster of ours: its processes, which carry a mark, and its folder.

Engines start processes that start processes, in sessions of their own. What they all have is the environment
of the first: a variable in it tells ours from everything else on the machine, whoever their parents are.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import environment
from ._guard import MARK, marked
from .reaping import adopting, descendants

__all__ = ["MARK", "Site"]

_END_SECONDS = 5.0
_LONG = 30
_POLL_SECONDS = 0.005


class Site:
    """What a cluster consists of on this machine. `end` leaves nothing of it.

    A guard, a small process of its own, does what `end` does should this one be killed.
    """

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="pp-", dir=_short()))
        self._family: set[int] = set()
        self._guard = subprocess.Popen(  # noqa: S603  # Python itself
            [
                sys.executable,
                "-I",
                "-S",
                str(Path(__file__).with_name("_guard.py")),
                str(os.getpid()),
                self.mark,
                str(self.folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # Of no cluster itself: one whose task has made this site ends before we have cleared up.
            env={name: value for name, value in os.environ.items() if name != MARK},
        )

    @property
    def variables(self) -> Mapping[str, str]:
        """What processes of the cluster need in their environment: the mark, and where our modules are."""
        marks = f"{os.environ.get(MARK, '')}/{self.mark}"
        return {MARK: marks, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    @contextlib.contextmanager
    def starting(self, **variables: str) -> Iterator[None]:
        """Processes that start meanwhile are of this site, and have these variables too."""
        with environment.variables({**self.variables, **variables}):
            yield

    def pids(self) -> list[int]:
        """Its processes that run, and what they started; not this one and the guard."""
        return sorted(marked(self.mark) - {self._guard.pid})

    def last_line(self, log: str) -> str:
        """Of a file in its folder."""
        return (self.folder / log).read_text(errors="replace").strip().rpartition("\n")[2]

    def remember(self) -> None:
        """What is there now, `end` reaps where it is ours by then: while a pool is open, we adopt orphans."""
        pids = self.pids()
        self._family.update(pids, *map(descendants, pids))  # those too that have ended, and nobody has reaped

    def end(self) -> None:
        """Kills its processes with what they started, reaps those that are ours, and removes the folder."""
        limit = time.monotonic() + _END_SECONDS
        killed: set[int] = set()
        with adopting():
            self.remember()
            while (pids := self.pids()) and time.monotonic() < limit:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                killed.update(pids)
                time.sleep(_POLL_SECONDS)
            killed -= set(pids)
            for pid in sorted(self._family | killed):  # parents first: with them, their children become ours
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0 if pid in killed else os.WNOHANG)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._dismiss()

    def _dismiss(self) -> None:
        if self._guard.returncode is None:
            with contextlib.suppress(OSError):
                self._guard.communicate(b"done\n")


def _short() -> str:
    """The temporary folder, or the system's where its name is long: the path of a Unix socket has 107 bytes.

    Ray's sockets have names of 64.
    """
    folder = tempfile.gettempdir()
    system = "/tmp"  # noqa: S108  # the folder made there has a name that nobody knows
    return system if len(folder) > _LONG and os.access(system, os.W_OK) else folder
