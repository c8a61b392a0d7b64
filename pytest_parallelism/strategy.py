"""The contract between the product and every way to run a map.

A strategy is frozen data with one function, ``open``; an opened strategy is a ``Pool`` with one verb,
``map``. What more a mechanism can do stands in the small optional protocols below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = [
    "Chunk",
    "Counts",
    "HasAmbient",
    "HasExecutor",
    "HasInfo",
    "HasKept",
    "HasNative",
    "HasPids",
    "HasStream",
    "Isolation",
    "Pool",
    "Strategy",
    "StrategyOptions",
    "listed",
]


class Isolation(Enum):
    """What a task of this strategy cannot touch of the parent."""

    NONE = "none"
    THREAD = "thread"
    INTERPRETER = "interpreter"
    PROCESS = "process"
    REMOTE = "remote"


class Counts(Enum):
    """Which worker counts a strategy takes: any, one only (sequential), or its own choice (adaptive)."""

    ANY = "any"
    ONE = "one"
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class StrategyOptions:
    """What ``open`` may need beside the worker count.

    ``by_value``: modules whose functions and classes are sent to workers by value, because a fresh
    interpreter could not import them (test modules, conftest files). ``start_timeout``: seconds in which
    all workers must have proven to run. ``native_threads``: the limit for BLAS and OpenMP threads in each
    worker, None to leave them alone. ``initializer``: called once in each worker while it starts, so that
    its time counts as opening; what it raises ends the opening. ``address``: where a cluster of the
    user's is, for a strategy that `Strategy.connects`; None to start one here. ``extra``: what the marker's
    ``options={strategy: {...}}`` says.
    """

    by_value: tuple[ModuleType, ...] = ()
    start_timeout: float = 60.0
    native_threads: int | None = 1
    initializer: Callable[[], object] | None = None
    address: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)


Chunk = tuple[int, Sequence[Any]]
"""A number that its answer comes back with (the index of its first item), and the items."""


class Pool(Protocol):
    """An opened strategy whose ``workers`` workers are proven to run."""

    @property
    def workers(self) -> int:
        """Workers that it has, not what was asked for."""

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        chunk_size: int | None = None,
        timeout: float | None = None,
    ) -> list[Any]:
        """``[fn(item) for item in items]``, in order; raises the first failing task's own exception.

        ``chunk_size``: items sent to a worker at once, None for the strategy's own choice. ``timeout``:
        seconds for the whole map, then `TaskTimeout`.
        """


@runtime_checkable
class HasStream(Protocol):
    """A pool that takes chunks one after another, and gives each answer as soon as it is there."""

    def stream(
        self,
        fn: Callable[[Any], Any],
        chunks: Iterable[Chunk],
        *,
        in_flight: int | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        task_timeout: float | None = None,
    ) -> Iterator[tuple[int, list[Any]]]:
        """For each chunk its number and its results, in the order of the chunks or as they complete.

        Draws a chunk only while fewer than ``in_flight`` chunks are drawn and not yet given back (None: as
        many as it likes), so that an endless input takes constant memory. Raises the first failing task's
        own exception that it meets; then, or when the generator is closed early, what has not begun is
        cancelled. ``timeout``: seconds for the whole stream. ``task_timeout``: seconds for one item, only
        where `Strategy.limits_tasks`. Both end in `TaskTimeout`.
        """


@runtime_checkable
class HasPids(Protocol):
    """A pool whose workers are processes of this machine."""

    def pids(self) -> Sequence[int]:
        """Process ids of the workers (helpers such as resource trackers not included)."""


@runtime_checkable
class HasExecutor(Protocol):
    """A pool that is, or stands on, a ``concurrent.futures.Executor`` that takes any user function."""

    @property
    def executor(self) -> Executor:
        """The executor; the pool closes it."""


@runtime_checkable
class HasAmbient(Protocol):
    """A pool that sets something around each of its rounds (joblib's ``parallel_config``)."""

    def ambient(self) -> AbstractContextManager[Any]:
        """Entered around each parallel round, outside the clock, and left before a sequential one."""


@runtime_checkable
class HasInfo(Protocol):
    """A pool with facts for the record: how workers are divided, what it chose and why."""

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """Plain scalars."""


@runtime_checkable
class HasNative(Protocol):
    """A pool of an engine whose own interface a workload may use."""

    @property
    def native(self) -> Any:
        """The engine's own client (ray, a dask Client, a SparkSession), None where it has none."""


@runtime_checkable
class HasKept(Protocol):
    """A pool whose workers may have been there before it was opened."""

    @property
    def kept_seconds(self) -> float:
        """Seconds that opening it did not take, since its cluster was kept: what that had taken to start."""


Open = Callable[[int, StrategyOptions], AbstractContextManager[Pool]]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One named way to run a map.

    ``open(workers, options)`` gives a context manager: entering it starts exactly that many workers and
    proves that they run at once; leaving it ends all of them, at once where it is left by an exception.
    """

    name: str
    open: Open
    isolation: Isolation
    group: str = "local"
    counts: Counts = Counts.ANY
    dear: bool = False
    """A cluster: points are ordered so that one is alive at a time."""
    connects: str = ""
    """What an address of the user's own cluster looks like, for sentences; empty where it takes none."""
    requires: tuple[str, ...] = ()
    """Importable names, probed with find_spec and never imported."""
    install: str = ""
    """What to install where one is missing, such as ``pytest-parallelism[dask]``."""
    distribution: str = ""
    """The distribution whose version is the strategy's; empty for Python's own mechanisms."""
    native_async: bool = False
    """Runs coroutine functions on an event loop, and nothing else."""
    limits_tasks: bool = False
    """Its pools have a `HasStream.stream` that can end a single task: ``task_timeout``."""
    inside: bool = False
    """Tasks run one after another, and what is parallel is inside of each (native threads)."""
    partitions: bool = False
    """Items are divided among the workers once, before the start."""
    noun: str = "workers"
    """What its workers are called in sentences: threads, processes, workers."""
    available: Callable[[int], str | None] | None = None
    """One sentence why it cannot run here with that many workers, None where it can."""

    def obstacle(self, workers: int, *, connected: bool = False) -> str | None:
        """One sentence why this strategy cannot run here with ``workers`` workers, None where it can.

        ``connected``: on a cluster of the user's, so that what it takes to start one is not needed.
        """
        missing = [name for name in self.requires if not _importable(name)]
        if missing:
            what = self.install or " ".join(missing)
            return f"{self.name} needs {', '.join(missing)}, not installed here: pip install '{what}'"
        return self.available(workers) if self.available and not connected else None

    def unsuitable(self, *, function: str, asynchronous: bool) -> str | None:
        """One sentence why a function cannot run on this strategy, None where it can."""
        if self.native_async and not asynchronous:
            return (
                f"{self.name} runs coroutine functions only, and {function} is not one: "
                f"pass async_fn=, or use asyncio-threads for blocking functions"
            )
        return None

    def version(self) -> str:
        """Version of the library behind the strategy; Python's own for its own mechanisms."""
        if not self.distribution:
            return ".".join(map(str, sys.version_info[:3]))
        from importlib.metadata import version

        return version(self.distribution)


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def listed(strategies: Iterable[Strategy]) -> str:
    """Names, sorted, for sentences."""
    return ", ".join(sorted(s.name for s in strategies))
