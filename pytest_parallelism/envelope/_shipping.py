"""Chunks to the workers of a library's pool, at the cost of what that library's users write by hand.

`run` alone would send each function with every chunk, and pickle each item and result twice: first by us,
by value, then by the library. Here a function goes by name once it has been sent often, and what any
interpreter can unpickle goes as it is.
"""

from __future__ import annotations

import io
import itertools
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any

from ._folders import owned_folder
from ._packing import Packer
from ._parts import Bare, Parts
from ._performing import CANCELLED, SLOTS, Answer, mapped
from ._shipped import came, went
from ._tasks import enclose, enclosed, unpack
from ._weights import light_weight, weight

__all__ = [
    "Shipment",
    "Shipping",
    "as_they_are",
    "failed",
    "open_answer",
    "open_answers",
]

_INLINE_BYTES = 1 << 16
"""Bytes of one function that are sent with chunks before it is put into a file (which costs 0.15 ms here)."""


def as_they_are(items: Sequence[Any], by_value: Iterable[ModuleType] = (), start: int = 0) -> Parts:
    """`Bare` items where any pickle can carry them, else `enclosed` ones."""
    whole = list(items)
    light = weight(whole)
    if light is None:
        return enclosed(whole, by_value, start)
    went(light)
    return Bare(whole, light)


class Shipping:
    """How one pool sends its functions and takes them back; `close` it when the workers have ended.

    Its temporary folder holds functions that are sent often, and a byte for each of the last 4,096 calls
    of `shipment`: 1 where it was cancelled, so that workers skip what already waits in a pipe.
    """

    def __init__(self, by_value: Sequence[ModuleType]) -> None:
        self.by_value = tuple(by_value)
        self._numbers = itertools.count()
        self._files: dict[bytes, str] = {}
        self._pack = Packer(self.by_value)

    @cached_property
    def folder(self) -> str:
        """Made with the first shipment."""
        folder = owned_folder()
        _write(f"{folder}{os.sep}{CANCELLED}", bytes(SLOTS))
        return folder

    @cached_property
    def cancelled(self) -> mmap.mmap:
        """A byte for each shipment."""
        return mapped(self.folder, mmap.ACCESS_WRITE)

    def shipment(self, fn: Callable[[Any], Any]) -> Shipment:
        """A function on its way. Raises `NotTransferable`."""
        slot = next(self._numbers) % SLOTS
        self.cancelled[slot] = 0
        blob = self._pack(fn)
        return Shipment(self, slot, self._files.get(blob, blob))

    def file(self, blob: bytes) -> str:
        """Name of the file that holds a packed function."""
        name = self._files.get(blob)
        if name is None:
            name = f"{self.folder}{os.sep}function-{len(self._files)}"
            _write(name, blob)
            self._files[blob] = name
        return name

    def cancel(self, slot: int) -> None:
        """See `Shipment.cancel`; nothing once closed."""
        if "cancelled" in self.__dict__:
            self.cancelled[slot] = 1

    def close(self) -> None:
        """Removes the folder."""
        if "cancelled" in self.__dict__:
            self.__dict__.pop("cancelled").close()
        if "folder" in self.__dict__:
            shutil.rmtree(self.__dict__.pop("folder"), ignore_errors=True)
            self._files.clear()


class Shipment:
    """A packed function, with or without its chunks."""

    __slots__ = ("_by_value", "_folder", "_function", "_sent", "_shipping", "_slot")

    def __init__(self, shipping: Shipping, slot: int, function: bytes | str) -> None:
        self._shipping = shipping
        self._folder = shipping.folder
        self._by_value = shipping.by_value
        self._slot = slot
        self._function = function
        self._sent = 0

    def task(self, start: int, chunk: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments of `perform` for a chunk whose first item has the index ``start``.

        Raises `NotTransferable`.
        """
        function = self._function
        if type(function) is bytes:
            self._sent += len(function)
            if self._sent > _INLINE_BYTES:
                self._function = self._shipping.file(function)
        payload: Any = chunk if type(chunk) is list or type(chunk) is range else list(chunk)
        light = weight(payload)
        if light is None:
            payload = enclose(payload, self._by_value, start)
        else:
            went(light)
        return self._folder, self._slot, function, start, payload

    def cancel(self) -> None:
        """Workers skip the chunks that they have not begun."""
        self._shipping.cancel(self._slot)


def failed(answer: Answer) -> bool:
    """Whether a chunk met an error."""
    return type(answer) is tuple and not answer[0]


def open_answer(answer: Answer) -> list[Any]:
    """Results of a `perform`, or raises its first error, the worker's traceback being the ``__cause__``."""
    return open_answers((answer,))


def open_answers(answers: Iterable[Answer]) -> list[Any]:
    """`open_answer` of all, in one list."""
    light: list[Any] = []
    results: list[Any] = []
    for answer in answers:
        if type(answer) is list:
            results += answer
            light += answer
        else:
            results += unpack(answer[1] if isinstance(answer, tuple) else answer)
    came(light_weight(light))
    return results


def _write(name: str, data: bytes) -> None:
    # Not by pathlib, which takes 0.4 MB of every worker.
    with io.BufferedWriter(io.FileIO(name, "x")) as file:
        file.write(data)
