"""Tasks that may fail: tried again, and their errors given back instead of raised."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ._errors import Caught, catch, release, task_error
from ._wrappers import Wrapper, is_async

__all__ = ["Initializing", "Outcome", "Trying", "note"]

_FAILURES = (Exception, SystemExit, KeyboardInterrupt)


class Outcome:
    """What became of a task where that is more than a result: an error to keep, or several attempts."""

    def __init__(self, *, value: Any = None, error: BaseException | None = None, attempts: int = 1) -> None:
        self.value = value
        self.error = error
        self.attempts = attempts

    def __reduce__(self) -> tuple[Callable[..., Outcome], tuple[Any, ...]]:
        """Its error travels as every error of a task does."""
        where = f"in process {os.getpid()}:\n"
        caught = self.error and catch(self.error, where=where)
        return _arrived, (self.value, caught, self.attempts)


def _arrived(value: Any, caught: Caught | None, attempts: int) -> Outcome:
    return Outcome(value=value, error=caught and release(caught), attempts=attempts)


class Trying(Wrapper):
    """Calls a function, again after an Exception; gives an `Outcome` where a bare result would not do.

    ``retries``: further attempts. ``backoff``: seconds before the first of them, doubled before each later
    one. No jitter: the rounds of a measurement have to repeat. ``collects``: a failure is given back as an
    `Outcome`, SystemExit and KeyboardInterrupt of a task as `TaskExit`; otherwise it is raised.
    """

    def __init__(
        self, fn: Callable[..., Any], *, collects: bool = False, retries: int = 0, backoff: float = 0.0
    ) -> None:
        super().__init__(fn)
        self.collects = collects
        self.retries = retries
        self.backoff = backoff
        self._async = is_async(fn)

    def __call__(self, item: Any) -> Any:
        """The result or an `Outcome`; a coroutine of it where the function is a coroutine function."""
        if self._async:
            return self._awaited(item)
        attempt = 0
        while True:
            attempt += 1
            try:
                return _answer(self.fn(item), attempt)
            except _FAILURES as exc:
                if not self._again(exc, attempt):
                    return self._given_up(exc, attempt)
            time.sleep(self._pause(attempt))

    async def _awaited(self, item: Any) -> Any:
        import asyncio  # heavy, and most workers need none

        attempt = 0
        while True:
            attempt += 1
            try:
                return _answer(await self.fn(item), attempt)
            except _FAILURES as exc:
                if not self._again(exc, attempt):
                    return self._given_up(exc, attempt)
            await asyncio.sleep(self._pause(attempt))

    def _again(self, exc: BaseException, attempt: int) -> bool:
        return attempt <= self.retries and isinstance(exc, Exception)

    def _pause(self, attempt: int) -> float:
        return self.backoff * float(2 ** (attempt - 1))

    def _given_up(self, exc: BaseException, attempt: int) -> Outcome:
        """Called while the exception is handled."""
        if self.retries:
            note(exc, f"failed after {attempt} attempt{'s' * (attempt > 1)}")
        if not self.collects:
            raise  # what is being handled
        return Outcome(error=task_error(exc), attempts=attempt)


def _answer(value: Any, attempt: int) -> Any:
    return value if attempt == 1 else Outcome(value=value, attempts=attempt)


def note(error: BaseException, text: str) -> None:
    """Adds a note to an exception (PEP 678), once; pytest shows it on Python 3.10 too."""
    notes = getattr(error, "__notes__", ())
    if text not in notes:
        # A class may refuse attributes (frozen dataclasses do).
        with contextlib.suppress(Exception):
            BaseException.__setattr__(error, "__notes__", [*notes, text])


class Initializing(Wrapper):
    """A user's initializer of workers with its arguments; its error says what it was.

    Meanwhile `kept`, globals that it sets belong to the worker: where its module goes by value, functions of
    that module find them there and bring none of the parent's.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...] = ()) -> None:
        super().__init__(fn)
        self.args = args

    def kept(self) -> AbstractContextManager[None]:
        """While a pool is open."""
        from ._by_value import keep

        return keep(self.fn)

    def __call__(self) -> None:
        """Calls it. What it makes stays where it puts it: nothing is given back."""
        try:
            self.fn(*self.args)
        except BaseException as exc:
            note(exc, "raised by initializer=, which each worker calls while it starts")
            raise
