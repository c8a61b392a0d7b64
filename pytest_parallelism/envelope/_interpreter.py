"""An interpreter beside ours (PEP 734): what goes there, and what it does first and for each task."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from . import _speech
from ._ending import RunningTasks
from ._parts import Parts
from ._settings import take_over
from ._shipped import came, went
from ._tasks import attempted, enclose, to_send, unpack
from ._weights import FEW, light_weight, weight

__all__ = ["hand_over", "open_handed", "run_ending", "start_interpreter"]

_LARGE = 1 << 16
"""Bytes from which on it costs less to let Python copy each item into the other interpreter than to pickle
them: 1 MB in and out takes 0.25 ms, and pickled 1.3 (our measurement, Python 3.14.5)."""

_TEXTS = frozenset({bytes, str})
_SIMPLE = _TEXTS | {int, float, bool, type(None)}
"""A few of them cost less so, too: 3 µs of 80 for one."""

Handed = bytes | tuple[bytes | str | int | float | None, ...]
"""Items or results: pickled, or as they are where they are large, or few and simple."""

_running = RunningTasks()
_watching: threading.Thread | None = None
"""Kept: where there is no GIL, the thread that made it runs the callback of its end, and would meet there,
where every exception is ignored, the one that shall end its task."""


def start_interpreter(line: int, settings: bytes) -> None:
    """Initializer of an interpreter.

    ``line``: descriptor of a pipe; a byte from it ends the task that runs, as nobody outside of the
    interpreter could. Its end ends the thread that waits for it. ``settings``: a pickled `WorkerSettings`.
    """
    global _watching
    take_over(pickle.loads(settings))
    _speech.listen()
    _watching = threading.Thread(target=_wait, args=(line,), name="end-watch")
    _watching.start()


def _wait(line: int) -> None:
    if os.read(line, 1):
        _running.end()


def run_ending(blob: bytes, payload: Handed, start: int) -> Handed:
    """`run`, which a byte on the line ends."""
    with _running:
        return _answer(blob, attempted(blob, payload, start), start)


def _answer(blob: bytes, outcome: tuple[list[Any], Parts | None], start: int) -> Handed:
    results, failure = outcome
    if failure is None and not _speech.said and _size_as_it_is(results) is not None:
        return tuple(results)
    return b"".join(to_send(blob, outcome, start))


def hand_over(items: Sequence[Any], by_value: Iterable[ModuleType], start: int) -> Handed:
    """`enclose` for an interpreter."""
    size = _size_as_it_is(items)
    if size is None:
        return enclose(items, by_value, start)
    went(size)
    return tuple(items)


def open_handed(answer: Handed) -> list[Any]:
    """`unpack` of what came from an interpreter."""
    if isinstance(answer, bytes):
        return unpack(answer)
    came(light_weight(answer))
    return list(answer)


def _size_as_it_is(values: Sequence[Any]) -> int | None:
    """Bytes, about, of what goes as it is; None where it is pickled."""
    size = weight(values)
    few = len(values) <= FEW
    if size is None or not (few or size >= _LARGE):
        return None
    return size if (_SIMPLE if few else _TEXTS).issuperset(map(type, values)) else None
