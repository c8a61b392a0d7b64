"""A pool of threads of the parent."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..envelope import Failure, attempt, rendezvous
from ..strategy import StrategyOptions
from ._chunks import Deadline, one_by_one
from ._executors import ExecutorPool, Send

__all__ = ["ThreadsPool"]

_JOIN_SECONDS = 1.0
_numbers = itertools.count()


class ThreadsPool(ExecutorPool):
    """A ThreadPoolExecutor, one item at a time.

    Nothing can end a thread from outside: after a timeout the error names those that still run, and the
    pool has ended. Python itself waits for them at its exit.
    """

    chunk_rule = staticmethod(one_by_one)

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._options = options
        self._prefix = f"{name}-{next(_numbers)}"
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=self._prefix)

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        return lambda _start, chunk: self._executor.submit(attempt, fn, chunk)

    def open_answer(self, answer: tuple[list[Any], Failure | None]) -> list[Any]:
        """See `Sending`."""
        results, failure = answer
        if failure:
            raise failure.error
        return results

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        left = ", ".join(thread.name for thread in self._alive())
        error = deadline.error(f"Python cannot end a thread, so these were left running: {left}")
        self.ended = str(error)
        return error

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
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
        """Waits a second for the threads at most."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + _JOIN_SECONDS
        for thread in self._alive():
            thread.join(max(0.0, end - time.monotonic()))

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith(self._prefix + "_")]
