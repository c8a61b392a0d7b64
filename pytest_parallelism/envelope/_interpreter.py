"""What an interpreter beside ours (PEP 734) does before its first task, and for each."""

from __future__ import annotations

import os
import pickle
import threading

from ._ending import RunningTasks
from ._settings import take_over
from ._speech import listen
from ._tasks import run

__all__ = ["run_ending", "start_interpreter"]

_running = RunningTasks()
_watching: threading.Thread | None = None
"""Kept: where there is no GIL, the thread that made it runs the callback of its end, and would meet there,
where every exception is ignored, the one that shall end its task."""


def start_interpreter(line: int, settings: bytes) -> None:
    """Initializer of an interpreter.

    ``line``: descriptor of a pipe; a byte from it ends the task that runs, as nobody outside of the
    interpreter could. Its end ends the thread that waits for it. ``settings``: a pickled `WorkerSettings`.
    """
    global _watching
    take_over(pickle.loads(settings))
    listen()
    _watching = threading.Thread(target=_wait, args=(line,), name="end-watch")
    _watching.start()


def _wait(line: int) -> None:
    if os.read(line, 1):
        _running.end()


def run_ending(blob: bytes, payload: bytes, start: int) -> bytes:
    """`run`, which a byte on the line ends."""
    with _running:
        return run(blob, payload, start)
