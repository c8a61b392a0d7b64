"""What a worker process does that takes its chunks from a queue which it shares with the others."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Lock
from typing import Any, Protocol

from ._frames import _HEADER, ANSWER, READY, post
from ._parts import Parts
from ._tasks import ran

__all__ = ["Managed", "Queues", "Socket", "serve_queues", "with_function"]

Taken = tuple[int, int, bytes, bytes | memoryview | list[Any]]
"""By which tag to answer, the index of the first item, the packed function, the items."""


class Queues(Protocol):
    """The queue of chunks and the queue of answers, as a worker has them."""

    def take(self) -> Taken:
        """The next chunk; raises EOFError or OSError when there will be none."""

    def answer(self, taken: Taken) -> None:
        """Runs it and gives its answer."""

    def give(self, kind: int, tag: int, body: Parts) -> None:
        """An answer."""


_SIZE = struct.Struct("<Q")


def with_function(blob: bytes, payload: Parts) -> Parts:
    """A chunk and its function in one message for `Socket`: nobody knows which process will take it."""
    return Parts((_SIZE.pack(len(blob)), blob, *payload))


class Socket:
    """Both queues on one stream socket: who holds the lock takes, or gives, a message as a whole."""

    def __init__(self, line: socket.socket, taking: Lock, giving: Lock) -> None:
        self._line = line
        self._taking = taking
        self._giving = giving

    def take(self) -> Taken:
        """See `Queues`."""
        with self._taking:
            tag, start, body = _read(self._line)
        (size,) = _SIZE.unpack_from(body)
        begin = _SIZE.size + size
        return tag, start, body[_SIZE.size : begin], memoryview(body)[begin:]

    def answer(self, taken: Taken) -> None:
        """See `Queues`."""
        tag, start, blob, payload = taken
        self.give(ANSWER, tag, ran(blob, payload, start))

    def give(self, kind: int, tag: int, body: Parts) -> None:
        """See `Queues`."""
        with self._giving:
            post(self._line, kind, tag, 0, body)


def _read(line: socket.socket) -> tuple[int, int, bytes]:
    """Waits for a message, and takes no byte of the next one; its tag, start and body.

    Raises EOFError when the parent has closed.
    """
    length, _, tag, start = _HEADER.unpack(_exactly(line, _HEADER.size))
    return tag, start, _exactly(line, length)


def _exactly(line: socket.socket, size: int) -> bytes:
    data: bytes = line.recv(size, socket.MSG_WAITALL) if size else b""
    while len(data) < size:  # a signal came
        more = line.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise EOFError
        data += more
    return data


class Managed:
    """Two queues of a multiprocessing manager; None is the end."""

    def __init__(self, chunks: Any, answers: Any) -> None:
        self._chunks = chunks
        self._answers = answers

    def take(self) -> Taken:
        """See `Queues`."""
        taken: Taken | None = self._chunks.get()
        if taken is None:
            raise EOFError
        return taken

    def answer(self, taken: Taken) -> None:
        """See `Queues`; results that any pickle carries go as they are."""
        from ._performing import perform_here  # which workers of a `Socket` do not need

        tag, start, blob, payload = taken
        self._answers.put((ANSWER, tag, perform_here(blob, payload, start)))

    def give(self, kind: int, tag: int, body: Parts) -> None:
        """See `Queues`."""
        self._answers.put((kind, tag, b"".join(body)))


def serve_queues(
    queues: Queues, inherited: Sequence[socket.socket], start: Callable[[], object], prepare: bytes | None
) -> None:
    """Runs chunks until there are no more.

    ``inherited``, ``start``, ``prepare``: as in `serve`.
    """
    for other in inherited:
        other.close()
    start()
    with contextlib.suppress(EOFError, OSError):
        queues.give(READY, 0, ran(prepare, [None]) if prepare else Parts())
        while True:
            queues.answer(queues.take())
