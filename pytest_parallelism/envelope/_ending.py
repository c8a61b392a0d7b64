"""Tasks in threads that must end although they do not want to."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

__all__ = ["RunningTasks"]


class _Ended(BaseException):
    """Raised inside a task that must end; no ``except Exception`` of a user catches it."""


class RunningTasks:
    """The threads that run a task at this moment, and how to end their tasks.

    Python raises an exception in another thread between two of its bytecodes, at a time of its own choice
    (``PyThreadState_SetAsyncExc``, Python/C API). So a thread that leaves its task says so first, waits
    while somebody strikes, and drops what did not reach it: an idle thread is never hit.
    """

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._struck: set[int] = set()
        self._striking = False
        self._over = False

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """While this thread runs a task; after `end`, none begins."""
        thread = threading.get_ident()
        self._running.add(thread)
        try:
            if self._over:
                raise _Ended
            yield
        finally:
            self._running.discard(thread)
            if self._over:
                self._drop(thread)

    def end(self) -> None:
        """Raises in every thread that runs a task, once a task."""
        self._over = self._striking = True
        try:
            for thread in tuple(self._running):
                self._running.discard(thread)
                self._struck.add(thread)
                _raise_in(thread, _Ended)
        finally:
            self._striking = False

    def spare(self) -> None:
        """Takes back what has not reached its thread, where that harms others.

        A pending exception keeps the whole interpreter's ``eval_breaker`` set before Python 3.13, and under
        a trace function Python 3.11 then never leaves the first bytecode of a function (our measurement).
        """
        if sys.version_info[:2] == (3, 11):
            for thread in tuple(self._struck):
                _raise_in(thread, None)
            _raise_here()

    def _drop(self, thread: int) -> None:
        while self._striking:
            time.sleep(0.0001)
        if thread in self._struck:
            self._struck.discard(thread)
            _raise_in(thread, None)
            _raise_here()


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    import ctypes  # it takes 3 ms, and few tasks hang

    # Without a type, it takes back what was not raised yet.
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _raise_here() -> None:
    # Only an exception that arrives resets ``eval_breaker``; one that is taken back leaves it set.
    with contextlib.suppress(_Ended):
        _raise_in(threading.get_ident(), _Ended)
        while True:
            time.sleep(0)
