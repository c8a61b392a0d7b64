"""Modin on a cluster of Ray or Dask: a worker's chunks are a row of a Series, which ``Series.map`` maps.

Modin has one engine in a process and keeps it for good: what it holds of a cluster is forgotten when that
ends, so that the next one may be of another size or engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from typing import Any, TextIO

from ..division import balanced
from ..strategy import StrategyOptions
from ..workers import bounded
from ..workers.environment import restored, variables
from ._dask_client import LOST_ANSWER
from ._engine import Answer, EngineCluster, Payload, run_by

__all__ = ["ModinCluster", "start_modin"]

_SENDING_SECONDS = 5.0
"""How long Modin may go on dividing a Series whose cluster ends."""
_SETTINGS = ("Backend", "CpuCount", "Engine", "MinRowPartitionSize", "NPartitions", "StorageFormat")
_VARIABLES = {
    "RAY_TASK_MAX_RETRIES": "0",  # a lost worker is an error, which no retry may hide
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # an error is told to whoever asks for the result, not logged besides
}


def start_modin(engine: str, workers: int, options: StrategyOptions) -> ModinCluster:
    """Modin on a cluster of that engine, ``ray`` or ``dask``: one started here, or the user's own."""
    cluster = _ENGINES[engine](workers, options)
    try:
        return ModinCluster(cluster)
    except BaseException:
        cluster.kill()
        raise


def _ray(workers: int, options: StrategyOptions) -> EngineCluster:
    from ._ray_cluster import start_ray

    return start_ray(workers, options.address)


def _dask(workers: int, options: StrategyOptions) -> EngineCluster:
    from ._dask_cluster import start_dask

    return start_dask(workers, options)


_ENGINES: Mapping[str, Callable[[int, StrategyOptions], EngineCluster]] = {"ray": _ray, "dask": _dask}


