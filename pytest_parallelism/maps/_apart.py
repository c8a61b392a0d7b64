"""Items that run apart: neither one nor its result can cost its chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..envelope import Failure, adapted, attempt, enclose, pack, run, unpack
from ..errors import NotTransferable

__all__ = ["Apart", "by_value", "in_place"]


@dataclass(frozen=True)
class Apart:
    """How each item runs on its own, so that neither it nor its result can cost its chunk.

    The worker calls ``task(letter(index, item))``; ``opened`` makes the result of that, or raises.
    """

    task: Callable[[Any], Any]
    letter: Callable[[int, Any], Any]
    opened: Callable[[Any], Any]

    def letters(self, start: int, chunk: Sequence[Any]) -> list[Any]:
        """What is sent for the items of a chunk."""
        return [self.letter(index, item) for index, item in enumerate(chunk, start)]


def by_value(fn: Callable[[Any], Any]) -> Apart:
    """For processes: each item and each result in an envelope of its own."""
    return Apart(partial(_answered, pack(adapted(fn))), _enclosed, _unpacked)


def _enclosed(index: int, item: Any) -> tuple[int, bytes | NotTransferable]:
    try:
        return index, enclose([item], start=index)
    except NotTransferable as exc:
        return index, exc


def _answered(blob: bytes, letter: tuple[int, bytes | NotTransferable]) -> bytes | NotTransferable:
    index, content = letter
    return run(blob, content, index) if isinstance(content, bytes) else content


def _unpacked(answer: bytes | NotTransferable) -> Any:
    if isinstance(answer, NotTransferable):
        raise answer
    return unpack(answer)[0]


def in_place(fn: Callable[[Any], Any]) -> Apart:
    """For threads."""
    return Apart(partial(attempt, adapted(fn)), _alone, _succeeded)


def _alone(_index: int, item: Any) -> list[Any]:
    return [item]


def _succeeded(answer: tuple[list[Any], Failure | None]) -> Any:
    results, failure = answer
    if failure:
        raise failure.error
    return results[0]
