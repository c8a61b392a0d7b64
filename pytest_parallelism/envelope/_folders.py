"""Temporary folders that tell whose they are: what a process leaves that was killed, the next removes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

__all__ = ["owned_folder"]

_PREFIX = "pytest-parallelism-"
_DAY = 86_400.0
_START = 19
"""Of the fields of ``stat`` behind the name, see proc(5)."""


def owned_folder(where: str | None = None) -> str:
    """A new folder of this process, whose creator removes it; by default where temporary files belong.

    Removes first what processes have left there that were killed: at once where it can tell that they have
    ended, a day later where they ran in another container.
    """
    where = where or tempfile.gettempdir()
    _sweep(where)
    owner = "-".join(map(str, (os.getpid(), *_identity(os.getpid()))))
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{owner}-", dir=where)


def _sweep(where: str) -> None:
    own, _ = _identity(os.getpid())
    for folder in Path(where).glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):
            owner, namespace, started = map(int, folder.name.removeprefix(_PREFIX).split("-")[:-1])
            here, old = own and namespace == own, time.time() - folder.stat().st_mtime > _DAY
            if (here or old) and _identity(owner) != (namespace, started):
                shutil.rmtree(folder, ignore_errors=True)


def _identity(pid: int) -> tuple[int, int]:
    """Who that is beside its number, which others get later: the namespace of ids, and the start in ticks.

    Zeros where this process cannot tell, as of one that has ended.
    """
    with contextlib.suppress(OSError):
        started = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[_START]
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino, int(started)
    return 0, 0
