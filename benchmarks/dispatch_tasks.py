"""What the tasks of dispatch.py do: nothing, so that only the way there and back is measured.

A module of its own, because every worker of either side imports it.
"""

from __future__ import annotations

from typing import Any


def nothing(_item: Any) -> None:
    """A task of no length."""


def same(item: Any) -> Any:
    """Sends back what came."""
    return item


async def nothing_async(_item: Any) -> None:
    """`nothing`, for event loops."""


async def same_async(item: Any) -> Any:
    """`same`, for event loops."""
    return item
