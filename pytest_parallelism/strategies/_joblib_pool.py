"""Pools on joblib: each map is one ``joblib.Parallel`` call, and a stream is on its backend's own submit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain
from typing import Any

from ..envelope import Failure, RunningTasks, adapted, attempt, preparing, rendezvous
from ..envelope._performing import Answer, perform
from ..envelope._shipping import Shipping, open_answer
from ..errors import PoolError
from ..resources import default_start_method
from ..strategy import StrategyOptions
from ..workers import lost
from ._chunks import Deadline, chunked
from ._executors import ExecutorPool, Send
from ._joblib import Lasting, LastingLoky, LastingMultiprocessing, LastingThreading

__all__ = ["LokyPool", "MultiprocessingPool", "ThreadingPool"]

_END_SECONDS = 0.5

Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ThreadingPool(ExecutorPool):
    """joblib's threading backend; the base of the other two.

    Chunks are of our making (``batch_size=1``): joblib's own batches adapt over many calls. After a timeout
    or a lost worker the pool has ended.
    """

    noun = "threads"
    backend_type: type[Lasting] = LastingThreading

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(workers)
        import joblib

        self._joblib = joblib
        self._options = options
        self._backend = self.backend_type.of(options)
        self._running = RunningTasks()
        self._busy: set[threading.Thread] = set()

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`."""
        self.usable()
        task = self._tasks(adapted(fn))
        tasks = [task(*chunk) for chunk in chunked(items, chunk_size, self.workers, self.chunk_rule)]
        parallel = self._joblib.Parallel(
            n_jobs=self.workers,
            backend=self._backend,
            batch_size=1,
            pre_dispatch="all",
            **self._options.extra,
        )
        with self._until(Deadline(timeout)):
            answers = parallel(tasks)
        return list(chain.from_iterable(map(self.open_answer, answers)))

    def ambient(self) -> AbstractContextManager[Any]:
        """See `HasAmbient`: ``joblib.Parallel()`` of user code runs on these workers."""
        config: AbstractContextManager[Any] = self._joblib.parallel_config(
            backend=self._backend, n_jobs=self.workers
        )
        return config

    def usable(self) -> None:
        """Raises `PoolError` once a fault has ended the workers; the fault itself, where nobody was told."""
        self._backend.notice_loss()
        untold, self._backend.untold = self._backend.untold, None
        if untold is not None:
            raise untold
        if self._backend.fault is not None:
            raise PoolError(f"this pool has ended, open a new one: {self._backend.fault}")

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        if not self._backend.started:  # a failing call of the user's has ended its workers
            self.map(str, range(self.workers))
        task = self._tasks(fn)

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            act, args, _ = task(start, chunk)
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()
            self._backend.submit(partial(act, *args), callback=partial(self._came, future))
            return future

        return send

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        error = deadline.error(self._consequence())
        self._backend.fail(error)
        self._backend.stop(kill=True)
        return error

    def open_answer(self, answer: Any) -> list[Any]:
        """Results of a chunk, or raises its error."""
        results, failure = answer
        if failure:
            raise failure.error
        return list(results)

    def start(self) -> None:
        """Starts the workers and proves that they run at once."""
        rendezvous(
            self._meet,
            self.workers,
            timeout=self._options.start_timeout,
            noun=self.noun,
            processes=self.noun == "processes",
            initializer=self._initializer(),
        )

    def _initializer(self) -> Callable[[], object] | None:
        return preparing(self._options.native_threads, self._options.initializer)

    def close(self) -> None:
        """Ends the workers."""
        self._backend.stop(kill=False)
        self._backend.join()

    def kill(self) -> None:
        """Ends the workers at once."""
        self._running.end()
        self._backend.stop(kill=True)
        self._backend.join()
        self._running.spare()

    def _came(self, future: Future[Any], out: Any) -> None:
        try:
            future.set_result(self._backend.retrieve_result_callback(out))
        except Exception as exc:  # noqa: BLE001  # it belongs to whoever waits
            future.set_exception(exc)

    def _meet(self, fn: Callable[[int], Any], tickets: Sequence[int]) -> list[Any]:
        return self.map(fn, tickets, chunk_size=1, timeout=2 * self._options.start_timeout)

    def _tasks(self, fn: Callable[[Any], Any]) -> Callable[[int, Sequence[Any]], Task]:
        return lambda _start, chunk: (self._attempt, (fn, chunk), {})

    def _attempt(self, fn: Callable[[Any], Any], chunk: Sequence[Any]) -> tuple[list[Any], Failure | None]:
        thread = threading.current_thread()
        self._busy.add(thread)
        try:
            with self._running:
                return attempt(fn, chunk)
        finally:
            self._busy.discard(thread)

    def _consequence(self) -> str:
        """Ends the tasks that run; what became of them."""
        self._running.end()
        end = time.monotonic() + _END_SECONDS
        while self._busy and time.monotonic() < end:
            time.sleep(0.001)
        self._running.spare()
        left = ", ".join(thread.name for thread in list(self._busy))
        if left:
            return f"Python cannot end a thread that is in C code, so these were left running: {left}"
        return "its tasks were ended"

    @contextmanager
    def _until(self, deadline: Deadline) -> Iterator[None]:
        seconds = deadline.left()
        if seconds is None:
            yield
            return
        late: list[BaseException] = []

        def end() -> None:
            late.append(deadline.error(self._consequence()))
            self._backend.fail(late[0])

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
        if late:  # it ended with what the ended tasks gave
            raise late[0]


class MultiprocessingPool(ThreadingPool):
    """joblib's multiprocessing backend."""

    noun = "processes"
    backend_type: type[Lasting] = LastingMultiprocessing

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(workers, options)
        # Plain arrays go as they are, so that joblib can share them as memory maps.
        self._shipping = Shipping(options.by_value)

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return [process.pid for process in self._backend.processes if process.pid]

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": default_start_method()}

    def open_answer(self, answer: Answer) -> list[Any]:
        """See `ThreadingPool`."""
        return open_answer(answer)

    def close(self) -> None:
        """See `ThreadingPool`."""
        super().close()
        self._shipping.close()

    def kill(self) -> None:
        """See `ThreadingPool`."""
        super().kill()
        self._shipping.close()

    def _tasks(self, fn: Callable[[Any], Any]) -> Callable[[int, Sequence[Any]], Task]:
        task = self._shipping.shipment(fn).task
        return lambda start, chunk: (perform, task(start, chunk), {})

    def _initializer(self) -> Callable[[], object] | None:
        return self._options.initializer

    def _consequence(self) -> str:
        return f"its worker processes were killed ({', '.join(map(str, self.pids()))})"


class LokyPool(MultiprocessingPool):
    """joblib's loky backend. loky's resource tracker, one small process, stays for the whole session."""

    backend_type = LastingLoky

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": "loky"}

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if not isinstance(exc, BrokenExecutor):
            return exc
        fault: BaseException = self._backend.fault or lost(self._backend.processes)
        self._backend.fault = fault
        return fault
