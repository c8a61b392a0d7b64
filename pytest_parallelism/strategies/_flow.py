"""Chunks on an event loop that wait to be given back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from ..errors import TaskTimeout

__all__ = ["Flow", "limited"]

GRACE_SECONDS = 0.5
"""How long cancelled coroutines may take to end."""

Work = Coroutine[Any, Any, list[Any]]
Running = asyncio.Task[list[Any]]


class Flow:
    """Chunks in work, of which one after another is taken: in their order, or as they complete."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, ordered: bool) -> None:
        self._loop = loop
        self._ordered = ordered
        self._starts: dict[Running, int] = {}
        self._order: deque[Running] = deque()
        self._done: asyncio.Queue[Running] = asyncio.Queue()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, work: Work) -> None:
        """One more; ``start`` is the number of the chunk."""
        task = self._loop.create_task(work)
        self._starts[task] = start
        if self._ordered:
            self._order.append(task)
        else:
            task.add_done_callback(self._done.put_nowait)

    async def take(self, seconds: float | None) -> tuple[int, list[Any]]:
        """The next chunk's number and results; raises what it raised, or TimeoutError after ``seconds``."""
        if self._ordered:
            task = self._order[0]
            if not (await asyncio.wait({task}, timeout=seconds))[0]:
                raise asyncio.TimeoutError
            self._order.popleft()
        else:
            task = await asyncio.wait_for(self._done.get(), seconds)
        return self._starts.pop(task), task.result()

    async def cancel(self) -> None:
        """Cancels what was not taken."""
        for task in self._starts:
            task.cancel()
        await asyncio.wait(self._starts, timeout=GRACE_SECONDS)


async def limited(work: Work, seconds: float, index: int) -> list[Any]:
    """Its results, or `TaskTimeout` after ``seconds``; it is cancelled then."""
    task = asyncio.ensure_future(work)
    try:
        if (await asyncio.wait({task}, timeout=seconds))[0]:
            return task.result()
        raise TaskTimeout(f"item {index} did not end within {seconds:g} s: its coroutine was cancelled")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
