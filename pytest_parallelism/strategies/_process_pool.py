"""A pool of processes: concurrent.futures.ProcessPoolExecutor."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any

from ..envelope import enclose, pack, rendezvous, run, start_worker, unpack
from ..strategy import StrategyOptions
from ..workers import Started, bounded, end, hidden_main, lost, quiet_fork
from ._chunks import Deadline
from ._executors import ExecutorPool, Send

__all__ = ["ProcessesPool"]


class ProcessesPool(ExecutorPool):
    """A ProcessPoolExecutor that is fed functions by value.

    A timeout kills the workers, and so does a lost one; then the pool has ended. What stays after `close`
    is Python's own: its resource tracker, and its fork server where one was needed.
    """

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._method = method
        self._options = options
        self._started = Started()
        self._processes: Sequence[BaseProcess] = ()
        # A fork server outlives the parent as long as one of its workers does.
        tied = method != "forkserver" and threading.current_thread() is threading.main_thread()
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context(method),
            initializer=start_worker,
            initargs=(options.native_threads, tied),
        )

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return [process.pid for process in self._processes if process.pid]

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": self._method}

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        by_value = self._options.by_value
        blob = pack(fn, by_value)
        return lambda start, chunk: self._executor.submit(run, blob, enclose(chunk, by_value, start), start)

    def open_answer(self, answer: bytes) -> list[Any]:
        """See `Sending`."""
        return unpack(answer)

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if not isinstance(exc, BrokenExecutor):
            return exc
        error = lost(self._processes or self._started.processes())
        self.ended = str(error)
        return error

    def settle(self) -> None:
        """See `ExecutorPool`; reading a fork server's exit code beside the executor spoils it."""
        bounded(lambda: self._executor.shutdown(wait=True))

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        pids = ", ".join(map(str, self.pids()))
        error = deadline.error(f"its worker processes were killed ({pids})")
        self.ended = str(error)
        self.kill()
        return error

    def start(self) -> None:
        """Starts the processes and proves that they run at once."""
        options = self._options
        with hidden_main() if self._method != "fork" else quiet_fork():
            seen = rendezvous(
                self._meet,
                self.workers,
                timeout=options.start_timeout,
                noun="processes",
                initializer=options.initializer,
            )
        pids = {worker.pid for worker in seen}
        self._processes = [process for process in self._started.processes() if process.pid in pids]

    def close(self) -> None:
        """Lets the workers end; kills them where a failed map left one busy."""
        if self.ended or self.busy() or not bounded(lambda: self._executor.shutdown(wait=True)):
            self.kill()

    def kill(self) -> None:
        """Kills the workers and what they started."""
        end(self._processes or self._started.processes())
        bounded(lambda: self._executor.shutdown(wait=True, cancel_futures=True))

    def _meet(self, fn: Callable[[int], Any], tickets: Sequence[int]) -> list[Any]:
        seconds = self._options.start_timeout
        return self.map(fn, tickets, chunk_size=1, timeout=2 * seconds)
