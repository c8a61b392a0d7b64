"""Locks that forked children can trust."""

from __future__ import annotations

import os
from typing import Any, TypeVar

__all__ = ["open_after_fork"]

Lock = TypeVar("Lock")


def open_after_fork(lock: Lock) -> Lock:
    """The lock, which a forked child finds open whoever held it: that thread is not there any more."""
    if hasattr(os, "register_at_fork"):
        held: Any = lock
        os.register_at_fork(after_in_child=held._at_fork_reinit)  # as the standard library does with its own
    return lock
