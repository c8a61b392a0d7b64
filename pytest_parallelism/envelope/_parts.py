"""Bytes in parts, as pickle writes them: what is large stays where it is until it is sent."""

from __future__ import annotations

__all__ = ["Parts"]


class Parts(list[bytes]):
    """A file for a Pickler, which gives large bytes to its file uncopied; joined, these are the pickle."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """One part more; what may change before it is sent is copied."""
        self.append(data if type(data) is bytes else bytes(data))

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, self))
