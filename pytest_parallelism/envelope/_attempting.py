"""A chunk of items, one after another, up to its first error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import length_hint
from typing import Any

from ._errors import Failure, task_error
from ._wrappers import Wrapper

__all__ = ["attempt"]


def attempt(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], Failure | None]:
    """Results of the items, or their first error; a user's Ctrl-C passes through."""
    whole: Any = fn
    if isinstance(whole, Wrapper) and whole.notes_chunks:
        with whole.chunk(len(items)) as noted:
            return _attempt(noted, items)
    return _attempt(fn, items)


def _attempt(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], Failure | None]:
    todo = items if isinstance(items, (list, tuple, range)) else list(items)
    coming = iter(todo)  # which tells what is left, and so which item failed
    try:
        # list(map(fn, …)) would take a task's StopIteration for the end.
        return [fn(item) for item in coming], None
    except BaseException as exc:  # noqa: BLE001  # the caller raises it
        return [], Failure(len(todo) - length_hint(coming) - 1, task_error(exc))
