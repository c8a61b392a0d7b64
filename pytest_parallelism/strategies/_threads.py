"""A pool of threads of the parent."""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..envelope import Failure, RunningTasks, attempt
from ..errors import PoolError
from ..strategy import StrategyOptions
from ..workers import bounded
from ._executors import Send
from ._streaming import Asker, StreamingThreads, TaskThreads

__all__ = ["Stopped", "ThreadsPool", "ThreadsStreamingPool"]

_JOIN_SECONDS = 0.5
_numbers = itertools.count()


class Stopped(Exception):
    """Carries a task's error out of where it runs, unchanged."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class ThreadsPool(TaskThreads):
    """A ThreadPoolExecutor, one item at a time."""

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

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
        bounded(self._make_daemons, self._options.start_timeout)
        self.meet(self._options)

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
        for thread in self.alive():
            thread.join(max(0.0, end - time.monotonic()))
        self._tasks.spare()
        for thread in self.alive():
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

    def alive(self) -> Sequence[threading.Thread]:
        """See `TaskThreads`."""
        return [thread for thread in threading.enumerate() if thread.name.startswith(self._prefix + "_")]


class ThreadsStreamingPool(StreamingThreads, ThreadsPool):
    """A ThreadPoolExecutor whose threads take chunks from a queue of ours as long as there are some.

    A call of the executor for each chunk, and a future, would cost more than a no-op's queue, waking and
    call together.
    """

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers, name, options)
        self._lock = threading.Lock()
        self._takers = 0
        self._killed = False
        self._waiting: deque[tuple[Asker, int, Sequence[Any]]] = deque()

    def offer(self, asker: Asker, start: int, chunk: Sequence[Any]) -> None:
        """See `StreamingThreads`."""
        self._waiting.append((asker, start, chunk))
        if self._killed:  # asked after the append: `kill` tells those that came before it
            raise PoolError("the pool was closed")
        with self._lock:
            if self._takers == self.workers:
                return
            self._takers += 1
        try:
            self._executor.submit(self._take)
        except BaseException as exc:
            with self._lock:
                self._takers -= 1
            if isinstance(exc, RuntimeError):  # it was shut down
                raise PoolError("the pool was closed") from None
            raise

    def busy(self) -> bool:
        """See `ExecutorPool`; a thread that could not be ended may be, for ever."""
        return self._killed or super().busy()

    def kill(self) -> None:
        """See `TaskThreads`."""
        self._killed = True
        super().kill()
        for asker in tuple(self.askers):
            asker.fail(PoolError("the pool was closed"))

    def _take(self) -> None:
        take = self._waiting.popleft
        while True:
            try:
                asker, start, chunk = take()
            except IndexError:
                with self._lock:
                    if not self._waiting:
                        self._takers -= 1
                        return
                continue
            asker.put((start, self._attempt(asker.fn, chunk) if asker.wants() else None))
            if self.user_executor.outstanding:  # its calls have waited behind us
                with contextlib.suppress(RuntimeError):  # it was shut down
                    self._executor.submit(self._take)
                return


def _forget(thread: threading.Thread) -> None:
    """Keeps Python's exit from waiting for this thread, which may never end."""
    known: Any = getattr(concurrent.futures.thread, "_threads_queues", {})
    known.pop(thread, None)
