"""Messages on a stream socket: a header, then the body."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = [
    "ANSWER",
    "CHUNK",
    "FUNCTION",
    "READY",
    "Frame",
    "Inbox",
    "Outbox",
    "Rooms",
    "line",
    "post",
    "quick",
]

FUNCTION, CHUNK, READY, ANSWER = range(4)

_HEADER = struct.Struct("<QBQQ")
_RECEIVE = 1 << 16
"""Bytes a read asks for: under the size from which malloc maps and unmaps memory for each."""
_LARGE = 1 << 16
"""Bytes from which a body is read into its own place, and sent without joining it to its header."""
_KEPT = 1 << 22
"""Bytes up to which the room of a large body is used again."""
_BUFFER = 1 << 22
"""Bytes that may be under way: 16 MB go 1.7 times faster than with Linux's own 208 KB (our measurement)."""


def line() -> tuple[socket.socket, socket.socket]:
    """Two ends of a stream."""
    one, other = socket.socketpair()
    return quick(one), quick(other)


def quick(end: socket.socket) -> socket.socket:
    """The same, set up for our messages; the system may allow less than we ask for."""
    if end.family in (socket.AF_INET, socket.AF_INET6):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return end
    with contextlib.suppress(OSError):  # some systems refuse instead
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return end


Frame = NamedTuple(  # noqa: UP014  # see `_errors`
    "Frame", [("kind", int), ("tag", int), ("start", int), ("body", bytes | memoryview)]
)
"""``kind``: what it is. ``tag``: by which its answer is known. ``start``: index of its first item."""


class Rooms:
    """Where large bodies are read into, at most ``spare`` of them for the next ones.

    A new room costs a page fault for every 4 KB, and malloc gives so large a one back to the system each
    time: 1 MB there and back took 2.2 ms, and takes 1.4 (our measurement).
    """

    def __init__(self, spare: int = 1) -> None:
        self._spare: deque[bytearray] = deque(maxlen=spare)

    def take(self, length: int) -> memoryview:
        """A room of that length, with anything in it."""
        room = self._spare.pop() if self._spare else b""
        return memoryview(room if len(room) >= length else bytearray(length))[:length]

    def give_back(self, body: bytes | memoryview) -> None:
        """Nobody reads this body any more; small ones have no room."""
        if isinstance(body, memoryview) and isinstance(body.obj, bytearray) and len(body.obj) <= _KEPT:
            self._spare.append(body.obj)


class Inbox:
    """Frames that came, each as soon as it is whole."""

    def __init__(self, line: socket.socket, rooms: Rooms) -> None:
        self._line = line
        self._rooms = rooms
        self._rest = b""
        self._large: Frame | None = None
        self._filled = 0

    def receive(self) -> list[Frame]:
        """Reads once; the frames that are whole now. Raises EOFError when the other side has closed."""
        if self._large is not None:
            return self._more_of(self._large)
        data = self._line.recv(_RECEIVE)
        if not data:
            raise EOFError
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        position = 0
        while len(data) - position >= _HEADER.size:
            length, kind, tag, start = _HEADER.unpack_from(data, position)
            begin = position + _HEADER.size
            if len(data) - begin < length:
                if length >= _LARGE:
                    self._begin(Frame(kind, tag, start, self._rooms.take(length)), data[begin:])
                    return frames
                break
            position = begin + length
            frames.append(Frame(kind, tag, start, data[begin:position]))
        self._rest = data[position:]
        return frames

    def _begin(self, frame: Frame, data: bytes) -> None:
        assert isinstance(frame.body, memoryview)
        frame.body[: len(data)] = data
        self._large, self._filled, self._rest = frame, len(data), b""

    def _more_of(self, frame: Frame) -> list[Frame]:
        assert isinstance(frame.body, memoryview)
        came = self._line.recv_into(frame.body[self._filled :])
        if not came:
            raise EOFError
        self._filled += came
        if self._filled < len(frame.body):
            return []
        self._large = None
        return [frame]


class Outbox:
    """Frames that go out without waiting for the other side to read."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._waiting: deque[memoryview] = deque()

    def __bool__(self) -> bool:
        """Whether something still has to go."""
        return bool(self._waiting)

    def add(self, kind: int, tag: int, start: int, body: Sequence[bytes]) -> None:
        """One more frame, its body in parts, for the next `flush`."""
        self._waiting += map(memoryview, _packets(kind, tag, start, body))

    def flush(self) -> None:
        """Sends what the other side can take now. Raises OSError where it has closed."""
        waiting = self._waiting
        while waiting:
            if len(waiting) > 1 and len(waiting[0]) < _LARGE:
                self._join()
            try:
                sent = self._line.send(waiting[0])
            except BlockingIOError:
                return
            if sent < len(waiting[0]):
                waiting[0] = waiting[0][sent:]
            else:
                waiting.popleft()

    def _join(self) -> None:
        """Small frames go in one call."""
        small = []
        while self._waiting and len(self._waiting[0]) < _LARGE:
            small.append(self._waiting.popleft())
        self._waiting.appendleft(memoryview(b"".join(small)))


def post(line: socket.socket, kind: int, tag: int, start: int, body: Sequence[bytes]) -> None:
    """Sends a frame and waits until it is out. Raises OSError where the other side has closed."""
    for packet in _packets(kind, tag, start, body):
        line.sendall(packet)


def _packets(kind: int, tag: int, start: int, body: Sequence[bytes]) -> Iterator[bytes]:
    """The frame, small parts joined and large ones as they are."""
    small = [_HEADER.pack(sum(map(len, body)), kind, tag, start)]
    for part in body:
        if len(part) < _LARGE:
            small.append(part)
            continue
        yield b"".join(small)
        yield part
        small = []
    if small:
        yield b"".join(small)
