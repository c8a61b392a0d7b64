"""Chunks to the workers of a Celery app, and their answers as futures.

Few are with the workers at a time: what waits here can be cancelled, and on a larger cluster no more than N
processes work for us.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, Any, NamedTuple

from ..workers import SLICE_SECONDS
from ._celery_app import ANSWER, HEAD, INLINE_BYTES, KEPT_SECONDS, LOST, QUEUE, TASK
from ._engine import Answer, Payload

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

__all__ = ["Courier", "EngineLost", "Stored"]


class EngineLost(BrokenExecutor):
    """A worker process, a worker or the broker is gone; the message says which."""


class Stored:
    """A function that stands in Redis, as long as a chunk may want it."""

    def __init__(self, key: str) -> None:
        self.key = key


class _Chunk(NamedTuple):
    future: Future[Answer]
    prepare: bytes
    function: bytes | Stored
    payload: Payload
    start: int


class Courier:
    """Sends from whatever thread, and receives in one of its own.

    ``window``: chunks that are with the workers at most. ``lost``: asked while no answer comes, what happened
    where none will come; it is followed by the end of all futures.
    """

    def __init__(
        self, app: Celery, connection: Any, redis: Redis, *, window: int, lost: Callable[[], str | None]
    ) -> None:
        self.box = f"{QUEUE}:{secrets.token_hex(8)}"
        """The list of the answers, and how all keys of ours begin."""
        self.failed: str | None = None
        self._app = app
        self._producer = app.amqp.Producer(connection)
        self._redis = redis
        self._window = window
        self._lost = lost
        self._numbers = itertools.count()
        self._waiting: deque[_Chunk] = deque()
        self._sent: dict[int, _Chunk] = {}
        self._unwanted: deque[str] = deque()
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive, name="celery-answers", daemon=True)
        self._thread.start()

    def stored(self, function: bytes) -> bytes | Stored:
        """A packed function as chunks get it."""
        if len(function) <= INLINE_BYTES:
            return function
        stored = Stored(f"{self.box}:f{next(self._numbers)}")
        with self._translated():
            self._redis.set(stored.key, function, ex=KEPT_SECONDS)
        weakref.finalize(stored, self._unwanted.append, stored.key).atexit = False
        return stored

    def submit(
        self, prepare: bytes, function: bytes | Stored, payload: Payload, start: int
    ) -> Future[Answer]:
        """See `EngineCluster`."""
        future: Future[Answer] = Future()
        with self._changed:
            if self.failed:
                raise EngineLost(self.failed)
            self._waiting.append(_Chunk(future, prepare, function, payload, start))
            self._fill()
        return future

    def idle(self) -> bool:
        """Whether no chunk is with the workers."""
        return not self._sent

    def tasks(self, futures: Iterable[Future[Any]]) -> list[str]:
        """Celery's ids of the tasks of those futures, as far as they are with the workers."""
        wanted = set(futures)
        with self._changed:
            return [self._task(number) for number, chunk in self._sent.items() if chunk.future in wanted]

    def left(self) -> list[str]:
        """Celery's ids of all tasks that are with the workers."""
        with self._changed:
            return [self._task(number) for number in self._sent]

    def close(self) -> None:
        """Ends the thread; what has no answer is cancelled or fails."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        with contextlib.suppress(Exception):  # without a server there is nobody to tell
            self._redis.rpush(self.box, b"")
        self._thread.join()
        self._fail("its pool was closed")
        with contextlib.suppress(Exception):  # the same
            self._redis.delete(*self._redis.keys(f"{self.box}*"), self.box)
        self._redis.close()

    def _task(self, number: int) -> str:
        return f"{self.box}:{number}"

    def _fill(self) -> None:
        """Sends what may go; called with the lock held."""
        while self._waiting and len(self._sent) < self._window:
            chunk = self._waiting.popleft()
            if chunk.future.set_running_or_notify_cancel():
                number = next(self._numbers)
                with self._translated():
                    self._send(number, chunk)
                self._sent[number] = chunk
                self._changed.notify()

    def _send(self, number: int, chunk: _Chunk) -> None:
        function = chunk.function.key if isinstance(chunk.function, Stored) else chunk.function
        payload = b"".join(chunk.payload) if sum(map(len, chunk.payload)) <= INLINE_BYTES else None
        task = self._task(number)
        if payload is None:
            with self._redis.pipeline() as calls:
                calls.rpush(task, *chunk.payload).expire(task, KEPT_SECONDS).execute()
        while self._unwanted:
            self._redis.delete(self._unwanted.popleft())
        self._app.send_task(
            TASK,
            (self.box, number, chunk.start, chunk.prepare, function, payload),
            task_id=task,
            queue=QUEUE,
            producer=self._producer,
            ignore_result=True,
            argsrepr="",
            kwargsrepr="",
            declare=[],
            retry=False,
        )

    @contextlib.contextmanager
    def _translated(self) -> Any:
        """Errors of Celery, kombu and Redis as one of ours; theirs may tell an address with its password."""
        try:
            yield
        except Exception as exc:  # noqa: BLE001  # each of them has its own classes
            self._fail(f"Celery lost its broker ({type(exc).__name__})")
            raise EngineLost(self.failed) from None

    def _receive(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sent or self._closing)
                if self._closing:
                    return
            try:
                found: Any = self._redis.blpop([self.box], timeout=SLICE_SECONDS)
                if found is not None and found[1]:
                    self._take(found[1])
                said = None if found is not None else self._lost()
            except Exception as exc:  # noqa: BLE001  # whatever it is, nobody would wait for answers any more
                said = f"Celery lost its broker ({type(exc).__name__})"
            if said is not None:
                self._fail(said)

    def _take(self, told: bytes) -> None:
        number, kind = HEAD.unpack_from(told)
        answer: Sequence[bytes] = (told[HEAD.size :],)
        if kind not in (ANSWER, LOST):
            with self._redis.pipeline() as calls:
                answer = calls.lrange(self._task(number), 0, -1).delete(self._task(number)).execute()[0]
        with self._changed:
            chunk = self._sent.pop(number, None)
            with contextlib.suppress(EngineLost):  # which all futures tell then
                self._fill()
        if chunk is None:
            return
        if kind == LOST:
            chunk.future.set_exception(EngineLost(answer[0].decode()))
        else:
            chunk.future.set_result(answer)

    def _fail(self, said: str) -> None:
        """Nothing comes any more."""
        with self._changed:
            self.failed = self.failed or said
            sent, self._sent = self._sent, {}
            waiting, self._waiting = self._waiting, deque()
        for chunk in sent.values():
            chunk.future.set_exception(EngineLost(said))
        for chunk in waiting:
            if chunk.future.set_running_or_notify_cancel():
                chunk.future.set_exception(EngineLost(said))
