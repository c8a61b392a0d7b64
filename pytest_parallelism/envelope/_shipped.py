"""How many bytes went to workers and came back."""

from __future__ import annotations

import sys
import threading
from typing import Any

from ._locks import open_after_fork

__all__ = ["came", "shipped", "went"]

_out = 0
_in = 0


def went(count: int) -> None:
    """So many bytes more were made for workers."""
    global _out
    _out += count  # CPython 3.10 and later switch threads at calls and loops only, not within this line


def came(count: int) -> None:
    """So many bytes more came from workers."""
    global _in
    _in += count


def shipped() -> tuple[int, int]:
    """Bytes made for workers and bytes that came from them, since this process began to count.

    Functions count once, when they are packed, and items and answers as they are enclosed and unpacked,
    without what a mechanism adds around them.
    """
    return _out, _in


def _one_at_a_time(add: Any) -> Any:
    lock = open_after_fork(threading.Lock())

    def locked(count: int) -> None:
        with lock:
            add(count)

    return locked


if not getattr(sys, "_is_gil_enabled", lambda: True)():
    # With a GIL the lock would cost more than all the rest (0.2 us a call by our measurement).
    went, came = _one_at_a_time(went), _one_at_a_time(came)
