"""The Celery app of both sides, and what workers do: run a chunk, and push its answer to a list in Redis.

Celery's broker carries who should run what. Large bytes go beside it, since a broker's messages are JSON with
base64, and so do answers: Celery's result backend stores and publishes each of them, and encodes it twice.
"""

from __future__ import annotations

import functools
import multiprocessing
import re
import struct
from typing import TYPE_CHECKING, Any

from ..envelope import run_there
from ..errors import UsageError

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

__all__ = [
    "ANSWER",
    "BESIDE",
    "HEAD",
    "INLINE_BYTES",
    "KEPT_SECONDS",
    "LOST",
    "QUEUE",
    "TASK",
    "fate",
    "make_app",
    "redis_at",
    "worker_app",
]

QUEUE = "pytest-parallelism"
"""Of our tasks; no worker of another app takes from it."""
TASK = "pytest_parallelism.run_chunk"
INLINE_BYTES = 1 << 14
"""Up to which bytes go with the message: base64 then costs less than one more call of Redis."""
KEPT_SECONDS = 86_400
"""How long the user's own Redis keeps what nobody takes, should this process be killed (Celery's default)."""
HEAD = struct.Struct("!QB")
"""Number of a chunk, and what stands after that in its answer."""
ANSWER, BESIDE, LOST = range(3)
"""The answer itself; nothing, for its parts stand in a list of their own; what happened, in words."""
_LOOK_SECONDS = 0.2
"""How often a worker looks for processes that ended; by itself Celery does in 5 s, and waits for 10 more."""
_REDIS = {"redis": "redis", "rediss": "rediss", "redis+socket": "unix"}
"""Schemes of Celery, and what Redis' own client calls them."""


def redis_at(url: str, **settings: Any) -> Redis:
    """A client of the Redis of that URL, whose calls fail at once where the server is gone.

    Raises `UsageError` where it is another service.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    scheme, _, rest = url.partition(":")
    if scheme not in _REDIS:
        raise UsageError(f"answers of Celery's tasks need a Redis, and {scheme or 'this'} is none")
    own = f"{_REDIS[scheme]}:{rest}"
    return Redis.from_url(own, retry=Retry(NoBackoff(), 0), socket_connect_timeout=5, **settings)


def make_app() -> Celery:
    """An app with the names and settings that both sides share."""
    from celery import Celery

    app = Celery("pytest_parallelism", set_as_current=False, fixups=[])
    app.conf.update(
        task_default_queue=QUEUE,
        control_exchange=QUEUE,  # other apps' workers do not see what we ask ours
        task_serializer="pickle",
        accept_content=["pickle"],
        worker_prefetch_multiplier=1,
        worker_lost_wait=_LOOK_SECONDS / 2,
        worker_proc_alive_timeout=60,
        broker_connection_retry_on_startup=True,
    )
    return app


def worker_app() -> Celery:
    """The app of a worker, whose broker Celery's command line or environment names."""
    from celery.bootsteps import StartStopStep
    from celery.signals import worker_process_init

    worker_process_init.connect(_may_have_children)

    class Look(StartStopStep):  # type: ignore[misc]  # Celery has no type information
        """Has lost processes noticed soon, and a missing Redis before the first task."""

        requires = ("celery.worker.components:Pool",)

        def start(self, _worker: Any) -> None:
            client()

        def register_with_event_loop(self, worker: Any, hub: Any) -> None:
            maintain = getattr(worker.pool._pool, "maintain_pool", None)
            if maintain is not None:  # it has processes
                hub.call_repeatedly(_LOOK_SECONDS, maintain)

    app = make_app()
    app.steps["worker"].add(Look)
    client = functools.cache(lambda: redis_at(app.conf.result_backend or app.conf.broker_url))
    stored = functools.lru_cache(8)(lambda key: client().get(key))

    def tell(box: str, number: int, kind: int, *parts: bytes) -> None:
        with client().pipeline() as calls:
            if kind == BESIDE:
                calls.rpush(f"{box}:{number}", *parts).expire(f"{box}:{number}", KEPT_SECONDS)
                parts = ()
            calls.rpush(box, HEAD.pack(number, kind) + b"".join(parts)).expire(box, KEPT_SECONDS)
            calls.execute()

    @app.task(name=TASK, ignore_result=True, Request=_request(tell))  # type: ignore[untyped-decorator]  # the same
    def run_chunk(box: str, number: int, start: int, *parts: Any) -> None:
        prepare, function, payload = parts
        if isinstance(function, str):
            function = stored(function)
        if payload is None:
            payload = _beside(client(), box, number)
        answer = run_there(prepare, function, payload, start)
        tell(box, number, ANSWER if answer.size <= INLINE_BYTES else BESIDE, *answer)

    return app


def _may_have_children(**_: Any) -> None:
    """A task may start processes, as it may anywhere else; to Celery its own are daemons, which may not."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]  # not public
    config["daemon"] = False


def _beside(client: Redis, box: str, number: int) -> list[bytes]:
    """The parts of a payload that did not go with the message."""
    key = f"{box}:{number}"
    with client.pipeline() as calls:
        parts: list[bytes] = calls.lrange(key, 0, -1).delete(key).execute()[0]
        return parts


def _request(tell: Any) -> Any:
    """How a worker's main process deals with our task."""
    from celery.worker.request import Request

    class ToldRequest(Request):  # type: ignore[misc]  # Celery has no type information
        def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
            """The task itself never fails: its process was lost, or its answer could not be pushed."""
            box, number = self.args[:2]
            tell(box, number, LOST, fate(exc_info.exception, self.worker_pid).encode())
            return super().on_failure(exc_info, *args, **kwargs)

    return ToldRequest


def fate(exc: BaseException, pid: int | None) -> str:
    """What happened to a task, as Celery's main process knows it."""
    from billiard.exceptions import Terminated, WorkerLostError

    told = str(getattr(exc, "exc", exc))
    lost = isinstance(getattr(exc, "exc", exc), (WorkerLostError, Terminated))
    how = re.search(r"\((SIG\w+)\)", told)
    code = re.search(r"exitcode (\d+)", told)
    if not lost:
        return f"the worker process {pid} of Celery failed: {told}"
    return f"Celery lost worker process {pid}" + (
        f": {how[1]}" if how else f": exit code {code[1]}" if code else ""
    )
