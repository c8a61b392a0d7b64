"""Pools on the cluster of an engine: functions and chunks go there as bytes, answers come back as bytes.

An engine gives an `EngineCluster`; all that pools promise is here. A cluster is one of ours, started on this
machine for exactly N workers and ended with all that it left, or the user's own, where nothing is restarted
or killed that is not ours.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only from 3.11 on
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType
from typing import Any

from ..addresses import scrubbed, shown
from ..clusters import Lease, lease
from ..envelope import (
    Bare,
    Elsewhere,
    Packer,
    enclosed,
    interpreter,
    preparation,
    rendezvous,
    run_bare,
    run_there,
    unpack,
)
from ..envelope._shipping import as_they_are, open_answer
from ..errors import (
    NotTransferable,
    ParallelismError,
    PoolError,
    TaskTimeout,
    UsageError,
    WorkerLost,
    WorkersMissing,
)
from ..strategy import Pool, StrategyOptions
from ..workers import SLICE_SECONDS, descendants, runs
from ._chunks import Deadline
from ._executors import ExecutorPool, Send, Sent, opened

__all__ = ["Answer", "EngineCluster", "EnginePool", "Payload", "open_on", "run_by"]

_PACKAGE = __name__.partition(".")[0]
_DYING_SECONDS = 0.5
_POLL_SECONDS = 0.005

Payload = Sequence[bytes]
"""Items of a chunk, as `enclosed` gives them: parts, of which a large one is where it lay."""
Answer = Any
"""What `envelope.run_there` gave, in parts or joined, in whatever form it came back."""


def run_by(payload: Payload) -> tuple[Callable[..., Answer], Any]:
    """What runs a chunk of a cluster that `pickles`, and its items as that takes them."""
    return (run_bare, payload.items) if isinstance(payload, Bare) else (run_there, payload)


class EngineCluster:
    """A running cluster of one engine; an engine's own class gives what raises NotImplementedError here."""

    name: str
    """Of the engine, as its users write it: Ray, Dask."""
    ours: bool = True
    """Started by us on this machine, and ended by us; False for the user's own."""
    pickles: bool = False
    """Its engine pickles what it carries: to `submit` come `Bare` items too, which `run_bare` takes."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        """Workers that it has for us."""

    def prepare(self, function: bytes) -> Any:
        """A packed function, put once where all chunks of a map find it; what `submit` gets for it."""
        return function

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """Has a worker call ``run_there(prepare, function, payload, start)``.

        The future can be cancelled while its chunk has not begun. It fails only where the engine does, never
        by the task's own error.
        """
        raise NotImplementedError

    def lost(self, exc: BaseException) -> str | None:
        """What happened, in words, where such an exception of a future means a lost worker or cluster.

        None where it means something else.
        """
        raise NotImplementedError

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """Ends chunks that run too long, on the user's own cluster; whether they do end."""
        raise NotImplementedError

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `clusters.Cluster`; of the user's own, only our connection ends.

        Futures without an answer fail or are cancelled: another thread may wait for them.
        """
        raise NotImplementedError

    def kill(self) -> None:
        """See `clusters.Cluster`."""
        self.close()

    @property
    def native(self) -> Any:
        """See `HasNative`; None where the engine has no client of its own."""
        return None

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """More facts for the record; never credentials."""
        return {}


class EnginePool(ExecutorPool):
    """A pool on an engine's cluster.

    On one of ours, a lost worker and a timeout end the cluster, and so the pool. On the user's own, only our
    chunks are cancelled; what an engine cannot end runs on there, and the error says so.
    """

    def __init__(
        self,
        workers: int,
        options: StrategyOptions,
        *,
        key: Hashable,
        start: Callable[[], EngineCluster],
        noun: str = "processes",
    ) -> None:
        super().__init__(workers)
        self._options = options
        self._key = key
        self._start = start
        self._noun = noun
        self._stack = ExitStack()
        self._pids: tuple[int, ...] = ()
        self._by_value: Iterable[ModuleType] = options.by_value
        self._pack = Packer(options.by_value)
        self._prepare = b""
        self.lease: Lease[EngineCluster]

    @property
    def cluster(self) -> EngineCluster:
        """The cluster that it is on."""
        return self.lease.cluster

    @property
    def native(self) -> Any:
        """See `HasNative`."""
        self.usable()
        return self.cluster.native

    @property
    def kept_seconds(self) -> float:
        """See `HasKept`."""
        return 0.0 if self.lease.fresh else self.lease.start_seconds

    def pids(self) -> Sequence[int]:
        """See `HasPids`; none on the user's own cluster, which may be elsewhere."""
        return self._pids

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """See `HasInfo`."""
        kind = "started for the measurement" if self.cluster.ours else "the user's own"
        where = {"address": shown(self._options.address)} if self._options.address else {}
        return {"cluster": kind, **where, **self.cluster.info()}

    def start(self) -> None:
        """Takes the cluster, and proves that its workers run."""
        options = self._options
        try:
            self.lease = self._stack.enter_context(lease(self._key, self._start))
        except Exception as exc:
            error = self._presentable(exc)
            if error is exc:
                raise
            raise error from None
        cluster = self.cluster
        self.workers = cluster.workers
        if not cluster.ours:
            self._by_value = Elsewhere(options.by_value)
            self._pack = Packer(self._by_value)
        self._prepare = preparation(
            secrets.token_hex(8),
            native_threads=options.native_threads if cluster.ours else None,
            ours=cluster.ours,
            initializer=None if cluster.ours else options.initializer,
            by_value=self._by_value,
        )
        if cluster.ours:
            self._meet()
        else:
            self._reach()

    def _meet(self) -> None:
        """Proves that all workers run at once, and says which they are."""
        seconds = self._options.start_timeout
        seen = rendezvous(
            lambda fn, tickets: self.map(fn, tickets, chunk_size=1, timeout=2 * seconds),
            self.workers,
            timeout=seconds,
            noun=self._noun,
            initializer=self._options.initializer,
        )
        self._pids = tuple(sorted({worker.pid for worker in seen}))

    def _reach(self) -> None:
        """Proves that workers of the user's own cluster run our tasks; they may have no folder in common."""
        name, seconds = self.cluster.name, self._options.start_timeout
        try:
            found = set(self.map(interpreter, range(self.workers), chunk_size=1, timeout=seconds))
        except TaskTimeout:
            raise WorkersMissing(f"no worker of this {name} cluster ran our tasks in {seconds:g} s") from None
        except NotTransferable as exc:
            said = f"workers of this {name} cluster need the same pytest-parallelism as this process: {exc}"
            raise UsageError(said) from exc
        others = found - {interpreter(0)}
        if others:
            versions = ", ".join("{}.{}".format(*one) for one in sorted(others))
            raise UsageError(
                f"workers of this {name} cluster run Python {versions}, and functions travel as bytecode: "
                f"run the tests with that Python"
            )

    def usable(self) -> None:
        """See `ExecutorPool`. An engine replaces a lost worker silently, which no measurement may hide."""
        super().usable()
        gone = self._gone()
        if gone:
            raise self._lost(f"{_processes(gone)} ended between two maps")

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        cluster, prepare, by_value = self.cluster, self._prepare, self._by_value
        function = cluster.prepare(self._pack(fn))
        parts = as_they_are if cluster.pickles else enclosed
        return lambda start, chunk: cluster.submit(prepare, function, parts(chunk, by_value, start), start)

    def open_answer(self, answer: Answer) -> list[Any]:
        """See `Sending`."""
        return open_answer(answer) if self.cluster.pickles else unpack(answer)

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if isinstance(exc, ParallelismError) or not isinstance(exc, Exception):
            return exc
        if self.ended and isinstance(exc, CancelledError):  # another thread has met the fault
            return PoolError(f"this pool has ended, open a new one: {self.ended}")
        name, said = self.cluster.name, self.cluster.lost(exc)
        if isinstance(exc, CancelledError):
            said = said or f"{name} cancelled what it ran"
        if said is not None:
            gone = self._just_gone()
            return self._lost(f"{_processes(gone)} ended ({said})" if gone else said)
        if f"No module named '{_PACKAGE}'" in str(exc):
            return UsageError(f"workers of this {name} cluster need pytest-parallelism: install it there")
        return self._presentable(PoolError(f"{name} failed with {type(exc).__name__}: {exc}"))

    def _answer(self, sent: Sent, deadline: Deadline) -> tuple[int, Any]:
        while True:
            left = deadline.left()
            try:
                return sent.next(SLICE_SECONDS if left is None else min(left, SLICE_SECONDS))
            except FutureTimeoutError:
                if deadline.passed():
                    self._abandon(sent)
                    raise self.expire(deadline) from None
                if gone := self._gone():  # what a child of its task holds open may keep that from the engine
                    raise self._lost(f"{_processes(gone)} ended during a map") from None
            except Exception as exc:
                error = self.translate(exc)
                if error is exc:
                    raise
                raise error from (None if self._options.address else exc)

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        name = self.cluster.name
        if self.cluster.ours:
            error = deadline.error(f"its {name} cluster was ended")
            self.ended = str(error)
            self.kill()
        elif self.cluster.stop([future for future in self.left if not future.done()]):
            error = deadline.error(f"its tasks on {name} were ended")
        else:
            error = deadline.error(f"{name} cannot end a task that runs: it was left running there")
        return error

    def close(self) -> None:
        """Gives the cluster back; ends it where a task is still busy, or has left a process."""
        if self.cluster.ours and (self.ended or self.busy() or any(map(descendants, self._pids))):
            self.kill()
        else:
            self._stack.close()

    def kill(self) -> None:
        """Gives the cluster back as what cannot serve any more."""
        error = PoolError("killed")
        self._stack.pop_all().__exit__(PoolError, error, None)

    def _gone(self) -> list[int]:
        return [pid for pid in self._pids if not runs(pid)]

    def _just_gone(self) -> list[int]:
        """Workers that have ended, which an engine may notice a moment before the system does."""
        limit = time.monotonic() + (_DYING_SECONDS if self._pids else 0)
        while not (gone := self._gone()) and time.monotonic() < limit:
            time.sleep(_POLL_SECONDS)
        return gone

    def _lost(self, said: str) -> WorkerLost:
        error = WorkerLost(self._without_secrets(said))
        self.ended = self.ended or str(error)
        return error

    def _presentable(self, exc: Exception) -> Exception:
        """An error that may be shown with its causes: engines write addresses into theirs."""
        said = self._without_secrets(str(exc))
        if said == str(exc) and isinstance(exc, ParallelismError):
            return exc
        if isinstance(exc, ParallelismError):
            return type(exc)(said)
        return PoolError(f"{type(exc).__name__}: {said}") if self._options.address else exc

    def _without_secrets(self, text: str) -> str:
        address = self._options.address
        return scrubbed(text, address) if address else text


def open_on(
    workers: int,
    options: StrategyOptions,
    start: Callable[[], EngineCluster],
    *,
    engine: str,
    noun: str = "processes",
) -> AbstractContextManager[Pool]:
    """An opened pool on the cluster that ``start`` makes, or on the one that was kept."""
    key = (engine, workers, options.address, tuple(sorted(options.extra.items())))
    return opened(EnginePool(workers, options, key=key, start=start, noun=noun))


def _processes(pids: Sequence[int]) -> str:
    return "worker process " + ", ".join(map(str, pids))
