"""What a user would write by hand, one loop per mechanism: the idiom of its documentation, quoted beside it.

Each function opens N workers for a ``with`` block and gives a `Loop`: ``run(fn, items, chunk)`` is the map,
ordered unless its name says otherwise. Nothing of ours is imported: workers import this module, and what
they weigh is compared too. Quotations are one line; where the idiom gives results without their
order, an index travels with each item.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Loop:
    """A map on open workers, and the process ids of those that are processes."""

    run: Callable[[Function, Sequence[Any], int], list[Any]]
    pids: Callable[[], Sequence[int]] = tuple


def all_of(fn: Function, chunk: Sequence[Any]) -> list[Any]:
    """One chunk."""
    return [fn(item) for item in chunk]


def cut(items: Sequence[Any], chunk: int) -> list[Sequence[Any]]:
    """Chunks of the items."""
    return [items[start : start + chunk] for start in range(0, len(items), chunk)]


def joined(answers: Any) -> list[Any]:
    """Results of all chunks."""
    return [result for answer in answers for result in answer]


@contextmanager
def comprehension(_workers: int) -> Iterator[Loop]:
    """``[x**2 for x in range(10)]`` - docs.python.org/3/tutorial/datastructures.html."""
    yield Loop(lambda fn, items, _chunk: [fn(item) for item in items])


@contextmanager
def thread_executor(workers: int) -> Iterator[Loop]:
    """``with concurrent.futures.ThreadPoolExecutor(max_workers=5) as executor:``, ``executor.map(…)``.

    docs.python.org/3/library/concurrent.futures.html
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=workers) as executor:
        yield Loop(lambda fn, items, _chunk: list(executor.map(fn, items)))


@contextmanager
def thread_partitions(workers: int) -> Iterator[Loop]:
    """``executor.submit(…)``, once for each partition - docs.python.org/3/library/concurrent.futures.html."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=workers) as executor:
        yield Loop(partial(_submitted, executor))


@contextmanager
def process_partitions(workers: int) -> Iterator[Loop]:
    """``executor.submit(…)``, once for each partition - docs.python.org/3/library/concurrent.futures.html."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=workers) as executor:
        yield Loop(partial(_submitted, executor), lambda: tuple(executor._processes))


def _submitted(executor: Any, fn: Function, items: Sequence[Any], chunk: int) -> list[Any]:
    futures = [executor.submit(all_of, fn, part) for part in cut(items, chunk)]
    return joined(future.result() for future in futures)


@contextmanager
def gathered(workers: int) -> Iterator[Loop]:
    """``async with sem:`` around ``await``, and ``await asyncio.gather(…)``.

    docs.python.org/3/library/asyncio-sync.html and asyncio-task.html
    """
    import asyncio

    async def everything(fn: Function, items: Sequence[Any]) -> list[Any]:
        semaphore = asyncio.Semaphore(workers)

        async def limited(item: Any) -> Any:
            async with semaphore:
                return await fn(item)

        return list(await asyncio.gather(*(limited(item) for item in items)))

    loop = asyncio.new_event_loop()
    yield Loop(lambda fn, items, _chunk: loop.run_until_complete(everything(fn, items)))
    loop.close()


