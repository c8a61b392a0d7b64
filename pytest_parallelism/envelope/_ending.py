"""Ends Python code from another thread, by an exception that Python raises in it when it likes."""

from __future__ import annotations

import contextlib
import sys
import threading
import time

__all__ = ["RunningTasks", "raise_in", "take_back"]


class _Ended(BaseException):
    """Raised inside a task that must end; no ``except Exception`` of a user catches it."""


class RunningTasks:
    """The threads that run a task at this moment, and how to end their tasks.

    Python raises an exception in another thread between two of its bytecodes, at a time of its own choice
    (``PyThreadState_SetAsyncExc``, Python/C API). So a thread that leaves its task says so first, waits
    while somebody strikes, and drops what did not reach it: an idle thread is never hit. To be entered by
    each thread around each task.
    """

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._struck: set[int] = set()
        self._striking = False
        self._over = False

    def __enter__(self) -> None:
        """This thread runs a task from now on; after `end`, none begins."""
        thread = threading.get_ident()
        self._running.add(thread)
        if self._over:
            self._leave(thread)
            raise _Ended

    def __exit__(self, *_: object) -> None:
        self._leave(threading.get_ident())

    @staticmethod
    def ended(error: BaseException) -> bool:
        """Whether a task was ended by `end`."""
        return isinstance(error, _Ended)

    def end(self) -> None:
        """Raises in every thread that runs a task, once a task."""
        self._over = self._striking = True
        try:
            for thread in list(self._running):  # in one step, unlike tuple(), even where there is no GIL
                self._running.discard(thread)
                self._struck.add(thread)
                raise_in(thread, _Ended)
        finally:
            self._striking = False

    def spare(self) -> None:
        """Takes back what has not reached its thread, where that harms others.

        A pending exception keeps the whole interpreter's ``eval_breaker`` set before Python 3.13, and under
        a trace function Python 3.11 then never leaves the first bytecode of a function (our measurement).
        """
        if sys.version_info[:2] == (3, 11):
            for thread in list(self._struck):
                raise_in(thread, None)
            take_back(_Ended)

    def _leave(self, thread: int) -> None:
        self._running.discard(thread)
        if not self._over:
            return
        while self._striking:
            time.sleep(0.0001)
        if thread in self._struck:
            self._struck.discard(thread)
            take_back(_Ended)


def raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Sets an exception for a thread (`threading.get_ident`), or takes back what was not raised yet."""
    import ctypes  # it takes 3 ms, and few tasks hang

    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def take_back(kind: type[BaseException]) -> None:
    """Takes back what was set for this thread and has not come; ``kind`` is what was set.

    Only one that arrives resets ``eval_breaker``, so this raises and catches one more.
    """
    thread = threading.get_ident()
    raise_in(thread, None)
    with contextlib.suppress(kind):
        raise_in(thread, kind)
        while True:
            time.sleep(0)
