"""joblib's backends with lasting workers, also where there is one.

Left to itself, joblib runs ``n_jobs=1`` in the parent in every backend, and starts new threads or processes
for each call in two of them. A lasting backend keeps its workers from `start` to `stop`, and the pool's maps
use the same ones as the user's own ``joblib.Parallel()``.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from multiprocessing.process import BaseProcess
from typing import Any, cast

from ..envelope import Telling, heard, start_worker, worker_settings
from ..envelope._performing import start_pool_worker
from ..errors import PoolError
from ..resources import default_start_method
from ..strategy import StrategyOptions
from ..workers import bounded, end, hidden_main, lost, quiet_fork
from ._watch import Watch, ended, let_go, sender_ended, taken_over, tied

__all__ = ["Lasting", "LastingLoky", "LastingMultiprocessing", "LastingThreading"]

Callback = Callable[[Any], None]

_JOIN_SECONDS = 1.0


class Jobs(int):
    """A worker count that is never equal to 1, by which joblib would choose to run in the parent."""

    def __eq__(self, other: object) -> bool:
        return other != 1 and int(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class Lasting:
    """What the three backends share; `of` puts it before joblib's own class, whose name is ``base``.

    `fail` ends a running ``Parallel`` call at once with an error of ours: each job that joblib still waits
    for gets it as its answer. The loss of a worker process does that.
    """

    options: StrategyOptions
    fault: BaseException | None
    untold: BaseException | None
    """A fault between two calls, for whoever comes first."""
    processes: Sequence[BaseProcess]
    """The workers, where they are processes."""

    may_leave = False
    """Whether a worker may end by itself, with exit code 0 (loky: after a long idle time)."""

    _waiting: dict[int, Callback]
    _ending: list[threading.Thread]
    _watches: list[Watch]

    base = ""

    @classmethod
    def of(cls, options: StrategyOptions) -> Any:
        """A backend for one pool."""
        from joblib import _multiprocessing_helpers, _parallel_backends

        if _multiprocessing_helpers.mp is None:
            raise PoolError(
                "joblib works in serial mode only, since it could make no semaphore when it was imported: "
                "see the warning that it gave then, and whether /dev/shm is full"
            )
        base = getattr(_parallel_backends, cls.base)
        backend = type(cls.__name__, (cls, base), {})(nesting_level=0)
        backend.options = options
        backend.fault = backend.untold = None
        backend.processes = ()
        backend._waiting = {}
        backend._ending = []
        backend._watches = []
        return backend

    @property
    def started(self) -> bool:
        """Whether it has its workers."""
        raise NotImplementedError

    def effective_n_jobs(self, n_jobs: int) -> int:
        """What joblib found, as a number that does not send it into the parent."""
        base: Any = super()
        return Jobs(base.effective_n_jobs(n_jobs))

    def submit(self, func: Callable[[], Any], callback: Callback | None = None) -> Any:
        """joblib's own, with a callback that `fail` can call instead."""
        base: Any = super()
        send = base.submit if hasattr(base, "submit") else base.apply_async  # before joblib 1.5
        func = Telling(func)
        if callback is None:
            return send(func)
        key = id(callback)
        self._waiting[key] = callback
        job = send(func, callback=functools.partial(self._answered, key))
        if self.fault is not None:
            self.fail(self.fault)
        return job

    apply_async = submit

    def retrieve_result_callback(self, out: Any) -> Any:
        """joblib's own; raises what `fail` said."""
        if isinstance(out, _Failed):
            raise out.error
        base: Any = super()
        return heard(lambda: base.retrieve_result_callback(out))

    def fail(self, error: BaseException) -> None:
        """Every job that is waited for, now or later, fails with this error."""
        if self.fault is None and not self._waiting:
            self.untold = error
        self.fault = error
        for key in list(self._waiting):
            self._answered(key, _Failed(error))

    def watch(self, processes: Sequence[BaseProcess]) -> None:
        """From now on, the loss of one of these is a fault."""
        self.processes = processes
        self._watches.append(Watch(processes, self.fail, may_leave=self.may_leave))

    def notice_loss(self) -> None:
        """A worker that has just ended is a fault from now on."""
        for watch in self._watches:
            watch.fallen()

    def unwatch(self) -> None:
        """From now on, our processes may end."""
        for watch in self._watches:
            watch.stop()
        self.processes = ()

    def stop(self, *, kill: bool) -> None:
        """Ends the workers."""
        raise NotImplementedError

    def join(self) -> None:
        """Waits a second at most for our threads, whose work has ended."""
        for watch in self._watches:
            watch.join()
        self._watches.clear()  # processes hold their queues, whose semaphores stay as long
        _join(self._ending)

    def _answered(self, key: int, out: Any) -> None:
        callback = self._waiting.pop(key, None)
        if callback is not None:
            callback(out)