@contextmanager
def run_in_executor(workers: int) -> Iterator[Loop]:
    """``await loop.run_in_executor(pool, blocking_io)``.

    docs.python.org/3/library/asyncio-eventloop.html
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def everything(fn: Function, items: Sequence[Any]) -> list[Any]:
        calls = (loop.run_in_executor(executor, fn, item) for item in items)
        return list(await asyncio.gather(*calls))

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(max_workers=workers) as executor:
        yield Loop(lambda fn, items, _chunk: loop.run_until_complete(everything(fn, items)))
    loop.close()


@contextmanager
def process_executor(method: str, workers: int) -> Iterator[Loop]:
    """``with concurrent.futures.ProcessPoolExecutor() as executor:``, ``executor.map(is_prime, PRIMES)``.

    docs.python.org/3/library/concurrent.futures.html, which advises ``chunksize`` for long iterables
    """
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        yield Loop(
            lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk)),
            lambda: tuple(executor._processes),
        )


@contextmanager
def interpreter_executor(workers: int) -> Iterator[Loop]:
    """``with InterpreterPoolExecutor() as executor:`` - docs.python.org/3/library/concurrent.futures.html."""
    from concurrent import futures

    executor_type: Any = getattr(futures, "InterpreterPoolExecutor")  # noqa: B009  # Python 3.14 and later
    with executor_type(workers) as executor:
        yield Loop(lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk)))


@contextmanager
def process_pool(method: str, workers: int) -> Iterator[Loop]:
    """``with Pool(5) as p:``, ``p.map(f, [1, 2, 3])`` - docs.python.org/3/library/multiprocessing.html."""
    with multiprocessing.get_context(method).Pool(workers) as pool:
        yield Loop(lambda fn, items, chunk: pool.map(fn, items, chunk), lambda: _pids(_of_pool(pool)))


@contextmanager
def process_pool_unordered(method: str, workers: int) -> Iterator[Loop]:
    """``pool.imap_unordered(f, range(10))`` - docs.python.org/3/library/multiprocessing.html."""
    with multiprocessing.get_context(method).Pool(workers) as pool:
        yield Loop(
            lambda fn, items, chunk: list(pool.imap_unordered(fn, items, chunk)),
            lambda: _pids(_of_pool(pool)),
        )


def _of_pool(pool: Any) -> Any:
    return pool._pool


def _pids(processes: Any) -> Sequence[int]:
    return [process.pid for process in processes]


@contextmanager
def pipes(method: str, workers: int) -> Iterator[Loop]:
    """``parent_conn, child_conn = Pipe()``, and ``for r in wait(readers):`` over all of them.

    docs.python.org/3/library/multiprocessing.html
    """
    context = multiprocessing.get_context(method)
    ours, processes = [], []
    for _ in range(workers):
        here, there = context.Pipe()
        process = context.Process(target=_answer, args=(there,))
        process.start()
        there.close()
        ours.append(here)
        processes.append(process)
    yield Loop(partial(_over_pipes, ours), lambda: _pids(processes))
    for here, process in zip(ours, processes, strict=True):
        here.send(None)
        process.join()
        here.close()


def _answer(connection: Connection) -> None:
    for fn, chunk in iter(connection.recv, None):
        connection.send(all_of(fn, chunk))


def _over_pipes(
    connections: Sequence[Connection], fn: Function, items: Sequence[Any], chunk: int
) -> list[Any]:
    results: list[Any] = [None] * len(items)
    starts = iter(range(0, len(items), chunk))
    running: dict[Any, int] = {}

    def feed(connection: Any) -> None:
        start = next(starts, None)
        if start is not None:
            connection.send((fn, items[start : start + chunk]))
            running[connection] = start

    for connection in connections:
        feed(connection)
    while running:
        for connection in wait(list(running)):
            start = running.pop(connection)
            results[start : start + chunk] = connection.recv()  # type: ignore[union-attr]  # no sentinels
            feed(connection)
    return results


@contextmanager
def process_queues(workers: int) -> Iterator[Loop]:
    """``for func, args in iter(input.get, 'STOP'):``, ``output.put(result)``.

    docs.python.org/3/library/multiprocessing.html, "Examples"
    """
    with _queue_workers(workers, multiprocessing.Queue) as loop:
        yield loop


@contextmanager
def manager_queues(workers: int) -> Iterator[Loop]:
    """``with Manager() as manager:``, and the worker loop of `process_queues` on ``manager.Queue()``.

    docs.python.org/3/library/multiprocessing.html
    """
    with multiprocessing.Manager() as manager, _queue_workers(workers, manager.Queue) as loop:
        yield loop


@contextmanager
def _queue_workers(workers: int, queue: Callable[[], Any]) -> Iterator[Loop]:
    tasks, done = queue(), queue()
    processes = [multiprocessing.Process(target=_work, args=(tasks, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    yield Loop(partial(_through_queues, tasks, done), lambda: _pids(processes))
    for _ in processes:
        tasks.put("STOP")
    for process in processes:
        process.join()


def _work(tasks: Any, done: Any) -> None:
    for start, fn, chunk in iter(tasks.get, "STOP"):
        done.put((start, all_of(fn, chunk)))


def _through_queues(tasks: Any, done: Any, fn: Function, items: Sequence[Any], chunk: int) -> list[Any]:
    starts = range(0, len(items), chunk)
    for start in starts:
        tasks.put((start, fn, items[start : start + chunk]))
    results: list[Any] = [None] * len(items)
    for _ in starts:
        start, answers = done.get()
        results[start : start + chunk] = answers
    return results


@contextmanager
def thread_queues(workers: int) -> Iterator[Loop]:
    """``item = q.get()`` in ``threading.Thread(target=worker, daemon=True).start()``.

    docs.python.org/3/library/queue.html
    """
    import threading
    from queue import Queue

    tasks: Queue[Any] = Queue()
    done: Queue[Any] = Queue()
    threads = [threading.Thread(target=_work, args=(tasks, done)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    yield Loop(partial(_through_queues, tasks, done))
    for _ in threads:
        tasks.put("STOP")
    for thread in threads:
        thread.join()


@contextmanager
def joblib_parallel(backend: str, workers: int) -> Iterator[Loop]:
    """``with Parallel(n_jobs=2) as parallel:``, ``parallel(delayed(sqrt)(i ** 2) for i in range(10))``.

    joblib.readthedocs.io/en/stable/parallel.html; ``batch_size`` is the chunk
    """
    from joblib import Parallel, delayed

    with Parallel(n_jobs=workers, backend=backend) as parallel:

        def run(fn: Function, items: Sequence[Any], chunk: int) -> list[Any]:
            parallel.batch_size = chunk
            return list(parallel(delayed(fn)(item) for item in items))

        yield Loop(run, lambda: _of_joblib(parallel._backend))
    if backend == "loky":  # its executor stays for the next one; github.com/joblib/joblib/issues/945
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)


def _of_joblib(backend: Any) -> Sequence[int]:
    made = getattr(backend, "_workers", None)
    if made is not None:
        return tuple(made._processes)
    return [worker.pid for worker in _of_pool(backend._pool) if hasattr(worker, "pid")]


@contextmanager
def loky_executor(workers: int) -> Iterator[Loop]:
    """``executor = get_reusable_executor(max_workers=4)``, ``executor.map(say_hello, range(50))``.

    loky's README: github.com/joblib/loky
    """
    from loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=workers)
    yield Loop(
        lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk)),
        lambda: tuple(executor._processes),
    )
    executor.shutdown(wait=True)


@contextmanager
def mpire_pool(workers: int) -> Iterator[Loop]:
    """``with WorkerPool(n_jobs=4, keep_alive=True) as pool:``, ``pool.map(…, chunk_size=…)``.

    sybrenjansen.github.io/mpire
    """
    from mpire import WorkerPool

    with WorkerPool(n_jobs=workers, keep_alive=True) as pool:
        yield Loop(
            lambda fn, items, chunk: pool.map(fn, items, chunk_size=chunk, concatenate_numpy_output=False),
            lambda: _pids(pool._workers),
        )


@contextmanager
def native_threads(workers: int) -> Iterator[Loop]:
    """``with threadpool_limits(limits=1, user_api='blas'):`` - github.com/joblib/threadpoolctl, README."""
    from threadpoolctl import threadpool_limits

    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(limits=workers))
        yield Loop(lambda fn, items, _chunk: [fn(item) for item in items])
