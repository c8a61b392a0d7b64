"""Chunks to a Dask scheduler and answers back, many at a time, as futures of concurrent.futures."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from typing import Any

from ..envelope import run_there

__all__ = ["LOST_ANSWER", "Chunk", "Courier", "run_chunk"]

LOST_ANSWER = "Dask lost an answer with the worker that had it"
_IDLE_SECONDS = 1.0
"""How long a cancelled chunk may run on before its worker counts as busy."""
_APART = 1 << 16
"""Bytes from which a part travels beside the pickle, uncopied."""
_DIRECT = 1 << 20
"""Bytes from which a chunk goes straight to a worker, where that can be reached: the scheduler opens and
closes what goes through it. But it is bound to that worker, however busy that turns out to be."""
_MESSAGE = 1 << 22
"""Bytes of chunks in one message to the scheduler, and a chunk of its own beyond: Dask warns of more."""
_REST = 30
"""How many times as long as a fetch took is rested before the next one, while plenty is under way."""
_LOOK_SECONDS = 0.002
_BESIDE = 5
"""The first protocol of pickle with parts beside it."""


class Chunk:
    """What a worker needs beside the function; opaque to Dask, which looks through lists for its keys."""

    def __init__(self, prepare: bytes, start: int, *payload: Any) -> None:
        self.prepare = prepare
        self.start = start
        self.payload = payload

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Chunk, (self.prepare, self.start, *_apart(self.payload, protocol))


class Answer:
    """Large parts of an answer."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Answer, _apart(self.parts, protocol)

    def __sizeof__(self) -> int:
        return sum(map(len, self.parts))


def _apart(parts: Sequence[Any], protocol: int) -> tuple[Any, ...]:
    """Parts for a pickle, the large ones beside it where its protocol can (PEP 574)."""
    if protocol < _BESIDE:
        return tuple(map(bytes, parts))
    return tuple(pickle.PickleBuffer(part) if len(part) >= _APART else part for part in parts)


def run_chunk(chunk: Chunk, function: bytes) -> Any:
    """`run_there` on a worker."""
    parts = run_there(chunk.prepare, function, chunk.payload, chunk.start)
    return b"".join(parts) if parts.size < _APART else Answer(*parts)


class _Asked(Future[Any]):
    """An answer that is to come."""

    def __init__(self, courier: Courier, key: str, chunk: Chunk, function: Any) -> None:
        super().__init__()
        self.courier = courier
        self.key = key
        self.chunk: Any = chunk
        self.size = sum(map(len, chunk.payload))
        self.function = function

    def cancel(self) -> bool:
        """See `Future`; whether its chunk has begun, nobody knows."""
        cancelled = super().cancel()
        if cancelled:
            self.courier.forget(self)
        return cancelled


