"""What a process inherits from its parent, though a fork server start it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Inherited"]


class Inherited:
    """Among what a process is started with, gives it the environment, stdout and stderr of its parent.

    Of others than a fork server it has these anyway. The server passes on its own, those of its start, and
    is started once in a process: what capture and the environment were then, they are no longer.
    """

    def __reduce__(self) -> Any:
        from multiprocessing.context import get_spawning_popen

        if getattr(get_spawning_popen(), "method", None) != "forkserver":
            return Inherited, ()
        from multiprocessing.reduction import DupFd

        return _taken, (dict(os.environ), [(number, DupFd(number)) for number in (1, 2) if _is_open(number)])


def _taken(environment: Mapping[str, str], streams: Sequence[tuple[int, Any]]) -> Inherited:
    # Only what differs: libc keeps each variable that is set on the heap, which it cannot give back below it.
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items() - os.environ.items():
        os.environ[name] = value
    for number, sent in streams:
        came = sent.detach()
        os.dup2(came, number)
        os.close(came)
    return Inherited()


def _is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False
