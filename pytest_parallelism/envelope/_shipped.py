"""How many bytes went to workers and came back."""

from __future__ import annotations

import threading

from ._locks import open_after_fork

__all__ = ["came", "shipped", "went"]

_lock = open_after_fork(threading.Lock())
_out = 0
_in = 0


def went(count: int) -> None:
    """So many bytes more were made for workers."""
    global _out
    with _lock:
        _out += count


def came(count: int) -> None:
    """So many bytes more came from workers."""
    global _in
    with _lock:
        _in += count


def shipped() -> tuple[int, int]:
    """Bytes made for workers and bytes that came from them, since this process began to count.

    Functions count once, when they are packed, and items and answers as they are enclosed and unpacked,
    without what a mechanism adds around them.
    """
    with _lock:
        return _out, _in
