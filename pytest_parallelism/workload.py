"""The user's work: what one round of it does, on what, and when two results of it are the same."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from types import ModuleType
from typing import Any

from .envelope import Initializing, is_async, named
from .equality import Comparison, compare, compare_unordered
from .errors import ItemsChanged, NotRepeatable, UsageError, WrongResult
from .measurement import Kind
from .workpool import MapOptions, WorkPool, seconds

__all__ = ["COMMON_ARGUMENTS", "MAP_ARGUMENTS", "Workload", "refuse_lazy"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

MAP_ARGUMENTS = tuple(field.name for field in fields(MapOptions))
"""What says how to map."""

COMMON_ARGUMENTS = (
    *("setup", "teardown", "equal", "ordered", "kind", "size"),
    *("initializer", "initargs", "baseline_timeout"),
)
"""What both `Workload.of_map` and `Workload.of_call` take."""

_IMMUTABLE = frozenset({int, float, complex, bool, str, bytes, type(None), range})


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One round of the user's work, and what surrounds it.

    ``run(pool, items)`` is the round; ``items`` are materialized once and None for a pipeline of the
    user's own. ``by_value`` are the modules that travel by value. ``initializer``: called once by each
    worker of both arms while the pool opens. ``baseline_timeout``: seconds for each sequential round.
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
    initializer: Callable[[], object] | None = None
    baseline_timeout: float | None = None

    @classmethod
    def of_map(
        cls,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        size: Callable[[Any], int] | int | None = None,
        **arguments: Any,
    ) -> Workload:
        """A function and its items. ``size``: bytes of an item (a function) or of all (a number).

        The other arguments are those of `MapOptions` and ``COMMON_ARGUMENTS``.
        """
        if not callable(fn):
            raise UsageError(f"parallel.map takes a function and its items, not {fn!r} ({type(fn).__name__})")
        listed = _materialize(items)
        options = MapOptions(**{name: arguments.pop(name) for name in MAP_ARGUMENTS if name in arguments})
        arguments.setdefault("ordered", options.ordered)
        return cls(
            name=named(fn),
            run=lambda pool, fresh: pool.run(fn, fresh, options),
            items=listed,
            size_bytes=_size(listed, size),
            chunk_size=options.chunk_size,
            **_checked(arguments),
        )

    @classmethod
    def of_call(cls, call: Callable[[WorkPool], Any], *, size: int | None = None, **common: Any) -> Workload:
        """A pipeline of the user's own: ``call(pool)``. ``size``: bytes in all."""
        if not callable(call) or is_async(call):
            raise UsageError(f"parallel.measure takes a plain function of the pool, not {named(call)}")
        if callable(size):
            raise UsageError("size= of parallel.measure must be bytes in all: it has no items to ask about")
        return cls(
            name=named(call),
            run=lambda pool, _: call(pool),
            size_bytes=_size((), size) if size is not None else None,
            **_checked(common),
        )

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


def _checked(common: dict[str, Any]) -> dict[str, Any]:
    for name in ("setup", "teardown", "equal"):
        if common.get(name) is not None and not callable(common[name]):
            raise UsageError(f"{name}= must be a function, not {common[name]!r}")
    if not isinstance(common.get("ordered", True), bool):
        raise UsageError(f"ordered must be True or False, not {common['ordered']!r}")
    kind = common.get("kind")
    if kind is not None:
        try:
            common["kind"] = Kind(kind)
        except ValueError:
            raise UsageError(f"kind= must be 'cpu', 'io' or 'mixed', not {kind!r}") from None
    seconds("baseline_timeout", common.get("baseline_timeout"))
    common["initializer"] = _initializer(common.get("initializer"), common.pop("initargs", ()))
    return common


def _initializer(fn: Any, args: Any) -> Initializing | None:
    if not isinstance(args, (tuple, list)):
        raise UsageError(f"initargs= must be a tuple of arguments, not {args!r}: write ({args!r},) for one")
    if fn is None:
        if args:
            raise UsageError("initargs= are the arguments of initializer=, which is missing")
        return None
    if not callable(fn) or is_async(fn):
        found = named(fn) if callable(fn) else repr(fn)
        raise UsageError(f"initializer= must be a plain function, not {found}")
    return Initializing(fn, tuple(args))


def _materialize(items: Iterable[Any]) -> list[Any]:
    try:
        listed = list(items)
    except TypeError:
        raise UsageError(f"a map takes items, one after another, not {type(items).__name__}") from None
    if not listed:
        raise UsageError("a map of no items: there is nothing to measure")
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
