"""A pool of threads of the parent."""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import ctypes
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..envelope import Failure, attempt, rendezvous
from ..strategy import StrategyOptions
from ..workers import bounded
from ._chunks import Deadline, one_by_one
from ._executors import ExecutorPool, Send

__all__ = ["RunningTasks", "ThreadsPool"]

_JOIN_SECONDS = 0.5
_numbers = itertools.count()


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
    # Without a type, it takes back what was not raised yet.
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _raise_here() -> None:
    # Only an exception that arrives resets ``eval_breaker``; one that is taken back leaves it set.
    with contextlib.suppress(_Ended):
        _raise_in(threading.get_ident(), _Ended)
        while True:
            time.sleep(0)


class ThreadsPool(ExecutorPool):
    """A ThreadPoolExecutor, one item at a time.

    After a timeout, tasks in Python code are ended by an exception and the pool has ended. Nothing can end
    a thread that waits or computes in C: the error names it, and neither the pool nor Python's exit waits
    for it.
    """

    chunk_rule = staticmethod(one_by_one)

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._options = options
        self._prefix = f"{name}-{next(_numbers)}"
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=self._prefix)
        self._tasks = RunningTasks()

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        return lambda _start, chunk: self._executor.submit(self._attempt, fn, chunk)

    def open_answer(self, answer: tuple[list[Any], Failure | None]) -> list[Any]:
        """See `Sending`."""
        results, failure = answer
        if failure:
            raise failure.error
        return results

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        self.kill()
        left = ", ".join(thread.name for thread in self._alive())
        consequence = "its tasks were ended"
        if left:
            consequence = f"Python cannot end a thread that is in C code, so these were left running: {left}"
        error = deadline.error(consequence)
        self.ended = str(error)
        return error

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
        bounded(self._make_daemons, self._options.start_timeout)
        rendezvous(
            self.map,
            self.workers,
            timeout=self._options.start_timeout,
            noun="threads",
            processes=False,
            initializer=self._options.initializer,
        )

    def close(self) -> None:
        """Waits for the threads, unless a failed map left some running."""
        if self.busy():
            self.kill()
        else:
            self._executor.shutdown(wait=True)

    def kill(self) -> None:
        """Ends the tasks that run, and waits half a second for the threads at most; the second time not."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._tasks.end()
        end = time.monotonic() + (0 if self.ended else _JOIN_SECONDS)
        for thread in self._alive():
            thread.join(max(0.0, end - time.monotonic()))
        self._tasks.spare()
        for thread in self._alive():
            _forget(thread)

    def _attempt(self, fn: Callable[[Any], Any], chunk: Sequence[Any]) -> tuple[list[Any], Failure | None]:
        with self._tasks.here():
            return attempt(fn, chunk)

    def _make_daemons(self) -> None:
        # A thread is a daemon where the one that starts it is, as `bounded` has it; and the executor starts
        # one for each call that finds none idle.
        started = threading.Barrier(self.workers)
        for _ in range(self.workers):
            self._executor.submit(started.wait, self._options.start_timeout)

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith(self._prefix + "_")]


def _forget(thread: threading.Thread) -> None:
    """Keeps Python's exit from waiting for this thread, which may never end."""
    known: Any = getattr(concurrent.futures.thread, "_threads_queues", {})
    known.pop(thread, None)
