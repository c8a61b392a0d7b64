"""The pool that a workload gets."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from itertools import accumulate, chain, count
from typing import Any

from ..division import auto_chunk, balanced
from ..envelope import Outcome, Trying, adapted, is_async, named, note, unstopped
from ..errors import TaskTimeout, Unsuitable, UsageError
from ..strategy import Counts, HasExecutor, HasNative, HasStream, Isolation, Pool, Strategy
from ..trace import Recorder
from ._options import BACKOFF, MapOptions, in_flight_chunks
from ._streams import batched, in_turn, streamed

__all__ = ["WorkPool"]

__tracebackhide__ = True  # pytest shows the user's lines, not these


class WorkPool:
    """The pool that a workload gets: the same face on every strategy, sequential included."""

    def __init__(self, pool: Pool, strategy: Strategy) -> None:
        self._pool = pool
        self._strategy = strategy
        # A limit or a division that is meant for the parallel map means nothing to the sequential one.
        self._in_turn = strategy.counts is Counts.ONE
        self._streams = isinstance(pool, HasStream)
        self.used = False
        """True once the workload has used ``map``, ``imap``, ``executor`` or an engine's ``native``."""
        self.retries = 0
        """Attempts beyond the first, of all tasks that gave a result."""
        self.recorder: Recorder | None = None
        """Notes when tasks run, where somebody wants to know."""
        self.functions: list[Callable[..., Any]] | None = None
        """The functions mapped, where somebody wants to know."""

    @property
    def workers(self) -> int:
        """Workers of this pool; 1 in the sequential arm."""
        return self._pool.workers

    @property
    def strategy(self) -> str:
        """Name of the strategy; ``sequential`` in the sequential arm."""
        return self._strategy.name

    @property
    def executor(self) -> Executor:
        """A ``concurrent.futures.Executor`` on these workers, where the strategy can."""
        if isinstance(self._pool, HasExecutor):
            self.used = True
            if self.recorder:
                self.recorder.unseen = True
            return self._pool.executor
        raise Unsuitable(
            f"{self.strategy} has no concurrent.futures executor, and this workload asks for one"
        )

    @property
    def native(self) -> Any:
        """The engine's own interface: ray, a dask Client, a SparkSession, modin.pandas …

        None in the sequential arm, and on strategies that have none, so that one pipeline says what runs
        where: ``frames = pool.native or pandas``. What it gives back must be a plain result (``compute()``,
        ``toPandas()``): what is lazy, or lies on the cluster, is neither timed nor can it be compared.
        """
        client = self._pool.native if isinstance(self._pool, HasNative) else None
        if client is not None:
            self.used = True
            if self.recorder:
                self.recorder.unseen = True
        return client

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        chunk_size: int | str | None = None,
        ordered: bool = True,
        on_error: str = "raise",
        timeout: float | None = None,
        task_timeout: float | None = None,
        cost: Callable[[Any], float] | None = None,
        partition: str | None = None,
        retries: int = 0,
        backoff: float = BACKOFF,
        async_fn: Callable[[Any], Awaitable[Any]] | None = None,
    ) -> list[Any]:
        """``[fn(item) for item in items]`` on this pool, in the order of the items.

        ``chunk_size``: items sent to a worker at once, an int or ``"auto"``. ``ordered=False``: results in
        the order in which they come, where the strategy has it. ``on_error="collect"`` puts a failed task's
        exception among the results, with its item's index as ``item_index``. ``timeout``: seconds for the
        whole map; ``task_timeout``: for one item. ``cost(item)``: the dearest items start first.
        ``partition="balanced"``: the items are divided among the workers before the start. ``retries``:
        further attempts of a task that raises an Exception, the first after ``backoff`` seconds, then twice
        as long each. ``async_fn`` is what event-loop strategies run instead of ``fn``.
        """
        return self.run(
            fn,
            items,
            MapOptions(
                chunk_size=chunk_size,
                ordered=ordered,
                on_error=on_error,
                timeout=timeout,
                task_timeout=task_timeout,
                cost=cost,
                partition=partition,
                retries=retries,
                backoff=backoff,
                async_fn=async_fn,
            ),
        )

    def run(self, fn: Callable[[Any], Any], items: Iterable[Any], options: MapOptions) -> list[Any]:
        """`map` with its options as one object."""
        task = self._task(fn, options)
        todo: Sequence[Any] = items if isinstance(items, (list, tuple)) else list(items)
        try:
            with self.recorder.map(len(todo)) if self.recorder else nullcontext():
                results, indices = self._results(task, todo, options)
        except RuntimeError as exc:
            error = unstopped(exc)
            raise error from error.__cause__
        if not options.tries:
            return results
        return [self._opened(result, index) for result, index in zip(results, indices, strict=True)]

    def imap(
        self,
        fn: Callable[[Any], Any],
        iterable: Iterable[Any],
        *,
        chunk_size: int | None = 1,
        ordered: bool = True,
        in_flight: int | None = None,
        on_error: str = "raise",
        timeout: float | None = None,
        task_timeout: float | None = None,
        retries: int = 0,
        backoff: float = BACKOFF,
        async_fn: Callable[[Any], Awaitable[Any]] | None = None,
    ) -> Iterator[Any]:
        """``fn`` of each item, one after another, in constant memory; the iterable may be endless.

        ``in_flight``: items that are drawn and not yet given out, at most (two chunks a worker by default,
        eight where the strategy has no stream and maps one window after another). ``timeout``: seconds for
        the whole stream, the time that its reader takes included. Closing the iterator cancels what has not
        begun. The rest is as in `map`. The sequential arm is a plain lazy loop.
        """
        options = MapOptions(
            chunk_size=chunk_size,
            ordered=ordered,
            on_error=on_error,
            timeout=timeout,
            task_timeout=task_timeout,
            retries=retries,
            backoff=backoff,
            async_fn=async_fn,
        )
        size, chunks = in_flight_chunks(options, in_flight, workers=self.workers, windows=not self._streams)
        task = self._task(fn, options)
        if self.recorder:
            self.recorder.loose = True
        try:
            coming = iter(iterable)
        except TypeError:
            raise UsageError(f"imap takes items to map over, not {type(iterable).__name__}") from None
        if self._in_turn:
            return self._loop(task, coming)
        return self._flow(task, coming, options, size, chunks)

    def _task(self, fn: Callable[[Any], Any], options: MapOptions) -> Callable[[Any], Any]:
        """The function as this strategy calls it. Raises `Unsuitable`."""
        self.used = True
        if self.functions is not None:
            self.functions.append(fn)
        native = self._strategy.native_async
        chosen = options.async_fn if native and options.async_fn is not None else fn
        reason = self._strategy.unsuitable(function=named(fn), asynchronous=is_async(chosen))
        if options.task_timeout is not None and not (self._in_turn or self._strategy.limits_tasks):
            reason = reason or (
                f"{self.strategy} cannot end a single task: for task_timeout= use processes, or asyncio with "
                f"a coroutine function; timeout= for the whole map works here too"
            )
        if reason:
            raise Unsuitable(reason)
        task: Callable[[Any], Any] = chosen
        if options.tries:
            task = Trying(chosen, collects=options.collects, retries=options.retries, backoff=options.backoff)
        task = task if native or self._strategy.isolation is Isolation.NONE else adapted(task)
        return self.recorder.noting(task) if self.recorder else task

    def _results(
        self, task: Callable[[Any], Any], todo: Sequence[Any], options: MapOptions
    ) -> tuple[list[Any], Sequence[int]]:
        """Results, and of each the index of its item."""
        in_order = range(len(todo))
        if self._in_turn:
            return self._pool.map(task, todo), in_order
        if groups := self._groups(todo, options):
            return self._grouped(task, todo, groups, options)
        if options.cost is None:
            return self._pool.map(task, todo, chunk_size=options.size, timeout=options.timeout), in_order
        size = options.size or self._chunk_size(len(todo), options)
        order = _dearest_first(todo, options, size)
        with _counted_as_sent():
            found = self._pool.map(
                task, [todo[i] for i in order], chunk_size=options.size, timeout=options.timeout
            )
        return _put_back(zip(order, found, strict=True), len(todo)), in_order

    def _groups(self, todo: Sequence[Any], options: MapOptions) -> list[list[int]]:
        """Indices of the items of each chunk, where chunks are more than the pool's own choice."""
        if options.partition or (self._strategy.partitions and options.size is None):
            return balanced(options.costs(todo), self.workers)
        unordered = self._streams and not options.ordered
        if options.task_timeout is None and not unordered:
            return []
        size = options.size or self._chunk_size(len(todo), options)
        order = range(len(todo)) if options.cost is None else _dearest_first(todo, options, size)
        return [list(order[start : start + size]) for start in range(0, len(order), size)]

    def _chunk_size(self, items: int, options: MapOptions) -> int:
        near = self._strategy.isolation in (Isolation.NONE, Isolation.THREAD)
        return 1 if near or options.task_timeout is not None else auto_chunk(items, self.workers)

    def _grouped(
        self,
        task: Callable[[Any], Any],
        todo: Sequence[Any],
        groups: Sequence[Sequence[int]],
        options: MapOptions,
    ) -> tuple[list[Any], Sequence[int]]:
        starts = accumulate(map(len, groups[:-1]), initial=0)  # an item's number is its place in this order
        by_start = dict(zip(starts, groups, strict=True))
        answers = streamed(
            self._pool,
            task,
            [(start, [todo[i] for i in group]) for start, group in by_start.items()],
            ordered=options.ordered,
            timeout=options.timeout,
            task_timeout=options.task_timeout,
        )
        with nullcontext() if list(chain(*groups)) == list(range(len(todo))) else _counted_as_sent():
            found = [
                (index, result)
                for start, results in answers
                for index, result in zip(by_start[start], results, strict=True)
            ]
        if options.ordered:
            return _put_back(found, len(todo)), range(len(todo))
        return [result for _, result in found], [index for index, _ in found]

    def _loop(self, task: Callable[[Any], Any], coming: Iterator[Any]) -> Iterator[Any]:
        one = (lambda item: self._pool.map(task, [item])[0]) if is_async(task) else task
        for index, result in zip(count(), in_turn(one, coming)):
            yield self._opened(result, index)

    def _flow(
        self, task: Callable[[Any], Any], coming: Iterator[Any], options: MapOptions, size: int, chunks: int
    ) -> Iterator[Any]:
        answers = streamed(
            self._pool,
            task,
            batched(coming, size),
            in_flight=chunks,
            ordered=options.ordered,
            timeout=options.timeout,
            task_timeout=options.task_timeout,
        )
        end = math.inf if options.timeout is None else time.monotonic() + options.timeout
        with contextlib.closing(answers):
            for start, results in answers:
                if time.monotonic() > end:  # its pool looks at the clock only where it has to wait
                    said = f"the stream did not end within {options.timeout:g} s, its reader included"
                    raise TaskTimeout(said)
                for index, result in enumerate(results, start):
                    yield self._opened(result, index)

    def _opened(self, result: Any, index: int) -> Any:
        """A result, or the error that was collected in its place."""
        if type(result) is not Outcome:
            return result
        self.retries += result.attempts - 1
        return result.value if result.error is None else _placed(result.error, index)


@contextlib.contextmanager
def _counted_as_sent() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        note(
            error,
            "the items were sent in another order (cost=, partition=), and are counted in that one here",
        )
        raise


def _dearest_first(todo: Sequence[Any], options: MapOptions, size: int) -> list[int]:
    """The order of the items such that each chunk of ``size`` begins with a dear one.

    They are dealt to the chunks like cards, the dearest first: what is dear does not meet in one chunk.
    """
    costs = options.costs(todo)
    order = sorted(range(len(todo)), key=lambda i: -costs[i])
    starts = range(0, len(order), size)
    places = [start + turn for turn in range(size) for start in starts if start + turn < len(order)]
    dealt = [0] * len(order)
    for place, index in zip(places, order, strict=True):
        dealt[place] = index
    return dealt


def _put_back(found: Iterable[tuple[int, Any]], size: int) -> list[Any]:
    results: list[Any] = [None] * size
    for index, result in found:
        results[index] = result
    return results


def _placed(error: BaseException, index: int) -> BaseException:
    note(error, f"item {index}")
    # A class may refuse attributes (frozen dataclasses do).
    with contextlib.suppress(Exception):
        BaseException.__setattr__(error, "item_index", index)
    return error
