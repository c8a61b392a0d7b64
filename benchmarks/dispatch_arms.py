"""One side of a comparison of dispatch.py: a process that opens a pool and runs rounds when it is told to.

Each side has a process of its own, since loky and joblib keep one executor a process, which both would fight
for, and since garbage and memory of the one must not become the other's.
"""

from __future__ import annotations

import gc
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dispatch_tasks
import hand_written as hand
import hand_written_hybrids as hybrids

from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Counts, HasPids, HasStream, StrategyOptions

WORKERS = 2
LIMIT = 1.05
FASTER = 1 / 2.5
"""Our own workers against ProcessPoolExecutor: a no-op at least 2.5 times faster."""

IMPORTED = ("asyncio", "pytest_parallelism.envelope", "pytest_parallelism.workers", "multiprocessing.pool")
"""What both sides load before they fork, beside the list of strategies, as one pytest session has it: else
the pages that our fork workers share with their parent would count as theirs. Workers of fresh interpreters
load what they need."""

NO_OPS = ("one", "best")
WORKLOADS = (*NO_OPS, "payload")


@dataclass(frozen=True)
class Size:
    """Tasks of the no-op workloads; items and bytes of each of the payload."""

    tasks: int = 1000
    items: int = 32
    bytes: int = 1 << 20


@dataclass(frozen=True)
class Against:
    """A hand-written loop to compare a strategy with, and how."""

    name: str
    open: Callable[[int], AbstractContextManager[hand.Loop]]
    workloads: tuple[str, ...] = WORKLOADS
    """``one``: no-ops, chunk 1. ``best``: one chunk a worker. ``payload``: bytes or arrays, chunk 1."""
    chunks: bool = True
    """Whether chunks are given to our side; else it makes its own (partitions)."""
    unordered: bool = False
    asynchronous: bool = False
    arrays: bool = False
    limit: float = LIMIT


def _by_method(prefix: str, loop: Any, name: str, **how: Any) -> dict[str, tuple[Against, ...]]:
    methods = ("fork", "forkserver", "spawn")
    return {f"{prefix}-{method}": (Against(name, partial(loop, method), **how),) for method in methods}


def counterparts() -> Mapping[str, tuple[Against, ...]]:
    """Hand-written loops by strategy. ``processes`` is one of the three that name a start method."""
    once = ("one", "payload")
    whole = ("best", "payload")
    found: dict[str, tuple[Against, ...]] = {
        "sequential": (Against("comprehension", hand.comprehension, once),),
        "threads": (Against("executor.map", hand.thread_executor, once),),
        "threads-queue": (Against("queue.Queue", hand.thread_queues),),
        "asyncio": (Against("gather, semaphore", hand.gathered, once, asynchronous=True),),
        "asyncio-threads": (Against("run_in_executor", hand.run_in_executor, once),),
        "processes-queue": (Against("Process, Queue", hand.process_queues),),
        "processes-manager": (Against("Manager().Queue()", hand.manager_queues),),
        "partitions-threads": (Against("submit each", hand.thread_partitions, whole, chunks=False),),
        "partitions-processes": (Against("submit each", hand.process_partitions, whole, chunks=False),),
        "loky": (Against("reusable executor", hand.loky_executor),),
        "mpire": (Against("WorkerPool.map", hand.mpire_pool),),
        "interpreters": (Against("executor.map", hand.interpreter_executor),),
        "blas-threads": (Against("threadpool_limits", hand.native_threads, once),),
        # Two workers are one process of two threads or coroutines, on either side.
        "processes-threads": (Against("map in map", hybrids.threads_in_a_process, whole, chunks=False),),
        "processes-asyncio": (
            Against("gather in map", hybrids.loop_in_a_process, whole, chunks=False, asynchronous=True),
        ),
        "processes-shared-memory": (Against("SharedMemory", hybrids.shared_memory, arrays=True),),
        "processes-memmap": (Against("np.load", hybrids.memory_mapped, arrays=True),),
        **_by_method("process-pool-executor", hand.process_executor, "executor.map"),
        **_by_method("multiprocessing-pool", hand.process_pool, "Pool.map"),
        **_by_method("processes", hand.pipes, "Process, Pipe, wait"),
    }
    for backend in ("loky", "threading", "multiprocessing"):
        found[f"joblib-{backend}"] = (Against("Parallel", partial(hand.joblib_parallel, backend)),)
    for name in [name for name in found if name.startswith("multiprocessing-pool-")]:
        loop = partial(hand.process_pool_unordered, name.rpartition("-")[2])
        found[name] += (Against("imap_unordered", loop, NO_OPS, unordered=True),)
    stock = Against(
        "ProcessPoolExecutor", partial(hand.process_executor, "fork"), workloads=("one",), limit=FASTER
    )
    found["processes-fork"] += (stock,)
    return found


