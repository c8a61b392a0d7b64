"""What a map does on its pool: chunks out, results in, failed items logged."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import itemgetter
from types import TracebackType
from typing import Any

from ..envelope import named
from ..strategy import Chunk, HasStream
from ._apart import Apart
from ._progress import Step, updating

__all__ = ["Job"]

_AHEAD = 8
"""Chunks on their way for each worker: none waits for the parent, and the data is not copied as a whole."""

_PACKAGE = __name__.partition(".")[0] + "."
_logger = logging.getLogger("pytest_parallelism")
_Opening = Callable[[int, int | None], AbstractContextManager[HasStream]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done; ``bar`` is tqdm's class."""

    fn: Callable[[Any], Any]
    items: Sequence[Any]
    chunk_size: int
    wanted: int
    ordered: bool
    bar: Any
    apart: Apart | None

    @property
    def workers(self) -> int:
        """As many as wanted, and no more than there are chunks."""
        return min(self.wanted, math.ceil(len(self.items) / self.chunk_size))

    def run(self, opening: _Opening, native_threads: int | None) -> list[Any]:
        """The results, on a pool of its own."""
        if not self.items:
            return []
        # The bar comes second: workers that are forked shall not inherit what it has begun.
        with opening(self.workers, native_threads) as pool, self.progress() as step:
            return self.results(pool, step)

    def progress(self) -> AbstractContextManager[Step]:
        """What is told how many items are done."""
        if self.bar is None:
            return contextlib.nullcontext(lambda _items: None)
        return updating(self.bar(total=len(self.items), desc=named(self.fn), miniters=1))

    def results(self, pool: HasStream, step: Step) -> list[Any]:
        """Results in the order wanted; without the failed ones where items run apart."""
        # Answers are taken as they come in both modes, so that the bar and the first error are not late.
        answers = pool.stream(
            self.apart.task if self.apart else self.fn,
            self.chunks(),
            in_flight=_AHEAD * self.workers,
            ordered=False,
        )
        done = []
        for start, results in answers:
            done.append((start, self.good(start, results, self.apart) if self.apart else results))
            step(len(results))
        if self.ordered:
            done.sort(key=itemgetter(0))
        return [result for _, results in done for result in results]

    def chunks(self) -> Iterator[Chunk]:
        """The items, a chunk at a time."""
        for start in range(0, len(self.items), self.chunk_size):
            chunk = self.items[start : start + self.chunk_size]
            yield start, self.apart.letters(start, chunk) if self.apart else chunk

    def good(self, start: int, answers: Sequence[Any], apart: Apart) -> list[Any]:
        """Results of a chunk without the failed ones, which are logged."""
        results = []
        for index, answer in enumerate(answers, start):
            try:
                results.append(apart.opened(answer))
            except (KeyboardInterrupt, SystemExit):  # of this process: a task's own is a TaskExit
                raise
            except BaseException as exc:  # noqa: BLE001  # a task may raise anything
                self.log(index, exc)
        return results

    def log(self, index: int, exc: BaseException) -> None:
        """Tells of an item that is left out."""
        text = "%s failed for item %d, which is left out: %s: %s"
        told = (named(self.fn), index, type(exc).__name__, exc)
        shown = (type(exc), exc, _without_ours(exc.__traceback__))
        _logger.error(text, *told, exc_info=shown, extra={"item_index": index})


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first line on; a worker's stands in the error's ``__cause__``."""
    while trace and trace.tb_frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        trace = trace.tb_next
    return trace
