"""Arguments of both functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UsageError

__all__ = ["positive", "whole"]


def whole(fn: Any, data: Any) -> Sequence[Any]:
    """All items. Raises `UsageError` where there are none to have, or no function for them."""
    if not callable(fn):
        raise UsageError(f"fn must be a function or another callable, not {type(fn).__name__}")
    try:
        items = iter(data)
    except TypeError:
        raise UsageError(
            f"data must be an iterable, such as a list or a generator, not {type(data).__name__}"
        ) from None
    return list(items)


def positive(name: str, number: Any) -> int:
    """The number. Raises `UsageError` for any but a positive one."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(f"{name} must be an int of 1 or more, not {number!r}")
    return number
