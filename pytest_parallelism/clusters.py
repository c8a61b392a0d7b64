"""Clusters that outlive a pool: what takes seconds to start is kept for the next point that wants the same.

One cluster is alive at a time in this process: Ray and Spark allow one, and an idle one disturbs what is
measured beside it. Without `keeping`, a cluster ends with the pool that it was started for.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from .errors import PoolError

__all__ = ["Cluster", "Lease", "end_kept", "keeping", "lease"]


class Cluster(Protocol):
    """What an engine runs: workers and whatever they need."""

    def usable(self) -> bool:
        """Whether it can serve another pool."""

    def close(self) -> None:
        """Ends it, with all that it started."""

    def kill(self) -> None:
        """Ends it at once, whatever it is doing."""


C = TypeVar("C", bound=Cluster)


@dataclass(frozen=True)
class Lease(Generic[C]):
    """A cluster while a pool uses it."""

    cluster: C
    start_seconds: float
    """Seconds that it took to start, for whomever it was started."""
    fresh: bool
    """Started for this pool."""


@dataclass
class _Alive:
    key: Hashable
    lease: Lease[Cluster]
    """As whoever comes next gets it."""
    users: int = 0


_lock = threading.RLock()
_alive: _Alive | None = None
_keepers = 0


@contextmanager
def keeping() -> Iterator[None]:
    """Meanwhile a cluster stays when its pool is closed, for the next pool that asks for the same."""
    global _keepers
    with _lock:
        _keepers += 1
    try:
        yield
    finally:
        with _lock:
            _keepers -= 1
        if not _keepers:
            end_kept()


def end_kept() -> None:
    """Ends the cluster that nobody uses, if there is one."""
    global _alive
    with _lock:
        if _alive is not None and not _alive.users:
            ended, _alive = _alive, None
            try:
                ended.lease.cluster.close()
            except BaseException:  # Ctrl-C
                ended.lease.cluster.kill()
                raise


@contextmanager
def lease(key: Hashable, start: Callable[[], C]) -> Iterator[Lease[C]]:
    """The cluster of that key: the one that was kept, or a new one once that has ended.

    ``key``: engine, worker count and all options that the start depends on. Left by an exception, the cluster
    is killed. Raises `PoolError` where another one is in use, and what ``start`` raises.
    """
    alive, taken = _taken(key, start)
    try:
        yield taken  # type: ignore[misc]  # the key names the engine, and so the class of its cluster
    except BaseException:
        _given_back(alive, kill=True)
        raise
    _given_back(alive, kill=False)


def _taken(key: Hashable, start: Callable[[], Cluster]) -> tuple[_Alive, Lease[Cluster]]:
    global _alive
    with _lock:
        if (
            _alive is not None
            and not _alive.users
            and (_alive.key != key or not _alive.lease.cluster.usable())
        ):
            end_kept()
        if _alive is None:
            begun = time.perf_counter()
            cluster = start()
            taken = Lease(cluster, time.perf_counter() - begun, fresh=True)
            _alive = _Alive(key, replace(taken, fresh=False))
            atexit.unregister(_end_at_exit)
            atexit.register(_end_at_exit, os.getpid())  # so that it comes before the engine's own
        elif _alive.key != key:
            raise PoolError(
                "another cluster is in use in this process, and one at a time can be: close its pool"
            )
        else:
            taken = _alive.lease
        _alive.users += 1
        return _alive, taken


def _given_back(alive: _Alive, *, kill: bool) -> None:
    global _alive
    with _lock:
        alive.users -= 1
        cluster = alive.lease.cluster
        if kill or not cluster.usable():
            if _alive is alive:
                _alive = None
                cluster.kill()
        elif not alive.users and not _keepers:
            end_kept()


def _end_at_exit(owner: int) -> None:
    """Ends the cluster of a pool that nobody has closed.

    It is garbage later, when threads have ended for which the end of a cluster waits.
    """
    global _alive
    if os.getpid() == owner and _alive is not None:  # not in a process that was forked
        ended, _alive = _alive, None
        ended.lease.cluster.kill()
