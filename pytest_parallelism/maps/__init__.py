"""`parallel_map` and `threaded_map`: a function over data in processes or threads, for programs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, overload

from ..resources import usable_cores
from ._apart import by_value, in_place
from ._arguments import positive, whole
from ._job import Job
from ._pools import processes_pool, refuse_while_main_is_imported, threads_pool
from ._progress import tqdm_class

__all__ = ["parallel_map", "threaded_map"]

T = TypeVar("T")
R = TypeVar("R")


@overload
def parallel_map(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    data: Iterable[T],
    processes: int | None = None,
    chunk_size: int = 10,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[R]: ...
@overload
def parallel_map(
    fn: Callable[[T], R],
    data: Iterable[T],
    processes: int | None = None,
    chunk_size: int = 10,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[R]: ...
def parallel_map(
    fn: Callable[[Any], Any],
    data: Iterable[Any],
    processes: int | None = None,
    chunk_size: int = 10,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[Any]:
    """``[fn(item) for item in data]``, computed in worker processes that live for this call.

    ``fn`` travels by value, so closures, lambdas and functions of a script or notebook work; a coroutine
    function runs on an event loop of its own for each item. ``data``: any iterable, read whole before the
    start. ``processes``: None for the usable cores (CPU affinity and cgroup quota); never more are started
    than there are chunks. Native threads (BLAS, OpenMP) share the usable cores: each process gets
    ``max(1, cores // processes)``, as with joblib.

    ``chunk_size``: items sent to a process at once, in synchronous mode only. Synchronous mode keeps the
    order of ``data``. ``async_mode=True`` sends one item at a time and returns results in the order in
    which they are completed. ``show_progress``: a tqdm bar on stderr, one step per item done.

    ``handle_errors=False`` raises the first error to occur, the worker's traceback being its ``__cause__``;
    items not begun are cancelled, and processes that still work are killed. ``handle_errors=True`` logs
    each failed item with its index and traceback through ``logging.getLogger("pytest_parallelism")`` and
    leaves its result out; ``fn`` itself is checked first.

    Raises `UsageError` for a wrong argument, and where tqdm is missing; `NotTransferable` where ``fn``
    cannot be sent; `WorkerLost` where a worker process dies, with ``handle_errors`` too.
    """
    refuse_while_main_is_imported()
    items, size = whole(fn, data), positive("chunk_size", chunk_size)
    cores = usable_cores().usable
    job = Job(
        fn=fn,
        items=items,
        chunk_size=1 if async_mode else size,
        wanted=cores if processes is None else positive("processes", processes),
        ordered=not async_mode,
        bar=tqdm_class() if show_progress else None,
        apart=by_value(fn) if handle_errors else None,
    )
    return job.run(processes_pool, max(1, cores // max(1, job.workers)))


@overload
def threaded_map(
    fn: Callable[[T], Coroutine[Any, Any, R]],
    data: Iterable[T],
    max_workers: int | None = None,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[R]: ...
@overload
def threaded_map(
    fn: Callable[[T], R],
    data: Iterable[T],
    max_workers: int | None = None,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[R]: ...
def threaded_map(
    fn: Callable[[Any], Any],
    data: Iterable[Any],
    max_workers: int | None = None,
    async_mode: bool = False,
    show_progress: bool = False,
    handle_errors: bool = False,
) -> list[Any]:
    """``[fn(item) for item in data]``, computed in threads that live for this call, one item at a time.

    As `parallel_map`, but nothing travels: ``fn`` gets the very items, and native threads are left alone.
    ``max_workers``: None for ThreadPoolExecutor's own default on this Python (at most 32); never more are
    started than there are items. After an error, items not begun are cancelled; a thread that still works
    cannot be ended, is waited for up to a second, and ends with its item. Raises `UsageError` for a wrong
    argument, and where tqdm is missing.
    """
    job = Job(
        fn=fn,
        items=whole(fn, data),
        chunk_size=1,
        wanted=_default_threads() if max_workers is None else positive("max_workers", max_workers),
        ordered=not async_mode,
        bar=tqdm_class() if show_progress else None,
        apart=in_place(fn) if handle_errors else None,
    )
    return job.run(threads_pool, None)


def _default_threads() -> int:
    return ThreadPoolExecutor()._max_workers  # it starts none before it is used
