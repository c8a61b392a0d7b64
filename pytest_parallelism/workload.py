"""The user's work: what one round of it does, on what, and when two results of it are the same."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from types import ModuleType
from typing import Any

from .envelope import Collecting, adapted, is_async, named
from .equality import Comparison, compare, compare_unordered
from .errors import ItemsChanged, NotRepeatable, Unsuitable, UsageError, WrongResult
from .measurement import Kind
from .strategy import Counts, HasExecutor, Isolation, Pool, Strategy

__all__ = ["WorkPool", "Workload", "refuse_lazy"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

_IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, type(None), range})


class WorkPool:
    """The pool that a workload gets: the same face on every strategy, sequential included."""

    def __init__(self, pool: Pool, strategy: Strategy) -> None:
        self._pool = pool
        self._strategy = strategy
        self.used = False
        """True once the workload has used ``map`` or ``executor``."""
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
            return self._pool.executor
        raise Unsuitable(
            f"{self.strategy} has no concurrent.futures executor, and this workload asks for one"
        )

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        chunk_size: int | str | None = None,
        ordered: bool = True,  # noqa: ARG002 - no strategy gives up order yet; results are compared without it
        on_error: str = "raise",
        timeout: float | None = None,
        cost: Callable[[Any], float] | None = None,
        async_fn: Callable[[Any], Awaitable[Any]] | None = None,
    ) -> list[Any]:
        """``[fn(item) for item in items]`` on this pool, in the order of the items.

        ``chunk_size``: items sent to a worker at once, an int or ``"auto"``. ``on_error="collect"`` puts a
        failed task's exception in its place. ``timeout``: seconds for the whole map. ``cost(item)``: the
        dearest items start first. ``async_fn`` is what event-loop strategies run instead of ``fn``.
        ``ordered=False`` says that the caller does not need the order; results are compared without it.
        """
        self.used = True
        if self.functions is not None:
            self.functions.append(fn)
        task = self._task(fn, async_fn, on_error)
        todo: Sequence[Any] = items if isinstance(items, (list, tuple)) else list(items)
        # A limit that is meant for the parallel map would end the longer sequential one.
        limit = None if self._strategy.counts is Counts.ONE else _seconds(timeout)
        send = partial(self._pool.map, chunk_size=_chunk_size(chunk_size), timeout=limit)
        if cost is None or self._strategy.isolation is Isolation.NONE:
            return send(task, todo)
        dearest_first = sorted(range(len(todo)), key=lambda i: -cost(todo[i]))
        results: list[Any] = [None] * len(todo)
        for i, result in zip(dearest_first, send(task, [todo[i] for i in dearest_first]), strict=True):
            results[i] = result
        return results

    def _task(
        self, fn: Callable[[Any], Any], async_fn: Callable[[Any], Awaitable[Any]] | None, on_error: str
    ) -> Callable[[Any], Any]:
        collects = _collects(on_error)
        native = self._strategy.native_async
        chosen = async_fn if native and async_fn is not None else fn
        reason = self._strategy.unsuitable(function=named(fn), asynchronous=is_async(chosen))
        if reason:
            raise Unsuitable(reason)
        task: Callable[[Any], Any] = Collecting(chosen) if collects else chosen
        return task if native or self._strategy.isolation is Isolation.NONE else adapted(task)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One round of the user's work, and what surrounds it.

    ``run(pool, items)`` is the round; ``items`` are materialized once and None for a pipeline of the
    user's own. ``by_value`` are the modules that travel by value.
    """

    name: str
    run: Callable[[WorkPool, Any], Any]
    items: Sequence[Any] | None = None
    setup: Callable[[], Any] | None = None
    teardown: Callable[[], Any] | None = None
    equal: Callable[[Any, Any], bool] | None = None
    ordered: bool = True
    size_bytes: int | None = None
    kind: Kind | None = None
    chunk_size: int | str | None = None
    by_value: tuple[ModuleType, ...] = ()

    @classmethod
    def of_map(
        cls,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        chunk_size: int | str | None = None,
        ordered: bool = True,
        on_error: str = "raise",
        timeout: float | None = None,
        cost: Callable[[Any], float] | None = None,
        size: Callable[[Any], int] | int | None = None,
        async_fn: Callable[[Any], Awaitable[Any]] | None = None,
        **common: Any,
    ) -> Workload:
        """A function and its items. ``size``: bytes of an item (a function) or of all (a number)."""
        if not callable(fn):
            raise UsageError(f"parallel.map takes a function and its items, not {fn!r} ({type(fn).__name__})")
        listed = _materialize(items)
        _chunk_size(chunk_size), _seconds(timeout), _collects(on_error)
        call = partial(WorkPool.map, chunk_size=chunk_size, ordered=ordered, on_error=on_error)

        def run(pool: WorkPool, fresh: Any) -> Any:
            return call(pool, fn, fresh, timeout=timeout, cost=cost, async_fn=async_fn)

        return cls(
            name=named(fn),
            run=run,
            items=listed,
            ordered=ordered,
            size_bytes=_size(listed, size),
            chunk_size=chunk_size,
            **_checked(common),
        )

    @classmethod
    def of_call(cls, call: Callable[[WorkPool], Any], **common: Any) -> Workload:
        """A pipeline of the user's own: ``call(pool)``."""
        if not callable(call) or is_async(call):
            raise UsageError(f"parallel.measure takes a plain function of the pool, not {named(call)}")
        return cls(name=named(call), run=lambda pool, _: call(pool), **_checked(common))

    def prepare(self) -> Any:
        """Run ``setup``; the items of the next round."""
        fresh = self.setup() if self.setup else None
        if self.items is None or fresh is None:
            return self.items
        listed = None if isinstance(fresh, (str, bytes)) or not isinstance(fresh, Iterable) else list(fresh)
        if listed is None or len(listed) != len(self.items):
            found = repr(fresh) if listed is None else f"{len(listed)} items"
            raise UsageError(
                f"setup= returned {found}: it must return None or as many fresh items as there are, "
                f"{len(self.items)}"
            )
        return listed

    def clean(self) -> None:
        """Run ``teardown``."""
        if self.teardown:
            self.teardown()

    def fingerprints(self, items: Any) -> list[bytes | None]:
        """A digest of each item that could change; to be compared before and after a round."""
        return [_fingerprint(item) for item in items] if items is not None else []

    def check_unchanged(self, items: Any, before: Sequence[bytes | None]) -> None:
        """Raise `ItemsChanged` where an item's digest is not what it was."""
        for i, (item, digest) in enumerate(zip(items or (), before, strict=True)):
            if digest is not None and _fingerprint(item) != digest:
                raise ItemsChanged(
                    f"{self.name} changes its items: item {i} ({type(item).__name__}) was not the same after "
                    f"a sequential round, so later rounds would do other work; use setup= for fresh items"
                )

    def check_repeats(self, first: Any, second: Any) -> Comparison:
        """Raise `NotRepeatable` where two sequential results differ."""
        found = self._compare(first, second)
        if found.difference:
            raise NotRepeatable(
                f"the workload is not repeatable: two sequential rounds of {self.name} disagree; use setup= "
                f"to give each round the same start, or equal= to say what counts as the same\n"
                + found.difference.describe("first round", "second round")
            )
        return found

    def check_same(self, sequential: Any, parallel: Any, point: str) -> Comparison:
        """Raise `WrongResult` where the parallel result differs from the sequential one."""
        found = self._compare(sequential, parallel)
        if found.difference:
            raise WrongResult(
                f"{point} gives another result than the sequential run of {self.name}\n"
                + found.difference.describe("sequential", point)
            )
        return found

    def _compare(self, left: Any, right: Any) -> Comparison:
        if self.equal is None:
            return compare(left, right) if self.ordered else compare_unordered(left, right)
        found = compare(None, None)
        if not self.equal(left, right):
            found = compare(left, right)
            if found.difference is None:
                found = compare("equal= said that the results differ", "they are the same by our own rule")
        return found


