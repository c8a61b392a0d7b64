"""Celery clusters: a Redis and a worker started here, or the user's own broker and workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..errors import UsageError
from ..workers.site import Site
from ._addresses import located, reached, shown
from ._celery_app import QUEUE, make_app, redis_at
from ._celery_courier import Courier, EngineLost, Stored
from ._engine import Answer, EngineCluster, Payload
from ._redis_server import start_redis

__all__ = ["CeleryCluster", "connected", "embedded"]

_LIKE = "redis://host:6379/0"
_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}
_LOG = "worker.log"
_START = """
import multiprocessing.util, sys, tempfile
tempfile.tempdir = sys.argv.pop(1)
multiprocessing.util.get_temp_dir()
tempfile.tempdir = None
from celery.__main__ import main
main()
"""
"""Celery's command line, whose shared memory stands in our folder, and other temporary files as ever."""
_APP = ("-A", "pytest_parallelism.celery_worker")
_ASK_SECONDS = (0.5, 1.0, 2.0)
"""How long workers have for an answer, again and again until one gives one."""
_LOOK_SECONDS = 5.0
"""How often workers of the user's are asked whether they live while no answer comes."""


class CeleryCluster(EngineCluster):
    """Processes of Celery workers, and an app that sends to them.

    ``window``: see `Courier`. ``lost``: the same.
    """

    name = "Celery"

    def __init__(
        self,
        workers: int,
        app: Any,
        connection: Any,
        answers: str,
        *,
        window: int,
        lost: Callable[[], str | None],
        home: _Home | None = None,
    ) -> None:
        super().__init__(workers)
        self.ours = home is not None
        self._home = home
        self._app = app
        self._connection = connection
        self._courier = Courier(app, connection, redis_at(answers), window=window, lost=lost)

    def prepare(self, function: bytes) -> bytes | Stored:
        """See `EngineCluster`."""
        return self._courier.stored(function)

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`."""
        return self._courier.submit(prepare, function, payload, start)

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        return str(exc) if isinstance(exc, EngineLost) else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """See `EngineCluster`; Celery starts other processes for those that it kills."""
        self._revoke(self._courier.tasks(futures))
        return True

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return self._courier.failed is None and self._courier.idle()

    def close(self) -> None:
        """See `EngineCluster`."""
        left = [] if self.ours or self._courier.failed else self._courier.left()
        try:
            self._revoke(left)
            self._courier.close()
            self._connection.release()
            self._app.close()
        finally:
            if self._home is not None:
                self._home.end()

    @property
    def native(self) -> Any:
        """See `HasNative`: a ``celery.Celery``, whose workers know tasks of ours only."""
        return self._app

    def _revoke(self, tasks: list[str]) -> None:
        if tasks:
            self._app.control.revoke(tasks, terminate=True, signal="SIGKILL", connection=self._connection)


class _Home:
    """A Redis and a worker, started on this machine."""

    def __init__(self, workers: int) -> None:
        self._site = Site()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            redis, path = start_redis(self._site)
            self.url = f"redis+socket://{path}"
            self._processes += redis, _started(self._site, workers, self.url)
        except BaseException:
            self.end()
            raise

    def lost(self) -> str | None:
        """What is said where one of them has ended."""
        if all(process.poll() is None for process in self._processes):
            return None
        said = self._site.last_line(_LOG)
        return "Celery's worker ended" + (f": {said}" if said else "")

    def end(self) -> None:
        """Ends them, and what they started."""
        self._site.end()
        for process in self._processes:
            process.wait()


def embedded(workers: int) -> CeleryCluster:
    """A cluster of that many processes on this machine."""
    home = _Home(workers)
    try:
        app = _client(home.url)
        connection = app.connection_for_write()
        return CeleryCluster(
            workers, app, connection, home.url, window=4 * workers, lost=home.lost, home=home
        )
    except BaseException:
        home.end()
        raise


def _started(site: Site, workers: int, url: str) -> subprocess.Popen[bytes]:
    """A worker of that many processes."""
    options = ("--concurrency", str(workers), "--pool", "prefork", "-O", "fair", "--loglevel", "CRITICAL")
    fewer = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    others = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    own = {
        "CELERY_BROKER_URL": url,
        "C_FORCE_ROOT": "1",  # its pickles come from this process only
        "SPT_NOENV": "1",  # setproctitle writes over the environment, in which our mark is
    }
    with (site.folder / _LOG).open("wb") as log:
        return subprocess.Popen(  # noqa: S603  # Python itself
            [sys.executable, "-c", _START, str(site.folder), *_APP, "--quiet", "worker", *options, *fewer],
            env={**others, **site.variables, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _client(url: str) -> Any:
    """An app that sends to that broker, whatever Celery's variables in our environment say."""
    app = make_app()
    connect = app.connection_for_write
    app.connection_for_write = app.connection_for_read = lambda *_, **settings: connect(url, **settings)
    return app


def connected(workers: int, address: str) -> CeleryCluster:
    """The user's own workers, of which no more than ``workers`` processes are used.

    ``address``: of the broker, and after a comma of a Redis for the answers where the broker is none. Raises
    `UsageError` where nobody is there.
    """
    broker, _, answers = address.partition(",")
    _reach(broker)
    if answers:
        _reach(answers)
    else:
        answers = broker
    _answering(answers)
    app = _client(broker)
    connection = app.connection_for_write()
    found = _found(app, connection, broker, answers)
    used = min(workers, sum(found.values()))
    return CeleryCluster(
        used,
        app,
        connection,
        answers,
        window=used if used < sum(found.values()) else 4 * used,
        lost=_Roll(app, connection, list(found)),
    )


def _reach(url: str) -> None:
    if not url.startswith("redis+socket://"):
        parts = located(url, engine="celery", like=_LIKE, port=_PORTS.get(url.partition(":")[0]))
        assert parts.hostname is not None
        reached(parts.hostname, parts.port or _PORTS[parts.scheme], engine="celery")


def _answering(url: str) -> None:
    """Raises `UsageError` where the Redis for the answers does not let us in."""
    try:
        client = redis_at(url, socket_timeout=_LOOK_SECONDS)
    except UsageError as exc:
        raise UsageError(f"{exc}: give one after a comma, {shown(url)},{_LIKE}") from None
    try:
        client.ping()
    except Exception as exc:  # noqa: BLE001  # they may tell the password
        raise UsageError(f"celery cannot use the Redis at {shown(url)} ({type(exc).__name__})") from None
    finally:
        client.close()


def _found(app: Any, connection: Any, broker: str, answers: str) -> Mapping[str, int]:
    """Workers of ours at that broker, and how many processes each has."""
    try:
        for seconds in _ASK_SECONDS:
            said = app.control.broadcast("stats", reply=True, timeout=seconds, connection=connection)
            if said:
                return {name: _processes(stats["pool"]) for one in said for name, stats in one.items()}
    except Exception as exc:  # noqa: BLE001  # they may tell the password
        raise UsageError(f"celery cannot use the broker at {shown(broker)} ({type(exc).__name__})") from None
    apart = f" --result-backend={shown(answers)}" if answers != broker else ""
    raise UsageError(
        f"no Celery worker for {QUEUE} answers at {shown(broker)}: where pytest-parallelism[celery] is "
        f"installed, start one with celery {' '.join(_APP)} -b {shown(broker)}{apart} worker -O fair"
    )


def _processes(pool: Mapping[str, Any]) -> int:
    return len(pool["processes"]) if "processes" in pool else int(pool["max-concurrency"])


class _Roll:
    """Looks from time to time whether the workers are there that were there at first."""

    def __init__(self, app: Any, connection: Any, workers: list[str]) -> None:
        self._app = app
        self._connection = connection
        self._workers = workers
        self._missing: set[str] = set()
        self._next = time.monotonic() + _LOOK_SECONDS

    def __call__(self) -> str | None:
        """What is lost: a worker that did not answer twice."""
        if time.monotonic() < self._next:
            return None
        names = self._workers
        said = self._app.control.broadcast(
            "ping", reply=True, destination=names, limit=len(names), timeout=2, connection=self._connection
        )
        before, self._missing = self._missing, set(names) - {name for one in said for name in one}
        self._next = time.monotonic() + _LOOK_SECONDS
        gone = sorted(before & self._missing)
        return f"Celery lost {', '.join(gone)}" if gone else None
