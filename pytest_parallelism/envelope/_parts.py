"""Bytes in parts, as pickle writes them: what is large stays where it is until it is sent."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["Bare", "Parts"]


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