def _collects(on_error: Any) -> bool:
    if on_error not in ("raise", "collect"):
        raise UsageError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    return bool(on_error == "collect")


def _chunk_size(raw: Any) -> int | None:
    if raw in (None, "auto"):
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
        raise UsageError(f"chunk_size must be a whole number of at least 1 or 'auto', not {raw!r}")
    return raw


def _seconds(raw: Any) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not raw > 0:
        raise UsageError(f"timeout must be seconds above 0, not {raw!r}")
    return float(raw)


def _checked(common: dict[str, Any]) -> dict[str, Any]:
    for name in ("setup", "teardown", "equal"):
        if common.get(name) is not None and not callable(common[name]):
            raise UsageError(f"{name}= must be a function, not {common[name]!r}")
    kind = common.get("kind")
    if kind is not None:
        try:
            common["kind"] = Kind(kind)
        except ValueError:
            raise UsageError(f"kind= must be 'cpu', 'io' or 'mixed', not {kind!r}") from None
    return common


def _materialize(items: Iterable[Any]) -> list[Any]:
    try:
        listed = list(items)
    except TypeError:
        raise UsageError(f"parallel.map takes items to map over, not {type(items).__name__}") from None
    if not listed:
        raise UsageError("parallel.map got no items: there is nothing to measure")
    return listed


def _size(items: Sequence[Any], size: Callable[[Any], int] | int | None) -> int | None:
    if callable(size):
        return int(sum(size(item) for item in items))
    if size is not None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise UsageError(f"size= must be bytes in all, or a function that gives an item's, not {size!r}")
        return size
    if all(isinstance(item, (bytes, bytearray)) for item in items):
        return sum(map(len, items))
    return None


def _fingerprint(item: Any) -> bytes | None:
    if type(item) in _IMMUTABLE:
        return None
    digest = blake2b(digest_size=16)
    try:
        # Out-of-band buffers: large arrays are hashed where they lie, not copied.
        body = pickle.dumps(item, protocol=5, buffer_callback=lambda buffer: digest.update(buffer.raw()))
    except Exception:  # noqa: BLE001 - what cannot be pickled is covered by the repeatability check
        return None
    digest.update(body)
    return digest.digest()


def refuse_lazy(result: Any) -> None:
    """Raise `UsageError` for a result that is still to be worked out: generators, iterators, coroutines."""
    first = result[0] if isinstance(result, list) and result else result
    if isinstance(first, Iterator) or inspect.iscoroutine(first) or inspect.isasyncgen(first):
        raise UsageError(
            f"the workload returns a {type(first).__name__}, which has not run yet: return what it yields"
        )
