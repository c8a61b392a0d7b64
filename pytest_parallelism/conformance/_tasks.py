"""Functions that the tests send to workers."""

from __future__ import annotations

import asyncio
import functools
import operator
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..strategy import Counts, Isolation, Strategy

__all__ = [
    "APART",
    "FUNCTIONS",
    "MEETINGS",
    "OUTSIDE",
    "Multiplier",
    "OwnError",
    "as_task",
    "counted",
    "die",
    "double",
    "fail_at_two",
    "hung_task",
    "leave",
    "meet",
    "meet_awaiting",
    "nested",
    "spin_gently",
]

OUTSIDE = (Isolation.PROCESS, Isolation.REMOTE)
APART = (*OUTSIDE, Isolation.INTERPRETER)
"""Where nothing is shared: all that tasks get and give is sent."""


MEETINGS = 3
"""Groups of tickets that meet. One group more may all lie with one worker, where each is given the next task
before it has ended the last."""
_ENDED = "ended-"


class OwnError(Exception):
    """An exception that pickle alone cannot carry: its class wants other arguments than it keeps."""

    def __init__(self, item: int, *, hint: str) -> None:
        super().__init__(f"item {item} is wrong")
        self.hint = hint


class Multiplier:
    """Has a method to send."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, item: int) -> int:
        """A bound method."""
        return self.factor * item


def double(item: int) -> int:
    """A module-level function."""
    return 2 * item


def nested(offset: int) -> Callable[[int], int]:
    """A function that closes over a value and calls another inner one."""

    def inner(item: int) -> int:
        return item + offset

    def outer(item: int) -> int:
        return inner(item)

    return outer


FUNCTIONS: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "module": (double, double),
    "nested": (nested(5), nested(5)),
    "lambda": (lambda item: item - 1, lambda item: item - 1),
    "partial": (functools.partial(operator.mul, 3), lambda item: 3 * item),
    "method": (Multiplier(7).times, lambda item: 7 * item),
    "builtin": (str, str),
}


def fail_at_two(item: int) -> int:
    """Fails for item 2 with an error of its own."""
    if item == 2:
        raise OwnError(item, hint="look there")
    return item


def leave(kind: type[BaseException], item: int) -> int:
    """Tries to end the interpreter at item 1."""
    if item == 1:
        raise kind(3)
    return item


def die(how: str, item: int) -> int:
    """Ends its process at item 3."""
    if item == 3:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(int(how))
    return item


def meet(folder: str, workers: int, patience: float, ticket: int) -> tuple[int, int, bool]:
    """Waits for the others of its group of ``workers`` tickets; who ran it, and whether they came.

    It then stays a moment, in which a worker too many takes the next ticket and is seen.
    """
    Path(folder, str(ticket)).touch()
    needed = _needed(ticket, workers)
    end = time.monotonic() + patience
    while (came := len(os.listdir(folder))) < needed and time.monotonic() < end:  # noqa: PTH208  # polled: no object an entry
        time.sleep(0.001)
    time.sleep(0.03)
    return os.getpid(), threading.get_ident(), came >= needed


async def meet_awaiting(folder: str, workers: int, patience: float, ticket: int) -> tuple[int, int, bool]:
    """`meet` for event loops, where one too many is told by how many have begun and not ended."""
    Path(folder, str(ticket)).touch()
    needed = _needed(ticket, workers)
    end = time.monotonic() + patience
    while (came := len(_begun_and_ended(folder)[0])) < needed and time.monotonic() < end:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.03)
    begun, ended = _begun_and_ended(folder)
    Path(folder, f"{_ENDED}{ticket}").touch()
    return os.getpid(), threading.get_ident(), came >= needed and len(begun) - len(ended) <= workers


def _needed(ticket: int, workers: int) -> int:
    return min(ticket // workers + 1, MEETINGS) * workers


def _begun_and_ended(folder: str) -> tuple[list[str], list[str]]:
    names = os.listdir(folder)  # noqa: PTH208  # polled: no object an entry
    ended = [name for name in names if name.startswith(_ENDED)]
    return [name for name in names if not name.startswith(_ENDED)], ended


def spin_gently(_item: int) -> None:
    """Never ends, and an exception can be raised in it."""
    while True:
        time.sleep(0.001)


def as_task(strategy: Strategy, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function as the strategy takes it: event loops want coroutine functions."""
    if not strategy.native_async:
        return fn

    async def task(item: Any) -> Any:
        return fn(item)

    return task


def counted(strategy: Strategy, workers: int) -> int:
    """The count that the strategy takes."""
    return 1 if strategy.counts is Counts.ONE else workers


def hung_task(strategy: Strategy, release: threading.Event) -> tuple[Callable[[Any], Any], float]:
    """A task that does not end by itself, and the timeout to give; threads are released by the event."""
    if strategy.native_async:

        async def for_ever(_item: int) -> None:
            await asyncio.Event().wait()

        return for_ever, 0.05
    if strategy.isolation in OUTSIDE:
        return lambda _item: time.sleep(10**6), 0.5
    if strategy.isolation is Isolation.INTERPRETER:
        return spin_gently, 0.05
    if strategy.counts is Counts.ONE or strategy.inside:
        return double, 0.0
    return lambda _item: release.wait(), 0.05
