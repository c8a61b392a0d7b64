"""A pool of threads of the parent."""

from __future__ import annotations

import concurrent.futures.thread
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..envelope import Failure, RunningTasks, attempt, preparing, rendezvous
from ..errors import PoolError
from ..strategy import StrategyOptions
from ..workers import bounded
from ._chunks import ChunkRule, Deadline, one_by_one
from ._executors import ExecutorPool, Send

__all__ = ["Stopped", "ThreadsPool"]

_JOIN_SECONDS = 0.5
_numbers = itertools.count()


class Stopped(Exception):
    """Carries a task's error out of where it runs, unchanged."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class ThreadsPool(ExecutorPool):
    """A ThreadPoolExecutor, one item at a time.

    After a timeout, tasks in Python code are ended by an exception and the pool has ended. Nothing can end
    a thread that waits or computes in C: the error names it, and neither the pool nor Python's exit waits
    for it.
    """

    chunk_rule: ChunkRule = staticmethod(one_by_one)

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._options = options
        self._prefix = f"{name}-{next(_numbers)}"
        self._executor = self._made(self._prefix)
        self._tasks = RunningTasks()

    def _made(self, prefix: str) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, thread_name_prefix=prefix)

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        return lambda _start, chunk: self._executor.submit(self._attempt, fn, chunk)

    def raising(self, fn: Callable[[Any], Any]) -> Send:
        """Like `sender`, but its futures give results, or raise `Stopped`."""
        return lambda _start, chunk: self._executor.submit(self._results, fn, chunk)

    def open_answer(self, answer: tuple[list[Any], Failure | None]) -> list[Any]:
        """See `Sending`."""
        results, failure = answer
        if failure and RunningTasks.ended(failure.error):
            raise PoolError(f"the pool has ended, and this task with it: {self.ended or 'it was closed'}")
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
            initializer=preparing(self._options.native_threads, self._options.initializer),
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
        self._end_tasks()
        end = time.monotonic() + (0 if self.ended else _JOIN_SECONDS)
        for thread in self._alive():
            thread.join(max(0.0, end - time.monotonic()))
        self._tasks.spare()
        for thread in self._alive():
            _forget(thread)

    def _end_tasks(self) -> None:
        self._tasks.end()

    def _attempt(self, fn: Callable[[Any], Any], chunk: Sequence[Any]) -> tuple[list[Any], Failure | None]:
        with self._tasks:
            return attempt(fn, chunk)

    def _results(self, fn: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
        results, failure = self._attempt(fn, chunk)
        if failure:
            raise Stopped(failure.error)
        return results

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
