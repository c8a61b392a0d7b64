"""Chunks as tasks of Ray, and futures of their answers.

``ray.cancel`` aborts this process where the task ends meanwhile (our measurement: within 300 calls), so that
what Ray has got is never cancelled. It gets a few chunks at once; the others wait here.
"""

from __future__ import annotations

import functools
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from queue import SimpleQueue
from typing import Any

from ..errors import PoolError
from ._engine import Answer, Payload

__all__ = ["Tasks"]

_APART = 1 << 16
"""Bytes from which a part goes into Ray's object store as it lies, not through one more pickle."""


class _Future(Future[Answer]):
    """Knows whether anybody is to be called when it is done."""

    watched = False

    def add_done_callback(self, fn: Callable[[Future[Answer]], object]) -> None:
        self.watched = True
        super().add_done_callback(fn)


class Tasks:
    """The chunks that Ray has, up to ``most`` at once, and those that wait.

    ``apart``: large parts go as buffers beside a pickle, which Ray's client cannot do.
    """

    def __init__(self, ray: Any, most: int, *, apart: bool) -> None:
        self._ray = ray
        self._most = most
        self._apart = apart
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_function(apart))
        self._in_hand: dict[_Future, Any] = {}
        """With the reference to each answer, lest Ray forgets it; who takes a future out settles it."""
        self._waiting: deque[tuple[_Future, tuple[Any, ...]]] = deque()
        self._lock = threading.RLock()
        self._done: SimpleQueue[tuple[_Future, Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._taking, daemon=True, name="ray-tasks")
        self._thread.start()
        self.failed: BrokenExecutor | None = None
        """Why Ray can do no more, once that is so."""

    def put(self, function: bytes) -> Any:
        """A function, as all chunks of a map get it."""
        return self._ray.put(function) if len(function) > _APART else function

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster.submit`."""
        future = _Future()
        arguments = self._arguments(prepare, function, payload, start)
        with self._lock:
            if self.failed is not None:
                raise self.failed
            self._waiting.append((future, arguments))
        self._send()
        return future

    def _arguments(self, prepare: bytes, function: Any, payload: Payload, start: int) -> tuple[Any, ...]:
        """Of `run_chunk`: one where nothing of it lies in the object store.

        Each costs Ray tens of microseconds here and there, unless it is bytes.
        """
        large = sum(map(len, payload)) > _APART
        sent = self._ray.put(_apart(payload, self._apart)) if large else b"".join(payload)
        if large or type(function) is not bytes:
            return pickle.dumps((prepare, start)), function, sent
        return (pickle.dumps((prepare, start, function, sent)),)

    def idle(self) -> bool:
        """Whether Ray has nothing to do for us."""
        return not self._in_hand

    def fail(self, error: BrokenExecutor) -> None:
        """Ends all futures with that error, and those to come."""
        with self._lock:
            self.failed = self.failed or error
            futures = [future for future in list(self._in_hand) if self._taken(future)]
            futures += [future for future, _ in self._waiting if future.set_running_or_notify_cancel()]
            self._waiting.clear()
        for future in futures:
            future.set_exception(error)

    def close(self) -> None:
        """Ends the thread that takes answers."""
        self._done.put(None)
        self._thread.join()

    def _taking(self) -> None:
        """Sends what waits, and settles futures that call others, which may wait for Ray."""
        while (told := self._done.get()) is not None:
            self._send()
            self._settle(*told)

    def _send(self) -> None:
        """Gives Ray what it may have."""
        with self._lock:
            while self._waiting and len(self._in_hand) < self._most:
                future, arguments = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                self._in_hand[future] = None
                try:
                    reference = self._in_hand[future] = self._remote.remote(*arguments)
                    reference._on_completed(functools.partial(self._told, future))
                except Exception as exc:  # noqa: BLE001  # without its connection, Ray raises whatever it likes
                    self.fail(_broken(str(exc), exc))

    def _told(self, future: _Future, answer: Any) -> None:
        """In a thread of Ray's, which must not wait for Ray, nor for a lock under which somebody does.

        To wake one more thread for each answer costs 3 % of a map of no-ops (our measurement).
        """
        if not self._taken(future):
            return  # it was told an error
        if self._waiting or future.watched:
            self._done.put((future, answer))
        else:
            self._settle(future, answer)

    def _taken(self, future: _Future) -> bool:
        """Takes it out, which only one can: `_send` asks afterwards how many there are."""
        return self._in_hand.pop(future, self) is not self

    def _settle(self, future: _Future, answer: Any) -> None:
        if isinstance(answer, BaseException):
            future.set_exception(_error(answer, self._ray.exceptions))
        else:
            future.set_result(answer)


def _function(apart: bool) -> Callable[..., Any]:
    """What Ray runs; it goes by value, so that workers import nothing but the envelope."""
    ours: list[Any] = []

    def run_chunk(pickled: bytes, *stored: Any) -> Any:
        from pytest_parallelism.envelope import run_there

        prepare, start, *sent = pickle.loads(pickled)
        function, payload = sent or stored
        before = sys.stdout, sys.stderr  # to which Ray writes the name of the next task
        sys.stdout, sys.stderr = ours or before
        try:
            answer = run_there(prepare, function, payload, start)
        finally:
            ours[:] = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = before
        return b"".join(answer) if answer.size <= _APART else _apart(answer, apart)

    return run_chunk


def _apart(parts: Sequence[bytes], apart: bool) -> list[Any]:
    return [pickle.PickleBuffer(part) if apart and len(part) > _APART else part for part in parts]


def _error(exc: BaseException, exceptions: Any) -> BaseException:
    """An error that Ray gives in place of an answer, as one of ours."""
    cause = getattr(exc, "cause", None)
    if isinstance(cause, ModuleNotFoundError) and str(cause.name).startswith("pytest_parallelism"):
        return PoolError("the workers of Ray cannot import pytest_parallelism: install it where they run")
    if MemoryError in map(type, (cause, getattr(cause, "client_exc", None))):  # Ray itself starves there
        return _broken("a worker of Ray has no memory left", exc)
    if isinstance(exc, exceptions.RayTaskError):
        return PoolError(f"a worker of Ray failed beside the task: {cause!r}")
    return _broken(_SAID.get(type(exc).__name__) or str(exc), exc)


def _broken(said: str, exc: BaseException) -> BrokenExecutor:
    error = BrokenExecutor(said.strip().partition("\n")[0])
    error.__cause__ = exc
    return error


_SAID = {
    "NodeDiedError": "Ray lost a node",
    "ObjectStoreFullError": "the object store of Ray is full",
    "OutOfMemoryError": "Ray ended a worker, since memory was nearly full",
    "WorkerCrashedError": "Ray lost a worker",
}
"""By the name of an exception of Ray's, whose own words are a page."""
