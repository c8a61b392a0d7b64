"""Pools on joblib: each map is one ``joblib.Parallel`` call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..envelope import adapted, attempt, enclose, pack, rendezvous, run, unpack
from ..errors import PoolError
from ..strategy import StrategyOptions
from ..workers import lost
from ._chunks import Deadline, auto_chunk, chunked
from ._executors import Send, UserExecutor
from ._joblib import Lasting, LastingLoky, LastingMultiprocessing, LastingThreading

__all__ = ["LokyPool", "MultiprocessingPool", "ThreadingPool"]

Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_PRIMITIVES = frozenset({bool, bytes, complex, float, int, str, type(None)})


class ThreadingPool:
    """joblib's threading backend; the base of the other two.

    Chunks are of our making (``batch_size=1``): joblib's own batches adapt over many calls. After a timeout
    or a lost worker the pool has ended.
    """

    noun = "threads"
    backend_type: type[Lasting] = LastingThreading

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        self.workers = workers
        import joblib

        self._joblib = joblib
        self._options = options
        self._backend = self.backend_type.of(options)

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
        tasks = [task(*chunk) for chunk in chunked(items, chunk_size, self.workers, auto_chunk)]
        parallel = self._joblib.Parallel(
            n_jobs=self.workers,
            backend=self._backend,
            batch_size=1,
            pre_dispatch="all",
            **self._options.extra,
        )
        with self._until(Deadline(timeout)):
            answers = parallel(tasks)
        return [result for answer in answers for result in self.open_answer(answer)]

    def ambient(self) -> AbstractContextManager[Any]:
        """See `HasAmbient`: ``joblib.Parallel()`` of user code runs on these workers."""
        config: AbstractContextManager[Any] = self._joblib.parallel_config(
            backend=self._backend, n_jobs=self.workers
        )
        return config

    def usable(self) -> None:
        """Raises `PoolError` once a fault has ended the workers."""
        if self._backend.fault is not None:
            raise PoolError(f"this pool has ended, open a new one: {self._backend.fault}")

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
            initializer=self._options.initializer,
        )

    def close(self) -> None:
        """Ends the workers."""
        self._backend.stop(kill=False)
        self._backend.join()

    def kill(self) -> None:
        """Ends the workers at once."""
        self._backend.stop(kill=True)
        self._backend.join()

    def _meet(self, fn: Callable[[int], Any], tickets: Sequence[int]) -> list[Any]:
        return self.map(fn, tickets, chunk_size=1, timeout=2 * self._options.start_timeout)

    def _tasks(self, fn: Callable[[Any], Any]) -> Callable[[int, Sequence[Any]], Task]:
        return lambda _start, chunk: (attempt, (fn, chunk), {})

    def _consequence(self) -> str:
        return "Python cannot end a thread, so those of joblib that were busy are left running"

    @contextmanager
    def _until(self, deadline: Deadline) -> Iterator[None]:
        seconds = deadline.left()
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, lambda: self._backend.fail(deadline.error(self._consequence())))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


class MultiprocessingPool(ThreadingPool):
    """joblib's multiprocessing backend."""

    noun = "processes"
    backend_type: type[Lasting] = LastingMultiprocessing

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return [process.pid for process in self._backend.processes if process.pid]

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        import multiprocessing

        allowed = multiprocessing.get_start_method(allow_none=True)
        return {"start_method": allowed or multiprocessing.get_all_start_methods()[0]}

    def open_answer(self, answer: Any) -> list[Any]:
        """See `ThreadingPool`."""
        return unpack(answer)

    def _tasks(self, fn: Callable[[Any], Any]) -> Callable[[int, Sequence[Any]], Task]:
        by_value = self._options.by_value
        blob = pack(fn, by_value)

        def task(start: int, chunk: Sequence[Any]) -> Task:
            # Plain arrays go as they are, so that joblib can share them as memory maps.
            payload = chunk if all(map(_plain, chunk)) else enclose(chunk, by_value, start)
            return run, (blob, payload, start), {}

        return task

    def _consequence(self) -> str:
        return f"its worker processes were killed ({', '.join(map(str, self.pids()))})"


class LokyPool(MultiprocessingPool):
    """joblib's loky backend. loky's resource tracker, one small process, stays for the whole session."""

    backend_type = LastingLoky

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(workers, options)
        self.executor: Executor = UserExecutor(self)

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": "loky"}

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        by_value = self._options.by_value
        blob = pack(fn, by_value)

        def send(start: int, chunk: Sequence[Any]) -> Future[Any]:
            future: Future[Any] = self._backend.executor.submit(
                run, blob, enclose(chunk, by_value, start), start
            )
            self._backend.notice()
            return future

        return send

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if not isinstance(exc, BrokenExecutor):
            return exc
        fault: BaseException = self._backend.fault or lost(self._backend.processes)
        self._backend.fault = fault
        return fault


def _plain(item: Any) -> bool:
    kind = type(item)
    if kind in _PRIMITIVES:
        return True
    if kind in (list, tuple):
        return all(map(_plain, item))
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not item.dtype.hasobject
