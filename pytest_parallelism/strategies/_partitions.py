"""A pool whose maps divide the items among the workers before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from ..strategy import Chunk, HasExecutor, HasInfo, HasPids, HasStream, Pool

__all__ = ["Partitions", "ProcessPartitions"]


class Partitions:
    """Another pool, given one chunk a worker: items go round, 0 to the first part, 1 to the second."""

    def __init__(self, pool: Pool) -> None:
        assert isinstance(pool, HasStream)
        assert isinstance(pool, HasExecutor)
        self._pool: Any = pool
        self.workers = pool.workers
        self.executor: Executor = pool.executor

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """See `Pool.map`; with a ``chunk_size``, chunks go to whichever worker is free."""
        if chunk_size is not None:
            found: list[Any] = self._pool.map(fn, items, chunk_size=chunk_size, timeout=timeout)
            return found
        whole = items if isinstance(items, (list, tuple, range)) else list(items)
        parts = min(self.workers, len(whole))
        results: list[Any] = [None] * len(whole)
        chunks = [(part, whole[part::parts]) for part in range(parts)]
        for part, answers in self.stream(fn, chunks, timeout=timeout):
            results[part::parts] = answers
        return results

    def stream(
        self, fn: Callable[[Any], Any], chunks: Iterable[Chunk], **limits: Any
    ) -> Iterator[tuple[int, list[Any]]]:
        """See `HasStream.stream`: the chunks as they are given."""
        answers: Iterator[tuple[int, list[Any]]] = self._pool.stream(fn, chunks, **limits)
        return answers


class ProcessPartitions(Partitions):
    """On processes."""

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return self._pool.pids() if isinstance(self._pool, HasPids) else ()

    def info(self) -> Mapping[str, Any]:
        """See `HasInfo`."""
        return self._pool.info() if isinstance(self._pool, HasInfo) else {}
