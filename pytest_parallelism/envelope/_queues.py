"""What a worker process does that takes its chunks from a queue which it shares with the others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Lock
from typing import Any, Protocol

from ._frames import _HEADER, ANSWER, READY, Frame, post
from ._tasks import run

__all__ = ["Managed", "Queues", "Socket", "serve_queues"]

Buffer = bytes | bytearray
Taken = tuple[int, int, Buffer, Buffer]
"""By which tag to answer, the index of the first item, the packed function, the items."""


class Queues(Protocol):
    """The queue of chunks and the queue of answers, as a worker has them."""

    def take(self) -> Taken:
        """The next chunk; raises EOFError or OSError when there will be none."""

    def give(self, kind: int, tag: int, body: bytes) -> None:
        """An answer."""


class Socket:
    """Both queues on one stream socket: who holds the lock takes, or gives, a message as a whole."""

    def __init__(self, line: socket.socket, taking: Lock, giving: Lock) -> None:
        self._line = line
        self._taking = taking
        self._giving = giving

    def take(self) -> Taken:
        """See `Queues`: a function and the chunk for it are two messages."""
        with self._taking:
            blob = bytes(_read(self._line).body)
            chunk = _read(self._line)
        return chunk.tag, chunk.start, blob, chunk.body

    def give(self, kind: int, tag: int, body: bytes) -> None:
        """See `Queues`."""
        with self._giving:
            post(self._line, kind, tag, 0, body)


def _read(line: socket.socket) -> Frame:
    """Waits for a message, and takes no byte of the next one. Raises EOFError when the parent has closed."""
    length, kind, tag, start = _HEADER.unpack(_exactly(line, _HEADER.size))
    return Frame(kind, tag, start, _exactly(line, length))


def _exactly(line: socket.socket, size: int) -> Buffer:
    data: Buffer = line.recv(size, socket.MSG_WAITALL) if size else b""
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

    def give(self, kind: int, tag: int, body: bytes) -> None:
        """See `Queues`."""
        self._answers.put((kind, tag, body))


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
        queues.give(READY, 0, run(prepare, [None]) if prepare else b"")
        while True:
            tag, first, blob, payload = queues.take()
            queues.give(ANSWER, tag, run(bytes(blob), payload, first))
