"""Bytes in parts, as pickle writes them: what is large stays where it is until it is sent."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

__all__ = ["Bare", "Parts", "Reading", "whole"]


class Parts(list[bytes]):
    """A file for a Pickler, which gives large bytes to its file uncopied; joined, these are the pickle."""

    def write(self, data: bytes | bytearray | memoryview | pickle.PickleBuffer) -> None:
        """One part more; what may change before it is sent is copied."""
        if isinstance(data, pickle.PickleBuffer):
            data = data.raw()  # as it lies in memory, whatever its shape and order
        self.append(data if type(data) is bytes else bytes(data))

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, self))


class Bare(Parts):
    """Items that any pickle carries, for a mechanism that pickles what it sends by itself."""

    def __init__(self, items: list[Any], size: int) -> None:
        super().__init__()
        self.items = items
        self._size = size

    @property
    def size(self) -> int:
        """Bytes of the items, about."""
        return self._size


_JOINED = 1 << 16
"""Bytes up to which parts are joined: below, that costs less than to read them one by one."""


def whole(data: Any) -> Any:
    """Bytes that came in parts, joined or as a `Reading` of them where they lie; others as they lie.

    A part is whatever holds bytes: an engine may make arrays of its own of what it carries.
    """
    if isinstance(data, bytes):
        return data
    if not isinstance(data, (list, tuple)):
        return _plain(data)
    if len(data) == 1:
        return _plain(data[0])
    parts = [_plain(part) for part in data]
    return b"".join(parts) if sum(map(len, parts)) <= _JOINED else Reading(parts)


def _plain(part: Any) -> Any:
    """As bytes, or as a view whose length is that of its bytes."""
    return part if isinstance(part, (bytes, bytearray)) else pickle.PickleBuffer(part).raw()


class Reading:
    """A file for an Unpickler, which copies each large part once: to where the unpickled object has it."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = [memoryview(_plain(part)) for part in parts]
        self._part = 0
        self._offset = 0

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def loads(self) -> Any:
        """What is pickled there."""
        return pickle.load(self)

    def readinto(self, room: Any) -> int:
        """Fills the room; how many bytes there were."""
        target = memoryview(room).cast("B")
        filled = 0
        while filled < len(target) and self._part < len(self._parts):
            part = self._parts[self._part]
            size = min(len(target) - filled, len(part) - self._offset)
            target[filled : filled + size] = part[self._offset : self._offset + size]
            filled += size
            self._offset += size
            if self._offset == len(part):
                self._part, self._offset = self._part + 1, 0
        return filled

    def read(self, size: int) -> bytes:
        """The next bytes."""
        room = bytearray(size)
        return bytes(room[: self.readinto(room)])

    def readline(self) -> bytes:
        """Only protocol 0 has lines, and none of ours is of it."""
        raise NotImplementedError("pickles of protocol 0 are not read here")
