"""What tests wait for, and where: conditions and ports."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

__all__ = ["answers", "free_port", "waited"]

_SECONDS = 90.0
"""What a loaded machine may take for what is waited for."""


def waited(condition: Callable[[], Any]) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def free_port() -> int:
    """One of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
