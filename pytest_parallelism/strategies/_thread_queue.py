"""A pool of threads of the parent that take chunks from a queue."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from queue import SimpleQueue
from typing import Any

from ..envelope import RunningTasks, attempt
from ..errors import PoolError
from ..strategy import StrategyOptions
from ._executors import Send
from ._streaming import Answer, Asker, StreamingThreads

__all__ = ["ThreadQueuePool"]

_JOIN_SECONDS = 0.5
_numbers = itertools.count()


class ThreadQueuePool(StreamingThreads):
    """Threads of its own and one queue of chunks for all."""

    def __init__(self, workers: int, name: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._options = options
        self._chunks: SimpleQueue[tuple[Asker, int, Sequence[Any]] | None] = SimpleQueue()
        self._running = RunningTasks()
        self._over = False
        number = next(_numbers)
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}_{i}", daemon=True)
            for i in range(workers)
        ]

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`: only the executor sends so."""

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            call = _Call(fn, self.askers.discard)
            self.askers.add(call)
            self.offer(call, start, chunk)
            return call.future

        return send

    def offer(self, asker: Asker, start: int, chunk: Sequence[Any]) -> None:
        """See `StreamingThreads`."""
        if self._over:
            raise PoolError("the pool was closed")
        self._chunks.put((asker, start, chunk))

    def alive(self) -> Sequence[threading.Thread]:
        """See `TaskThreads`."""
        return [thread for thread in self._threads if thread.is_alive()]

    def start(self) -> None:
        """Starts the threads and proves that they run at once."""
        for thread in self._threads:
            thread.start()
        self.meet(self._options)

    def close(self) -> None:
        """Waits for the threads, unless a task that nobody waits for keeps one busy."""
        if self._over or self.busy():
            self.kill()
            return
        self._dismiss()
        for thread in self._threads:
            thread.join()

    def kill(self) -> None:
        """Ends the tasks that run, and waits half a second for the threads at most."""
        if not self._over:
            self._over = True
            self._running.end()
            self._dismiss()
            for asker in tuple(self.askers):
                asker.fail(PoolError("the pool was closed"))
        end = time.monotonic() + _JOIN_SECONDS
        for thread in self.alive():
            thread.join(max(0.0, end - time.monotonic()))
        self._running.spare()

    def _run(self) -> None:
        try:
            with self._running:  # all the time: who is ended while idle has nothing more to do
                self._work()
        except BaseException:
            if not self._over:
                raise

    def _work(self) -> None:
        take = self._chunks.get
        while not self._over and (job := take()) is not None:
            asker, start, chunk = job
            asker.put((start, attempt(asker.fn, chunk) if asker.wants() else None))
            del job, asker, chunk  # or a thread would keep the last items while it waits

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._chunks.put(None)


class _Call:
    """One chunk whose answer is a future's."""

    def __init__(self, fn: Callable[[Any], Any], done: Callable[[_Call], object]) -> None:
        self.fn = fn
        self.future: Future[Any] = Future()
        self._done = done

    def wants(self) -> bool:
        """See `Asker`: unless its future was cancelled."""
        return self.future.set_running_or_notify_cancel()

    def put(self, came: tuple[int, Answer | None]) -> None:
        """See `Asker`."""
        self._done(self)
        if came[1] is not None:
            self._set(lambda: self.future.set_result(came[1]))

    def fail(self, error: BaseException) -> None:
        """See `Asker`."""
        self._done(self)
        if not self.future.cancel():
            self._set(lambda: self.future.set_exception(error))

    def _set(self, give: Callable[[], object]) -> None:
        with contextlib.suppress(InvalidStateError):  # it was ended with the pool
            give()
