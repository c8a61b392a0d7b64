"""A chunk of items, one after another, up to its first error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._errors import Failure, task_error
from ._wrappers import Wrapper

__all__ = ["attempt"]


def attempt(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], Failure | None]:
    """Results of the items up to the first error, and that error; a user's Ctrl-C passes through."""
    whole: Any = fn
    if isinstance(whole, Wrapper) and whole.notes_chunks:
        with whole.chunk(len(items)) as noted:
            return _attempt(noted, items)
    return _attempt(fn, items)


def _attempt(fn: Callable[[Any], Any], items: Iterable[Any]) -> tuple[list[Any], Failure | None]:
    results: list[Any] = []
    try:
        for item in items:  # extend(map(fn, items)) would take a task's StopIteration for the end
            results.append(fn(item))  # its length tells which item failed
    except BaseException as exc:  # noqa: BLE001  # the caller raises it
        return results, Failure(len(results), task_error(exc))
    return results, None