class ModinCluster(EngineCluster):
    """A cluster of an engine, on which Modin runs meanwhile: on all workers of the user's own too.

    A partition costs Modin milliseconds, so that a map has one for each worker, with chunks of as many bytes
    as the others: a thousand no-ops take 3 times as long with five partitions a worker (our measurement).
    """

    pickles = True

    def __init__(self, engine: EngineCluster) -> None:
        super().__init__(engine.workers if engine.ours else _everywhere(engine.native))
        self.name = f"Modin on {engine.name}"
        self.ours = engine.ours
        self._engine = engine
        self._waiting: list[_Asked] = []
        self._sent: set[_Asked] = set()
        self._lock = threading.Lock()
        # Not the caller's thread: a Ctrl-C that comes while Dask's futures are forgotten would be lost there.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="modin-sender")
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._current())
            self._pandas = stack.enter_context(_modin(engine.name, self.workers))
            self._stack = stack.pop_all()

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`. What is submitted until somebody asks for an answer is one Series."""
        asked = _Asked(self._send, (prepare, function, payload, start))
        with self._lock:
            self._waiting.append(asked)
        return asked

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        kind = type(exc).__name__
        if kind == "RaySystemError":  # Ray failed in a worker, which lives
            return None
        return "Dask lost a worker" if kind == "KilledWorker" else self._engine.lost(exc)

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """See `EngineCluster`; Modin ends no task, and does not say which are whose."""
        for future in futures:
            future.cancel()
        return False

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return self._engine.usable()

    def close(self) -> None:
        """See `EngineCluster`."""
        self._end(self._engine.close)

    def kill(self) -> None:
        """See `clusters.Cluster`."""
        self._end(self._engine.kill)

    def _end(self, engine: Callable[[], None]) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(engine)
            stack.callback(self._stack.close)
            with self._lock:
                left, self._sent, self._waiting = [*self._waiting, *self._sent], set(), []
            _fail(left, CancelledError(f"{self.name} was ended"))
            bounded(self._sender.shutdown, _SENDING_SECONDS)

    @property
    def native(self) -> Any:
        """The module ``modin.pandas``, on this cluster."""
        return self._pandas

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """See `EngineCluster`."""
        return {**self._engine.info(), "modin_engine": self._engine.name}

    def _current(self) -> contextlib.AbstractContextManager[Any]:
        """What makes the cluster the one that Modin finds; Ray has one in a process anyway."""
        native = self._engine.native
        found: contextlib.AbstractContextManager[Any] = getattr(
            native, "as_current", contextlib.nullcontext
        )()
        return found

    def _send(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            asked = [one for one in waiting if one.set_running_or_notify_cancel()]
            self._sent.update(asked)
        if asked:
            self._sender.submit(self._map, asked)

    def _map(self, asked: Sequence[_Asked]) -> None:
        chunks = [_chunk(number, *one.arguments) for number, one in enumerate(asked)]
        sizes = [one.arguments[2].size for one in asked]
        rows = [[chunks[i] for i in part] for part in balanced(sizes, self.workers)]
        for one in asked:
            one.arguments = ()
            one.add_done_callback(self._sent.discard)
        try:
            for partition in self._mapped(rows):
                if hasattr(partition, "client"):  # Dask's
                    partition.client.loop.add_callback(_fetch, asked, partition)
                else:
                    partition.future().add_done_callback(functools.partial(_take, asked, partition))
        except Exception as exc:  # noqa: BLE001  # it belongs to whoever waits
            _fail(asked, exc)

    def _mapped(self, rows: Sequence[Sequence[_Chunk]]) -> Iterator[Any]:
        """The engine's reference to each partition of a Series of answers, one for each row."""
        from modin.config import context

        with self._current(), context(NPartitions=len(rows), MinRowPartitionSize=1):
            answers = self._pandas.Series(rows, dtype=object).map(_answered)
            # Not by `unwrap_partitions`, which sends each to a worker again, to be given its labels.
            for partition in answers._query_compiler._modin_frame._partitions.flat:
                partition.drain_call_queue()
                (block,) = partition.list_of_blocks
                yield block


def _everywhere(native: Any) -> int:
    """How many tasks the user's cluster of Dask or Ray runs at once."""
    if hasattr(native, "nthreads"):
        return int(sum(native.nthreads().values()))
    return int(native.cluster_resources()["CPU"])


_Chunk = tuple[int, Callable[..., Answer], bytes, bytes, Any, int]
"""Its number, what runs it (`run_by`), and what that takes."""


def _chunk(number: int, prepare: bytes, function: bytes, payload: Payload, start: int) -> _Chunk:
    run, items = run_by(payload)
    return number, run, prepare, function, items, start


def _answered(row: Sequence[_Chunk]) -> list[tuple[int, Answer]]:
    return [(number, _answer(*arguments)) for number, *arguments in row]


def _answer(run: Callable[..., Answer], prepare: bytes, *arguments: Any) -> Answer:
    before = sys.stdout, sys.stderr  # to which Ray writes the name of each task
    sys.stdout, sys.stderr = _streams.get(prepare, before)
    room = _room()
    try:
        return run(prepare, *arguments)
    finally:
        if prepare not in _streams:
            _streams.clear()  # of pools that are closed
            _streams[prepare] = sys.stdout, sys.stderr
            if sys.stdout is not before[0]:  # with the caller's filters, which are not for Modin's own code
                warnings.filterwarnings("ignore", module=r"modin\.")
        sys.stdout, sys.stderr = before
        _give_room(room)


_streams: dict[bytes, tuple[TextIO, TextIO]] = {}
"""Where tasks write on this worker, by their pool."""


def _room() -> int | None:
    """The limit on this worker's memory, where there are such limits."""
    with contextlib.suppress(ImportError):
        import resource

        return resource.getrlimit(resource.RLIMIT_AS)[0]
    return None


def _give_room(room: int | None) -> None:
    """Takes back a limit that a task has set: Ray maps what comes and goes into this worker's memory."""
    if room is not None and room != _room():
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        with contextlib.suppress(ValueError):  # the task has lowered what is allowed at most
            resource.setrlimit(resource.RLIMIT_AS, (room, hard))


class _Asked(Future[Answer]):
    """An answer; the first one that is asked for sends all that wait."""

    def __init__(self, send: Callable[[], None], arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self._send = send
        self.arguments = arguments

    def result(self, timeout: float | None = None) -> Answer:
        """See `Future`."""
        self._send()
        return super().result(timeout)

    def add_done_callback(self, fn: Callable[[Future[Answer]], object]) -> None:
        """See `Future`."""
        self._send()
        super().add_done_callback(fn)


async def _fetch(asked: Sequence[_Asked], future: Any) -> None:
    """Takes the answers of a partition of Dask, on the loop of its client.

    Not in a callback: those of all clusters run in one thread, which would wait for a lost worker for good.
    """
    try:
        (frame,) = await future.client.gather([future], asynchronous=True)
    except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  # it belongs to whoever waits
        _fail(asked, exc if isinstance(exc, Exception) else CancelledError("Dask cancelled it"))
        return
    if frame is None:  # what Dask gives for one whose worker ended after it was done
        _fail(asked, BrokenExecutor(LOST_ANSWER))
    else:
        _give(asked, frame)


def _take(asked: Sequence[_Asked], _reference: Any, partition: Any) -> None:
    """Takes the answers of a partition of Ray that is done; Ray forgets one that nothing refers to."""
    try:
        frame = partition.result()
    except Exception as exc:  # noqa: BLE001  # it belongs to whoever waits
        _fail(asked, exc)
    else:
        _give(asked, frame)


def _give(asked: Sequence[_Asked], frame: Any) -> None:
    for answers in frame.iloc[:, 0]:
        for number, answer in answers:
            with contextlib.suppress(InvalidStateError):  # it was told an error
                asked[number].set_result(answer)


def _fail(asked: Iterable[_Asked], exc: Exception) -> None:
    """Which rows a lost partition had, nobody knows: all that have no answer fail."""
    while isinstance(cause := getattr(exc, "cause", None), Exception):  # Ray's, of a task that missed another
        exc = cause
    for one in asked:
        with contextlib.suppress(InvalidStateError):
            one.set_exception(exc)


@contextlib.contextmanager
def _modin(engine: str, workers: int) -> Iterator[Any]:
    """``modin.pandas`` on the engine's cluster that is current; afterwards Modin is as it was."""
    import modin.config

    settings = [getattr(modin.config, name) for name in _SETTINGS]
    before = [(one._value, one._value_source, one._subs.copy()) for one in settings]
    _forget(engine)
    try:
        modin.config.Engine.put(engine)
        import modin.pandas
        from modin.core.execution.dispatching.factories.dispatcher import FactoryDispatcher

        with restored(("OMP_NUM_THREADS", *_VARIABLES)):
            FactoryDispatcher.get_factory()  # now, since it sets settings and variables
        modin.config.CpuCount.put(workers)
        modin.config.NPartitions.put(workers)  # its own default, which is of this machine's cores
        with restored(("OMP_NUM_THREADS",)), variables(_VARIABLES):
            yield modin.pandas
    finally:
        for one, (value, source, subscribers) in zip(settings, before, strict=True):
            one._value, one._value_source, one._subs = value, source, subscribers
        _forget(engine)


def _forget(engine: str) -> None:
    """Has Modin find its engine anew, and drop the references into an earlier cluster."""
    import modin.pandas
    from modin.core.execution.dispatching.factories.dispatcher import FactoryDispatcher

    FactoryDispatcher._FactoryDispatcher__factory = None
    modin.pandas._engine_initialized.pop(engine, None)
    sys.modules.pop("modin.core.execution.utils", None)  # it chooses an engine when it is imported
    for kind in _classes():
        for name, value in list(vars(kind).items()):
            if _refers(getattr(value, "__func__", value)):  # of a staticmethod
                setattr(kind, name, None)
            elif isinstance(value, dict) and any(map(_refers, value.values())):
                value.clear()


def _classes() -> set[type]:
    """Those of Modin, with the ones that it makes while it runs: its readers of files."""
    modules = [module for name, module in sys.modules.items() if name.startswith("modin.core.")]
    found: set[type] = set()
    new: set[type] = {kind for one in modules for kind in vars(one).values() if isinstance(kind, type)}
    new = {kind for kind in new if kind.__module__.startswith("modin.")}
    while new:
        found |= new
        children: set[type] = set()
        children.update(*(kind.__subclasses__() for kind in new))
        new = children - found
    return found


def _refers(value: object) -> bool:
    """Whether it is a reference into a cluster of Ray or Dask."""
    return type(value).__name__ in ("ObjectRef", "Future")
