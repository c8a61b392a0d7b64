"""The best way of each engine's own to run a map: as its documentation says, on the cluster that a pool has.

Each takes our pool, whose ``native`` is the engine's own client, and the number of workers, and opens a
function of a task, its items and how many of them make a chunk. Celery's workers know the tasks of their app
only, and a pool of mpi is a launch of its own: these two get as many workers more, which wait while ours
work, as ours do while they work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

from engine_tasks import chunked_map, chunks, each, flat

from pytest_parallelism.strategies.mpi import launcher

Run = Callable[[Callable[[Any], Any], Sequence[Any], int], Sequence[Any]]
Native = Callable[[Any, int], AbstractContextManager[Run]]
HERE = Path(__file__).parent


@contextmanager
def ray_tasks(pool: Any, _workers: int) -> Iterator[Run]:
    """A remote function for each chunk, and one ``ray.get``."""
    ray = pool.native

    @cache
    def remote(fn: Callable[[Any], Any]) -> Any:
        return ray.remote(num_cpus=1)(lambda chunk: each(fn, chunk))

    def run(fn: Callable[[Any], Any], items: Sequence[Any], size: int) -> Sequence[Any]:
        return flat(ray.get([remote(fn).remote(chunk) for chunk in chunks(items, size)]))

    yield run


@contextmanager
def dask_futures(pool: Any, _workers: int) -> Iterator[Run]:
    """``Client.map`` and ``gather``; large chunks are scattered first, as Dask itself advises."""
    client = pool.native

    def run(fn: Callable[[Any], Any], items: Sequence[Any], size: int) -> Sequence[Any]:
        parts = chunks(items, size)
        if isinstance(items[0], bytes):
            parts = client.scatter(parts, hash=False)
        return flat(client.gather(client.map(partial(each, fn), parts, pure=False)))

    yield run


@contextmanager
def celery_group(pool: Any, workers: int) -> Iterator[Run]:
    """A group of one generic task (engine_celery.py), on a worker of its own at the same broker."""
    from celery import group
    from engine_celery import QUEUE, TASK, configured

    with pool.native.connection_for_write() as connection:
        url = connection.as_uri(include_password=True)
    environment = {**os.environ, "BROKER": url, "C_FORCE_ROOT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    options = [f"--concurrency={workers}", "-O", "fair", "--loglevel=CRITICAL", f"--queues={QUEUE}"]
    command = [sys.executable, "-m", "celery", "-A", "engine_celery", "--quiet", "worker", *options]
    with subprocess.Popen(command, env=environment, cwd=HERE, stderr=subprocess.DEVNULL) as worker:
        try:
            own = configured(url)
            task = own.signature(TASK, queue=QUEUE)

            def run(fn: Callable[[Any], Any], items: Sequence[Any], size: int) -> Sequence[Any]:
                many = group(task.clone((fn, chunk)) for chunk in chunks(items, size))
                # Without an interval of its own, it looks for what has come every half second.
                return flat(many.apply_async().get(interval=0.001))

            yield run
        finally:
            worker.kill()
            own.close()


@contextmanager
def spark_partitions(pool: Any, workers: int) -> Iterator[Run]:
    """A partition for each worker: Spark starts and ends each partition dearly."""
    context = pool.native.sparkContext

    def run(fn: Callable[[Any], Any], items: Sequence[Any], _size: int) -> Sequence[Any]:
        found: Sequence[Any] = context.parallelize(items, workers).mapPartitions(partial(map, fn)).collect()
        return found

    yield run


@contextmanager
def modin_series(pool: Any, _workers: int) -> Iterator[Run]:
    """``Series.map``."""
    pandas = pool.native

    def run(fn: Callable[[Any], Any], items: Sequence[Any], _size: int) -> Sequence[Any]:
        return list(pandas.Series(list(items), dtype=object).map(fn))

    yield run


@contextmanager
def mpi_executor(_pool: Any, workers: int) -> Iterator[Run]:
    """``MPIPoolExecutor.map`` in a launch of its own (engine_mpi.py), which has the items from its first
    round on, and sends results back from that one only: what is timed is its map, and a few bytes more."""
    found = launcher()
    assert found
    command = [found, "-n", str(workers + 1), sys.executable, "-m", "mpi4py.futures"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    with Listener(family="AF_UNIX") as listener:
        program = [str(HERE / "engine_mpi.py"), str(listener.address)]
        with subprocess.Popen([*command, *program], env=environment), listener.accept() as line:
            last: Any = None
            results: Sequence[Any] = []

            def run(fn: Callable[[Any], Any], items: Sequence[Any], size: int) -> Sequence[Any]:
                nonlocal last, results
                first, last = last is not items, items
                line.send((fn, items, size) if first else None)
                answer = line.recv()
                results = answer if first else results
                return results

            yield run


@contextmanager
def executorlib_executor(pool: Any, _workers: int) -> Iterator[Run]:
    """``Executor.map``."""
    yield partial(chunked_map, pool.native)


NATIVES: Mapping[str, tuple[str, Native]] = {
    "ray": ("ray.get of tasks", ray_tasks),
    "dask": ("Client.map, gather", dask_futures),
    "celery": ("group.get", celery_group),
    "spark": ("mapPartitions", spark_partitions),
    "modin-ray": ("Series.map", modin_series),
    "modin-dask": ("Series.map", modin_series),
    "mpi": ("MPIPoolExecutor.map", mpi_executor),
    "executorlib": ("Executor.map", executorlib_executor),
}
"""How it is called in the table, and the way, by strategy."""