class Work:
    """A workload of one comparison, for both sides."""

    def __init__(self, name: str, against: Against, size: Size) -> None:
        fn = "same" if name == "payload" else "nothing"
        self.fn = getattr(dispatch_tasks, f"{fn}_async" if against.asynchronous else fn)
        self.items = self._payload(against, size) if name == "payload" else list(range(size.tasks))
        self.chunk = 1 if name != "best" and against.chunks else math.ceil(len(self.items) / WORKERS)

    @staticmethod
    def _payload(against: Against, size: Size) -> list[Any]:
        if not against.arrays:
            return [bytes([index]) * size.bytes for index in range(size.items)]
        import numpy as np

        return [np.full(size.bytes, index, np.uint8) for index in range(size.items)]


Run = Callable[[Work], Sequence[Any]]


@contextmanager
def ours(name: str, against: Against) -> Iterator[tuple[Run, Callable[[], Sequence[int]]]]:
    """Our pool's map, and the ids of its worker processes."""
    strategy = load()[name]
    workers = 1 if strategy.counts is Counts.ONE else WORKERS
    with strategy.open(workers, StrategyOptions()) as pool:

        def run(work: Work) -> Sequence[Any]:
            return pool.map(work.fn, work.items, chunk_size=work.chunk if against.chunks else None)

        def stream(work: Work) -> Sequence[Any]:
            assert isinstance(pool, HasStream)
            chunks = ((start, work.items[start : start + work.chunk]) for start in starts(work))
            return [result for _, found in pool.stream(work.fn, chunks, ordered=False) for result in found]

        pids = pool.pids if isinstance(pool, HasPids) else tuple
        yield stream if against.unordered else run, pids


def starts(work: Work) -> range:
    """Where chunks begin."""
    return range(0, len(work.items), work.chunk)


@contextmanager
def theirs(_name: str, against: Against) -> Iterator[tuple[Run, Callable[[], Sequence[int]]]]:
    """The hand-written map, and the ids of its worker processes."""
    with against.open(WORKERS) as loop:
        yield lambda work: loop.run(work.fn, work.items, work.chunk), loop.pids


def serve(connection: Connection, side: str, name: str, number: int, size: Size) -> None:
    """Opens the pool, answers ``(workload, times)`` with seconds and ``None`` with PSS; ends at ``"end"``."""
    for module in IMPORTED:
        import_module(module)
    load()
    against = counterparts()[name][number]
    works = {workload: Work(workload, against, size) for workload in against.workloads}
    with {"ours": ours, "theirs": theirs}[side](name, against) as (run, pids):
        for work in works.values():
            check(work, run(work))
        gc.collect()
        gc.freeze()
        connection.send("open")
        for asked in iter(connection.recv, "end"):
            connection.send(pss(pids()) if asked is None else timed(run, works[asked[0]], asked[1]))


def check(work: Work, results: Sequence[Any]) -> None:
    """Raises where the map lost something."""
    assert len(results) == len(work.items)
    if "same" in work.fn.__name__:
        assert all(bytes(found) == bytes(item) for found, item in zip(results, work.items, strict=True))


def timed(run: Run, work: Work, times: int) -> float:
    """Wall seconds of a map, mean of some in a row."""
    gc.collect()
    begun = time.perf_counter()
    for _ in range(times):
        run(work)
    return (time.perf_counter() - begun) / times


def pss(pids: Sequence[int]) -> float | None:
    """Mean PSS of a worker in bytes (proc(5)); None where there is no worker process, and outside Linux."""
    try:
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    except OSError:
        return None
    found = [
        int(kilobytes) * 1024 for text in texts for kilobytes in re.findall(r"^Pss:\s+(\d+)", text, re.M)
    ]
    return sum(found) / len(found) if found else None