class Courier:
    """Sends chunks through a ``distributed.Client`` and brings their answers.

    What is submitted while the client's loop is busy goes out in one message, and what has come meanwhile is
    fetched in one. While more chunks are under way than workers can have, answers are fetched seldom: each
    time costs a scheduler and workers that have work to do. ``workers``: addresses of those that may run
    chunks. ``direct``: they can be reached from here.
    """

    def __init__(self, client: Any, workers: Sequence[str], *, direct: bool) -> None:
        self._client = client
        self._workers = list(workers)
        # On our own cluster Dask may choose, which then gives a worker its next chunk when it has room.
        self._only = None if direct else self._workers
        self._direct = direct or None  # None: as Dask's configuration says
        self._plenty = 2 * len(workers)
        self._prefix = f"pp{secrets.token_hex(6)}"
        self._numbers = itertools.count()
        self._waiting: deque[_Asked] = deque()
        self._called = False
        self._outstanding: set[_Asked] = set()
        self._sent: dict[_Asked, Any] = {}
        self._ready: dict[_Asked, Any] = {}
        self._fetching = False
        self._forgotten = False

    def put(self, function: bytes) -> Any:
        """A large function, where all workers find it; a small one goes with each chunk."""
        if len(function) < _APART:
            return function
        return self._client.scatter(
            function, workers=self._workers, broadcast=True, hash=False, direct=self._direct
        )

    def submit(self, chunk: Chunk, function: Any) -> Future[Any]:
        """Has a worker call ``run_chunk(chunk, function)``."""
        asked = _Asked(self, f"{self._prefix}-{next(self._numbers)}", chunk, function)
        self._outstanding.add(asked)
        asked.add_done_callback(self._outstanding.discard)
        self._waiting.append(asked)
        if not self._called:  # several threads may find this, and call once too often
            self._called = True
            self._client.loop.add_callback(self._send)
        return asked

    def forget(self, asked: _Asked) -> None:
        """Nobody wants the answer any more."""
        self._forgotten = True
        self._client.loop.add_callback(self._release, asked)

    def idle(self) -> bool:
        """Whether no chunk runs on that nobody wants."""
        if not self._forgotten:
            return True
        from distributed import wait

        probes = [self._client.submit(int, pure=False, workers=[one]) for one in self._workers]
        try:
            with self._client.as_current():
                wait(probes, timeout=_IDLE_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):  # two classes up to Python 3.10
            return False
        self._forgotten = False
        return True

    def close(self) -> None:
        """Nothing comes any more: whoever waits hears of it."""
        for asked in list(self._outstanding):
            Future.cancel(asked)

    # ---- on the loop of the client

    def _send(self) -> None:
        self._called = False  # first: what is added from now on calls again
        large, limit = [], _DIRECT if self._direct else _MESSAGE
        for batch in self._batches():
            small = [asked for asked in batch if asked.size < limit]
            large += [asked for asked in batch if asked.size >= limit]
            self._map(small)
        if large:
            asyncio.ensure_future(self._scatter(large))  # noqa: RUF006  # its answers are what keeps it

    def _batches(self) -> Iterator[list[_Asked]]:
        batch, size = [], 0
        for _ in range(len(self._waiting)):
            asked = self._waiting.popleft()
            batch.append(asked)
            size += asked.size
            if size >= _MESSAGE:
                yield batch
                batch, size = [], 0
        yield batch

    async def _scatter(self, batch: list[_Asked]) -> None:
        try:
            futures = await self._client.scatter(
                [asked.chunk for asked in batch],
                workers=self._workers,
                hash=False,
                direct=self._direct,
                asynchronous=True,
            )
        except Exception as exc:  # noqa: BLE001  # it belongs to whoever waits
            _fail(batch, exc)
            return
        for asked, future in zip(batch, futures, strict=True):
            asked.chunk = future
            # A group of tasks of its own: Dask binds all of one group to workers where some have data there.
            asked.key = f"large-{asked.key}"
        self._map(batch)

    def _map(self, batch: list[_Asked]) -> None:
        batch = [asked for asked in batch if not asked.cancelled()]
        if not batch:
            return
        try:
            futures = self._client.map(
                run_chunk,
                [asked.chunk for asked in batch],
                [asked.function for asked in batch],
                key=[asked.key for asked in batch],
                workers=self._only,
                pure=False,
            )
        except Exception as exc:  # noqa: BLE001  # it belongs to whoever waits
            _fail(batch, exc)
            return
        for asked, future in zip(batch, futures, strict=True):
            asked.chunk = None  # Dask has it
            self._sent[asked] = future
            asyncio.ensure_future(self._watch(asked, future))  # noqa: RUF006  # the future's event keeps it

    async def _watch(self, asked: _Asked, future: Any) -> None:
        state = future._state  # what is public starts a thread, or two tasks for each future
        await state.wait()
        while state.status in ("lost", "pending"):  # it was done, went with its worker, and is done again
            await state.wait()
        if self._sent.pop(asked, None) is None:
            return  # nobody wants it any more
        if state.status != "finished":
            _fail([asked], state.exception)
            return
        self._ready[asked] = future
        if not self._fetching:
            self._fetching = True
            asyncio.ensure_future(self._fetch())  # noqa: RUF006  # what it waits for keeps it

    async def _fetch(self) -> None:
        while self._ready:
            begun = time.monotonic()
            await self._fetch_ready()
            rested = time.monotonic() + _REST * (time.monotonic() - begun)
            while len(self._sent) > self._plenty and time.monotonic() < rested:
                await asyncio.sleep(_LOOK_SECONDS)
        self._fetching = False

    async def _fetch_ready(self) -> None:
        ready, self._ready = self._ready, {}
        try:
            answers = await self._client.gather(list(ready.values()), direct=self._direct, asynchronous=True)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  # it belongs to whoever waits
            _fail(list(ready), exc)
            return
        for asked, answer in zip(ready, answers, strict=True):
            if answer is None:  # what Dask gives for one whose worker ended after it was done
                _fail([asked], BrokenExecutor(LOST_ANSWER))
            elif asked.set_running_or_notify_cancel():
                asked.set_result(answer.parts if isinstance(answer, Answer) else answer)

    def _release(self, asked: _Asked) -> None:
        future = self._sent.pop(asked, None)
        if future is not None:
            future.release()


def _fail(batch: Sequence[_Asked], exc: BaseException) -> None:
    from distributed import KilledWorker

    error = exc
    if isinstance(exc, KilledWorker):
        error = BrokenExecutor("Dask lost a worker")
    elif isinstance(exc, (OSError, asyncio.CancelledError, CancelledError)):
        error = BrokenExecutor(f"Dask lost its scheduler, or what a worker had: {exc}")
    for asked in batch:
        if not asked.cancelled() and asked.set_running_or_notify_cancel():
            asked.set_exception(error)
