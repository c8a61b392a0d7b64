"""A chunk on a worker that an engine has started: it is prepared when its first chunk comes."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ._locks import open_after_fork
from ._parts import Parts, whole
from ._settings import WorkerSettings, worker_settings
from ._tasks import Buffer, attempted, pack, ran
from ._worker import join_cluster

__all__ = ["Preparation", "interpreter", "preparation", "run_bare", "run_there"]


class Preparation(NamedTuple):
    """What a worker does once, before the first chunk of a pool."""

    pool: str
    """Tells one pool from another, whose initializers may be the same."""
    native_threads: int | None
    path: tuple[str, ...]
    """Where our modules are, as far as they are there too."""
    settings: WorkerSettings | None
    """None on a cluster that others use too, whose logging and streams stay as they are."""
    initializer: bytes | None
    """Packed."""


def preparation(
    pool: str,
    *,
    native_threads: int | None = None,
    ours: bool,
    initializer: Callable[[], object] | None = None,
    by_value: Iterable[ModuleType] = (),
) -> bytes:
    """A `Preparation` for `run_there`. ``ours``: the cluster is for this pool alone."""
    settings = worker_settings() if ours else None
    path = tuple(filter(None, sys.path)) if ours else ()
    calling = pack(_Calling(initializer), by_value) if initializer is not None else None
    return pickle.dumps(Preparation(pool, native_threads, path, settings, calling))


def interpreter(_ticket: int) -> tuple[int, int]:
    """Whose bytecode a worker reads: the version of its Python."""
    return sys.version_info[:2]


def run_there(prepare: bytes, function: bytes, payload: Buffer | Sequence[Buffer], start: int = 0) -> Parts:
    """Runs a chunk on a worker of a cluster; never raises because of the task.

    ``prepare``: what `preparation` gave. ``function``: what `pack` gave. ``payload``: what `enclose` gave, or
    the parts of it. ``start``: index of the first item. The answer, in parts, is for `unpack`.
    """
    failed = _prepared(prepare)
    return failed or ran(function, whole(payload), start)


def run_bare(prepare: bytes, function: bytes, items: Sequence[Any], start: int = 0) -> Any:
    """`run_there` of `Bare` items, for an engine that pickles what it carries.

    The answer is for `open_answer`.
    """
    from ._performing import perform_here  # which few workers need

    failed = _prepared(prepare)
    return (False, b"".join(failed)) if failed else perform_here(function, items, start)


class _Calling:
    """An initializer as the function of one item."""

    def __init__(self, initializer: Callable[[], object]) -> None:
        self._initializer = initializer

    def __call__(self, _item: None) -> None:
        self._initializer()


_POOLS = 8
"""Pools that a worker remembers; others have long been closed."""
_answers: dict[bytes, Parts] = {}
_once = open_after_fork(threading.Lock())


def _prepared(prepare: bytes) -> Parts:
    """Prepares this worker, once; nothing, or the answer that tells its initializer's error."""
    answer = _answers.get(prepare)
    if answer is None:
        with _once:
            answer = _answers.get(prepare)
            if answer is None:
                told: Preparation = pickle.loads(prepare)
                sys.path += [entry for entry in told.path if entry not in sys.path]
                join_cluster(told.native_threads, told.settings)
                answer = _called(told.initializer)
                while len(_answers) >= _POOLS:
                    del _answers[next(iter(_answers))]
                _answers[prepare] = answer
    return answer


def _called(initializer: bytes | None) -> Parts:
    if initializer is None:
        return Parts()
    _, failure = attempted(initializer, [None])
    return failure or Parts()
