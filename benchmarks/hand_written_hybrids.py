"""`hand_written` goes on: threads or an event loop inside processes, arrays that travel in memory or files.

The documentation has no loop for these mixtures: each joins the idioms that its docstring quotes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hand_written import Function, Loop, cut, joined


@contextmanager
def threads_in_a_process(workers: int) -> Iterator[Loop]:
    """``initializer`` and ``executor.map(…)`` of two executors, one inside the other.

    docs.python.org/3/library/concurrent.futures.html
    """
    with ProcessPoolExecutor(1, initializer=_have_threads, initargs=(workers,)) as executor:
        yield Loop(partial(_each_chunk, executor, _on_threads), lambda: tuple(executor._processes))


_threads: list[ThreadPoolExecutor] = []


def _have_threads(count: int) -> None:
    _threads.append(ThreadPoolExecutor(count))


def _on_threads(fn: Function, chunk: Sequence[Any]) -> list[Any]:
    return list(_threads[0].map(fn, chunk))


@contextmanager
def loop_in_a_process(_workers: int) -> Iterator[Loop]:
    """``asyncio.run(main())`` and ``await asyncio.gather(…)``, in the tasks of a ProcessPoolExecutor.

    docs.python.org/3/library/asyncio-runner.html and asyncio-task.html
    """
    with ProcessPoolExecutor(1) as executor:
        yield Loop(partial(_each_chunk, executor, _on_a_loop), lambda: tuple(executor._processes))


def _on_a_loop(fn: Function, chunk: Sequence[Any]) -> list[Any]:
    return asyncio.run(_gathered(fn, chunk))


async def _gathered(fn: Function, chunk: Sequence[Any]) -> list[Any]:
    return list(await asyncio.gather(*map(fn, chunk)))


def _each_chunk(
    executor: ProcessPoolExecutor, run: Any, fn: Function, items: Sequence[Any], chunk: int
) -> list[Any]:
    return joined(executor.map(partial(run, fn), cut(items, chunk)))


@contextmanager
def shared_memory(workers: int) -> Iterator[Loop]:
    """``shared_memory.SharedMemory(create=True, size=a.nbytes)``, ``b[:] = a[:]``, and in the worker
    ``existing_shm = shared_memory.SharedMemory(name=…)``.

    docs.python.org/3/library/multiprocessing.shared_memory.html
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # before the workers: one that each starts itself would unlink blocks
    with ProcessPoolExecutor(workers) as executor:
        yield Loop(partial(_through_memory, executor), lambda: tuple(executor._processes))


def _through_memory(
    executor: ProcessPoolExecutor, fn: Function, items: Sequence[Any], chunk: int
) -> list[Any]:
    blocks: list[Any] = []
    try:
        shared = [_shared(item, blocks) for item in items]
        return list(executor.map(partial(_on_shared, fn), shared, chunksize=chunk))
    finally:
        for block in blocks:
            block.close()
            block.unlink()


def _shared(item: Any, blocks: list[Any]) -> Any:
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    if not isinstance(item, np.ndarray):
        return item
    block = SharedMemory(create=True, size=item.nbytes)
    blocks.append(block)
    view: Any = np.ndarray(item.shape, dtype=item.dtype, buffer=block.buf)
    view[:] = item[:]
    return block.name, item.shape, item.dtype


def _on_shared(fn: Function, item: Any) -> Any:
    if not isinstance(item, tuple):
        return fn(item)
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    name, shape, dtype = item
    block = SharedMemory(name=name)
    result = fn(np.ndarray(shape, dtype=dtype, buffer=block.buf))
    if isinstance(result, np.ndarray):
        result = result.copy()  # it may lie in the block
    block.close()
    return result


@contextmanager
def memory_mapped(workers: int) -> Iterator[Loop]:
    """``np.save('/tmp/123', …)`` and ``np.load('/tmp/123.npy', mmap_mode='r')``.

    numpy.org/doc/stable/reference/generated/numpy.load.html
    """
    with TemporaryDirectory() as folder, ProcessPoolExecutor(workers) as executor:
        yield Loop(partial(_through_files, executor, Path(folder)), lambda: tuple(executor._processes))


def _through_files(
    executor: ProcessPoolExecutor, folder: Path, fn: Function, items: Sequence[Any], chunk: int
) -> list[Any]:
    saved = [_saved(item, folder / f"{index}.npy") for index, item in enumerate(items)]
    try:
        return list(executor.map(partial(_on_mapped, fn), saved, chunksize=chunk))
    finally:
        for path in folder.iterdir():
            path.unlink()


def _saved(item: Any, path: Path) -> Any:
    import numpy as np

    if not isinstance(item, np.ndarray):
        return item
    np.save(path, item)
    return path


def _on_mapped(fn: Function, item: Any) -> Any:
    if not isinstance(item, Path):
        return fn(item)
    import numpy as np

    return fn(np.load(item, mmap_mode="r"))
