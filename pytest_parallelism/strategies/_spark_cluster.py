"""Spark: a context on this machine or on the user's own cluster, and maps that are one job each."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from itertools import chain
from typing import Any
from warnings import filterwarnings

from ..division import balanced
from ..envelope import adapted, enclosed, run_there
from ..errors import UsageError
from ..strategy import Chunk, StrategyOptions
from ..workers import bounded
from ._addresses import located, reached, shown
from ._chunks import Deadline
from ._engine import Answer, EngineCluster, EnginePool, Payload
from ._executors import InOrder
from ._spark_driver import Driver, brief
from ._spark_watch import Watch

__all__ = ["SparkCluster", "SparkPool"]

_PORT = 7077
"""A standalone master's own default."""
_MORE_SECONDS = 5.0
"""How long one executor may start after another."""
_REACH_SECONDS = 4.0
_STREAM_REQUEST = 6
_STREAM_FAILURE = b"\x08"
"""Of Spark's protocol (Message.java)."""
_TLS_ALERT = b"\x15"
"""What one may say that talks TLS only; it may hang up as well."""
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_DYING_SECONDS = 5.0
_IDLE_SECONDS = 25.0
"""Python workers that did nothing for a minute are ended by Spark (PythonWorkerFactory.scala)."""
_LOST = (
    "Python worker exited unexpectedly",
    "Python worker failed to connect back",
    "ExecutorLostFailure",
    "SparkContext was shut down",
    "stopped SparkContext",
)
"""What Spark says when something has ended that tasks need."""
Task = tuple[int, list[bytes]]
"""Index of the first item of a chunk, and its items, in parts."""


class Ended(BrokenExecutor):
    """A worker, an executor or the JVM has."""


