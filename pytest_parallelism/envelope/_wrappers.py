"""Functions around a user's function."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from types import FunctionType
from typing import Any, ClassVar

from ._errors import task_error

__all__ = ["Blocking", "Calling", "Collecting", "Each", "Wrapper", "adapted", "is_async", "named"]


_COROUTINE = 0x80  # inspect.CO_COROUTINE


class Wrapper:
    """A callable around one function, sent with it."""

    notes_chunks: ClassVar[bool] = False
    """Whether it wants to know where chunks begin and end, by `chunk`."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn

    def chunk(self, size: int) -> AbstractContextManager[Callable[[Any], Any]]:
        """While a thread runs a chunk of that many items: the function to call for each of them."""
        raise NotImplementedError


class Collecting(Wrapper):
    """``on_error="collect"``: returns the exception of a task instead of raising it.

    Collects Exceptions, and SystemExit and KeyboardInterrupt of a task as `TaskExit`.
    """

    def __call__(self, item: Any) -> Any:
        """The result, or the exception; a coroutine of either where the function is a coroutine function."""
        if is_async(self.fn):
            return self._awaited(item)
        try:
            return self.fn(item)
        except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001  # returned as it is
            return task_error(exc)

    async def _awaited(self, item: Any) -> Any:
        try:
            return await self.fn(item)
        except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001  # returned as it is
            return task_error(exc)


class Blocking(Wrapper):
    """A coroutine function as a blocking one: an event loop of its own for every item."""

    def __call__(self, item: Any) -> Any:
        """Runs the coroutine to its end."""
        import asyncio

        return asyncio.run(_awaiting(self.fn(item)))


class Calling(Wrapper):
    """A function of any signature; its item is ``(args, kwargs)``."""

    def __call__(self, item: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        """The result of the call."""
        return self.fn(*item[0], **item[1])


class Each(Wrapper):
    """A function over a list of items: a chunk as one item."""

    def __call__(self, items: Sequence[Any]) -> Any:
        """The results; a coroutine of them where the function is a coroutine function."""
        return self._awaited(items) if is_async(self.fn) else [self.fn(item) for item in items]

    async def _awaited(self, items: Sequence[Any]) -> list[Any]:
        return [await self.fn(item) for item in items]


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def is_async(fn: Any) -> bool:
    """Whether calling it gives a coroutine: functions, partials, methods, objects, `Collecting` of these."""
    if type(fn) is FunctionType and not fn.__dict__:  # nearly always; the rest would cost 1 µs more
        return bool(fn.__code__.co_flags & _COROUTINE)
    import inspect  # it takes 15 ms and 1 MB, and workers need it seldom

    while isinstance(fn, (functools.partial, Wrapper)):
        if isinstance(fn, Blocking):
            return False
        fn = fn.func if isinstance(fn, functools.partial) else fn.fn
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004  # not a test for being callable


def adapted(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function as a strategy without an event loop can call it."""
    return Blocking(fn) if is_async(fn) else fn


def named(fn: Any) -> str:
    """How sentences call a function."""
    while isinstance(fn, (functools.partial, Wrapper)):
        fn = fn.func if isinstance(fn, functools.partial) else fn.fn
    name: str = getattr(fn, "__name__", type(fn).__name__)
    return name.replace("<lambda>", "the lambda")
