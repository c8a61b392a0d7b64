"""Addresses of clusters that users have: taken apart, and asked whether anybody is there."""

from __future__ import annotations

import socket
from urllib.parse import SplitResult, urlsplit

from ..addresses import shown
from ..errors import UsageError

__all__ = ["located", "reached", "shown"]

REACH_SECONDS = 5.0
"""Seconds in which an address must answer: engines themselves try for minutes."""


def located(address: str, *, engine: str, like: str, port: int | None = None) -> SplitResult:
    """The parts of an address, whose host is given. ``port``: the one where it names none.

    Raises `UsageError`; ``like``: what a right one looks like.
    """
    try:
        parts = urlsplit(address)
        found = parts.port or port
    except ValueError:
        found = None
        parts = SplitResult("", "", "", "", "")
    if not parts.scheme or not parts.hostname or not found:
        raise UsageError(f"{engine} needs an address such as {like}, not {shown(address)}")
    return parts


def reached(host: str, port: int, *, engine: str, seconds: float = REACH_SECONDS) -> None:
    """Raises `UsageError` where nobody listens there."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as exc:
        reason = exc.strerror or str(exc) or type(exc).__name__
        raise UsageError(
            f"{engine} cannot be reached at {host}:{port} ({reason}): is the cluster running, "
            f"and does --parallel-address name its address?"
        ) from exc