class SparkCluster(EngineCluster):
    """A context, whose jobs are started by threads: Spark waits for each where it was started."""

    name = "Spark"

    def __init__(self, workers: int, address: str | None, *, timeout: float = 60.0) -> None:
        """``timeout``: seconds in which it must have started, the user's own then have given us a core."""
        super().__init__(workers)
        self.ours = address is None
        self._group = f"pytest-parallelism-{secrets.token_hex(8)}"
        host = _host_for(address) if address else None
        self._driver = Driver(workers, address, host)
        self._threads = ThreadPoolExecutor(2 * workers, thread_name_prefix="spark-job")
        self._closed = threading.Event()
        self._used = time.monotonic()
        self._watch: Watch | None = None
        self._said: str | None = None
        self._keeper = threading.Thread(target=self._keep_awake, name="spark-keeper", daemon=True)
        try:
            self._driver.start(timeout)
            if address:
                self.workers = self._cores(address, timeout)
                self._watch = Watch(self._driver.executors, self._silent)
            else:
                self._keeper.start()
        except BaseException:
            self.kill()
            raise

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`."""
        return self._threads.submit(self._single, prepare, function, (start, list(payload)))

    def submit_all(
        self, prepare: bytes, function: Any, parts: Sequence[Sequence[Task]]
    ) -> Future[list[Answer]]:
        """`submit` of many chunks, as one job with these partitions; their answers, in the same order."""
        return self._threads.submit(self._run, prepare, function, parts)

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        return str(exc) if isinstance(exc, Ended) else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """See `EngineCluster`: the Python workers of tasks that are cancelled end, after two seconds."""
        self._driver.context.cancelJobGroup(self._group)
        limit = time.monotonic() + _STOP_SECONDS
        while not all(future.done() for future in futures) and time.monotonic() < limit:
            time.sleep(_POLL_SECONDS)
        return all(future.done() for future in futures)

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return not self._closed.is_set() and self._said is None and self._driver.runs()

    def close(self) -> None:
        """See `EngineCluster`."""
        self._end(gently=not self.ours)

    def kill(self) -> None:
        """See `clusters.Cluster`."""
        self._end(gently=False)

    @property
    def native(self) -> Any:
        """See `HasNative`: a ``SparkSession``."""
        return self._driver.session

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """See `EngineCluster`."""
        return {"java": self._driver.java_version}

    def _end(self, *, gently: bool) -> None:
        self._closed.set()
        if self._watch is not None:
            bounded(self._watch.close)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._driver.end(gently=gently)  # which fails what waits for it
        self._threads.shutdown()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _single(self, prepare: bytes, function: bytes, task: Task) -> Answer:
        return self._run(prepare, function, [[task]])[0]

    def _run(self, prepare: bytes, function: bytes, parts: Sequence[Sequence[Task]]) -> list[Answer]:
        """Runs a job in this thread, which is one of a job group in the JVM too."""
        try:
            context = self._driver.context
            context.setJobGroup(self._group, "pytest-parallelism", interruptOnCancel=True)
            rdd = context.parallelize(parts, len(parts))
            return _answers(rdd.mapPartitions(_partition(prepare, function)).collect())
        except Exception as exc:  # noqa: BLE001  # the JVM's, Spark's or py4j's
            raise self._translated(exc) from None  # Java's stack says nothing about the user's code
        finally:
            self._used = time.monotonic()

    def _silent(self, executor: str) -> None:
        """Ends our jobs."""
        self._said = f"Spark's executor at {executor} does not answer any more"
        with contextlib.suppress(Exception):  # the JVM may be ending
            self._driver.context.cancelJobGroup(self._group)

    def _translated(self, exc: Exception) -> Exception:
        from py4j.protocol import Py4JJavaError

        if self._said:
            return Ended(self._said)
        # Java's errors have their text in the JVM: it still lived, and is asked for it below.
        if self._driver.ended(0 if isinstance(exc, Py4JJavaError) else _DYING_SECONDS):
            return Ended("Spark's JVM ended")
        said = brief(exc)
        return Ended(said) if any(words in str(exc) for words in _LOST) else RuntimeError(said)

    def _keep_awake(self) -> None:
        """One worker that does something is enough for all."""
        while not self._closed.wait(1.0):
            if time.monotonic() - self._used > _IDLE_SECONDS:
                self._used = time.monotonic()
                with contextlib.suppress(Exception):  # the next map meets it too
                    self._driver.context.parallelize([0], 1).mapPartitions(list).collect()

    def _cores(self, address: str, timeout: float) -> int:
        """Workers that the user's cluster gives us, up to those that we asked for."""
        cores, limit = 0, time.monotonic() + timeout
        while cores < self.workers and time.monotonic() < limit:
            time.sleep(_POLL_SECONDS)
            now = self._driver.cores()
            if now > cores:
                cores, limit = now, min(limit, time.monotonic() + _MORE_SECONDS)
        if not cores:
            raise UsageError(
                f"Spark at {shown(address)} gave this application no core within {timeout:g} s: is that a "
                f"master, have its workers a core and memory free, and can they reach {self._driver.host}?"
            )
        return min(cores, self.workers)


class SparkPool(EnginePool):
    """A pool whose maps are one job each: a job costs tens of milliseconds, and a partition not much less.

    So a map has a partition for each worker, however many its chunks are. These are shared out by their
    bytes, which is all that is known of their cost: halves of twelve documents that followed each other had
    347 and 89 kB, and two workers gained 1.2.
    """

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(
            workers,
            options,
            key=("spark", workers, options.address),
            start=lambda: SparkCluster(workers, options.address, timeout=options.start_timeout),
        )

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
        """See `HasStream.stream`: one job where all chunks may be in flight, else one for each."""
        if in_flight is not None:
            yield from super().stream(
                fn, chunks, in_flight=in_flight, ordered=ordered, timeout=timeout, task_timeout=task_timeout
            )
            return
        self.usable()
        deadline = Deadline(timeout)
        function = self._pack(adapted(fn))
        tasks = [(start, list(enclosed(chunk, self._by_value, start))) for start, chunk in chunks]
        if not tasks:
            return
        cluster: Any = self.cluster
        sent = InOrder()
        parts = balanced([sum(map(len, payload)) for _, payload in tasks], self.workers)
        sent.add(0, cluster.submit_all(self._prepare, function, [[tasks[i] for i in part] for part in parts]))
        try:
            _, answers = self._answer(sent, deadline)
        except BaseException:
            self._abandon(sent)
            raise
        found = dict(zip((i for part in parts for i in part), answers, strict=True))
        for i, (start, _) in enumerate(tasks):
            yield start, self.open_answer(found[i])


def _partition(prepare: bytes, function: bytes) -> Callable[[Iterable[Sequence[Task]]], Iterator[Any]]:
    """What runs the chunks of a partition; a function within, so that it travels by value, without us.

    Answers go in parts too, since Spark reads one while the next is written; their count goes ahead.
    """

    def run(partition: Iterable[Sequence[Task]]) -> Iterator[Any]:
        for start, payload in chain.from_iterable(partition):
            parts = run_there(prepare, function, payload, start)
            filterwarnings(
                "ignore", "unclosed file <_io.Buffered", ResourceWarning, "__main__"
            )  # Spark's own
            yield len(parts)
            yield from parts

    return run


def _answers(flat: Iterable[Any]) -> list[Answer]:
    """Of chunks, in order, from what their partitions gave."""
    found = iter(flat)
    return [[next(found) for _ in range(count)] for count in found]


def _host_for(address: str) -> str:
    """Our own address as seen from the master's network. Raises `UsageError` where no master can be."""
    parts = located(address, engine="Spark", like="spark://host:7077", port=_PORT)
    if parts.scheme != "spark":
        raise UsageError(f"Spark needs an address such as spark://host:7077, not {shown(address)}")
    host, port = str(parts.hostname), parts.port or _PORT
    reached(host, port, engine="Spark", seconds=_REACH_SECONDS)
    if not _speaks(host, port):
        raise UsageError(
            f"what listens at {host}:{port} is no Spark master: does --parallel-address name its port?"
        )
    family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # which sends nothing
        return str(probe.getsockname()[0])


def _speaks(host: str, port: int) -> bool:
    """Whether it talks as a master does, of which Spark itself is sure only after a minute.

    Asked is for a file that there is not (StreamRequest.java); the answer is a frame that says so.
    """
    name = b"/files/none"
    with contextlib.suppress(OSError), socket.create_connection((host, port), _REACH_SECONDS) as connection:
        connection.sendall(struct.pack(">QBI", 13 + len(name), _STREAM_REQUEST, len(name)) + name)
        with connection.makefile("rb") as answer:
            begin = answer.read(9)
        return not begin or begin[:1] == _TLS_ALERT or begin[8:] == _STREAM_FAILURE
    return False
