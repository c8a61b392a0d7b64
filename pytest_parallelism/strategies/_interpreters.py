"""A pool of interpreters in threads of the parent, each with a lock (GIL) of its own."""

from __future__ import annotations

import os
import pickle
import select
import sys
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from typing import Any

from ..envelope import hand_over, open_handed, pack, rendezvous, run_ending, worker_settings
from ..errors import PoolError
from ..strategy import StrategyOptions
from ..workers import bounded
from ._chunks import auto_chunk
from ._executors import Send
from ._threads import ThreadsPool

__all__ = ["InterpretersPool"]

_CLOSE_SECONDS = 1.0


class InterpretersPool(ThreadsPool):
    """An InterpreterPoolExecutor that is fed functions by value.

    Tasks are ended as in `ThreadsPool`. An interpreter ends only when the threads of its tasks have ended;
    closing waits a second for that, and then raises `PoolError`.
    """

    chunk_rule = staticmethod(auto_chunk)

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        self._theirs, self._line = os.pipe()
        super().__init__(workers, "interpreters", options)

    def _made(self, prefix: str) -> ThreadPoolExecutor:
        settings = pickle.dumps(worker_settings())
        library: Any = futures  # mypy reads it as Python 3.10 has it
        executor: ThreadPoolExecutor = library.InterpreterPoolExecutor(
            self.workers, prefix, initializer=_begin, initargs=(tuple(sys.path), self._theirs, settings)
        )
        return executor

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        by_value = self._options.by_value
        blob = pack(fn, by_value)
        return lambda start, chunk: self._executor.submit(
            run_ending, blob, hand_over(chunk, by_value, start), start
        )

    def open_answer(self, answer: Any) -> list[Any]:
        """See `Sending`."""
        return open_handed(answer)

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if isinstance(exc, BrokenExecutor):
            return PoolError(f"an interpreter could not be started: {exc}")
        return exc

    def start(self) -> None:
        """Starts the interpreters and proves that they run at once."""
        bounded(self._make_daemons, self._options.start_timeout)
        rendezvous(
            self.map,
            self.workers,
            timeout=self._options.start_timeout,
            noun="interpreters",
            processes=False,
            by_files=True,
            initializer=self._options.initializer,
        )

    def close(self) -> None:
        """See `ThreadsPool`."""
        if self.busy():
            self.kill()
            return
        self._hang_up()
        if not bounded(self._executor.shutdown, _CLOSE_SECONDS):
            raise PoolError(
                "an interpreter ends only when the threads of its tasks have ended, and one of them still "
                "runs: end each thread in the task that starts it"
            )
        self._forget()

    def kill(self) -> None:
        """See `ThreadsPool`."""
        super().kill()
        if not self.alive() or self._heard():
            self._forget()
        self._hang_up()

    def _end_tasks(self) -> None:
        if self._line >= 0:
            os.write(self._line, b"x" * self.workers)

    def _hang_up(self) -> None:
        line, self._line = self._line, -1
        if line >= 0:
            os.close(line)

    def _heard(self) -> bool:
        """Whether each interpreter has taken its byte; Windows does not tell."""
        if sys.platform == "win32":
            return False
        return self._theirs >= 0 and not select.select([self._theirs], [], [], 0)[0]

    def _forget(self) -> None:
        # Not before they have all stopped reading, or they would read from another file of the same number.
        theirs, self._theirs = self._theirs, -1
        if theirs >= 0:
            os.close(theirs)

    def _make_daemons(self) -> None:
        executor: Any = self._executor
        for _ in range(self.workers):
            executor._adjust_thread_count()  # a task would find the first one idle again


def _begin(path: Sequence[str], line: int, settings: bytes) -> None:
    # Runs in the new interpreter, where it must find all that it needs by itself.
    import sys

    sys.path[:] = path
    from pytest_parallelism.envelope import start_interpreter

    start_interpreter(line, settings)