class LastingThreading(Lasting):
    """Threads that stay."""

    base = "ThreadingBackend"
    started = True  # they are made when needed
    _pool: Any = None

    def terminate(self) -> None:
        """Called by joblib after each call; the threads stay."""

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002  # joblib's signature
        """What waits is dropped; running threads cannot be ended, and new ones are made when needed."""
        self.stop(kill=True)

    def stop(self, *, kill: bool) -> None:  # noqa: ARG002  # nothing can end a thread
        """See `Lasting`."""
        pool, base = self._pool, cast("Any", super())
        if pool is not None:
            base.terminate()
            self._ending += pool._pool


class LastingMultiprocessing(Lasting):
    """Processes that stay, and whose loss is noticed: a `multiprocessing.Pool` would wait for ever."""

    base = "MultiprocessingBackend"
    parallel: Any
    reset_batch_stats: Callable[[], None]
    _pool: Any = None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
        """Called by joblib before each call; makes the pool in the first."""
        if self._pool is None:
            args = (self.options.native_threads, tied(default_start_method()), worker_settings())
            base: Any = super()
            with hidden_main(), quiet_fork():
                base.configure(
                    n_jobs=n_jobs, parallel=parallel, initializer=start_pool_worker, initargs=args, **kwargs
                )
            self.watch(taken_over(self._pool))
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    @property
    def started(self) -> bool:
        """See `Lasting`."""
        return self._pool is not None

    def terminate(self) -> None:
        """Called by joblib after each call; the processes stay."""
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002  # joblib's signature
        """The processes are killed, and made anew when needed."""
        self.stop(kill=True)

    def stop(self, *, kill: bool) -> None:  # noqa: ARG002  # idle workers have nothing to finish
        """See `Lasting`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            processes = self.processes
            self.unwatch()
            ended(pool, processes, kill=True)


class LastingLoky(Lasting):
    """joblib's reusable executor, shut down with the pool."""

    base = "LokyBackend"
    parallel: Any
    inner_max_num_threads: int | None
    executor: Any = None
    may_leave = True
    _asked: Any = None
    _workers: Any = None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
        """Called by joblib before each call; takes the same executor again, or makes it."""
        asked = (n_jobs, kwargs)
        if self.executor is None or self._asked != asked:
            self._make(n_jobs, parallel, kwargs)
            self._asked = asked
        else:
            # joblib's own way to take it again leaves one empty folder a call until Python ends.
            self._workers = self.executor
            self._workers._temp_folder_manager.register_new_context(parallel._id)
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def _make(self, n_jobs: int, parallel: Any, kwargs: dict[str, Any]) -> None:
        limit = self.options.native_threads
        self.inner_max_num_threads = limit
        args = (limit, tied("loky"), worker_settings())
        base: Any = super()
        with hidden_main():
            base.configure(
                n_jobs=n_jobs, parallel=parallel, initializer=start_worker, initargs=args, **kwargs
            )
        self.executor = self._workers

    def submit(self, func: Callable[[], Any], callback: Callback | None = None) -> Any:
        """See `Lasting`; the executor starts its processes here."""
        self._workers = self.executor  # joblib forgets it after each call
        with hidden_main(), self._named():
            job = super().submit(func, callback)
        self.notice()
        return job

    apply_async = submit

    @property
    def started(self) -> bool:
        """See `Lasting`."""
        return self.executor is not None

    def notice(self) -> None:
        """Watches the executor's processes, should they be new ones."""
        processes = tuple((getattr(self.executor, "_processes", None) or {}).values())
        if processes and set(processes) != set(self.processes):
            self.watch(processes)

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002  # joblib's signature
        """The processes are killed, and made anew when needed."""
        self.stop(kill=True)

    def retrieve_result_callback(self, out: Any) -> Any:
        """joblib's own; a lost worker is told by its process and fate."""
        with self._named():
            return super().retrieve_result_callback(out)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
            return
        except BrokenExecutor as exc:
            exc.__traceback__ = None  # loky keeps the error, and so our frames, and by these its queues
            fault = self.fault = self.fault or lost(self.processes)
        raise fault

    def stop(self, *, kill: bool) -> None:
        """See `Lasting`."""
        processes = self.processes
        self.unwatch()
        executor, self.executor, self._workers = self.executor, None, None
        if executor is not None:
            # joblib before 1.5 does not wait for it, and its queue's semaphores stay as long as it runs.
            queue = getattr(executor, "_call_queue", None)
            answers = getattr(executor, "_result_queue", None)
            if kill:
                end(processes)
            stopped = bounded(lambda: executor.terminate(kill_workers=kill), _JOIN_SECONDS)
            end(processes)  # what tasks left behind
            if answers is not None and not stopped:
                let_go(answers._writer)  # its thread waits for the rest of what a killed worker said
                bounded(lambda: executor.terminate(kill_workers=True), _JOIN_SECONDS)
            if queue is not None:
                sender_ended(queue)


def _join(threads: Sequence[threading.Thread]) -> None:
    end_by = time.monotonic() + _JOIN_SECONDS
    for thread in threads:
        thread.join(max(0.0, end_by - time.monotonic()))
