"""Chunks of a library's pool, in its workers, which load this and not the parent's half (`_shipping`)."""

from __future__ import annotations

import io
import mmap
import multiprocessing
import os
from typing import Any

from . import _speech
from ._parts import Parts
from ._tasks import answered, attempted, telling
from ._weights import weight
from ._worker import start_worker

__all__ = [
    "CANCELLED",
    "SLOTS",
    "Answer",
    "mapped",
    "perform",
    "perform_here",
    "start_pool_worker",
]

Answer = list[Any] | tuple[bool, bytes] | bytes
"""Results as they are, or what `unpack` takes (`Parts` too), beside whether the chunk went well."""

CANCELLED = "cancelled"
"""Name of the file with a byte for each of some shipments, which is 1 where it was cancelled."""
SLOTS = 4096
"""How many."""

_cancelled: dict[str, mmap.mmap] = {}
_blobs: dict[str, bytes] = {}


def perform(folder: str, slot: int, function: bytes | str, start: int, payload: Any) -> Answer | None:
    """Runs a chunk in a worker; never raises because of the task. None where it was cancelled."""
    flags = _cancelled.get(folder)
    if flags is None:
        flags = _cancelled[folder] = mapped(folder, mmap.ACCESS_READ)
    if flags[slot]:
        return None
    return perform_here(function if type(function) is bytes else _blob(str(function)), payload, start)


def perform_here(blob: bytes, payload: Any, start: int) -> Answer:
    """`perform` of a function that is here already."""
    return _answer(blob, attempted(blob, payload, start), start)


def _answer(blob: bytes, outcome: tuple[list[Any], Parts | None], start: int) -> Answer:
    results, failure = outcome
    if failure is None and not _speech.said and weight(results) is not None:
        return results
    good, parts = (False, failure) if failure is not None else answered(blob, results, start)
    return good, telling(parts) if _speech.said else b"".join(parts)


def start_pool_worker(*initargs: Any) -> None:
    """`start_worker` in a worker of a multiprocessing.Pool, whose tasks may have child processes too."""
    multiprocessing.current_process().daemon = False
    start_worker(*initargs)


def mapped(folder: str, access: int) -> mmap.mmap:
    """What is in that file; ``access`` as `mmap.mmap` takes it."""
    with io.FileIO(f"{folder}{os.sep}{CANCELLED}", "r+") as file:
        return mmap.mmap(file.fileno(), SLOTS, access=access)


def _blob(name: str) -> bytes:
    blob = _blobs.get(name)
    if blob is None:
        with io.FileIO(name) as file:
            blob = _blobs[name] = file.readall()
    return blob
