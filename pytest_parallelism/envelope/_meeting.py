"""The proof that N workers run at once: each announces itself and waits for all others."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import NotTransferable, WorkersMissing
from ._wrappers import named

__all__ = ["Seen", "rendezvous"]

_POLL_SECONDS = 0.001
_FAILED = "failed"
Initializer = Callable[[], object]


Seen = NamedTuple("Seen", [("pid", int), ("thread", int), ("present", int)])  # noqa: UP014  # see `_errors`
"""A worker at a meeting: its process and thread, and how many it saw there."""


def rendezvous(
    run_all: Callable[[Callable[[int], Seen], Sequence[int]], Sequence[Any]],
    workers: int,
    *,
    timeout: float,
    noun: str = "workers",
    processes: bool = True,
    by_files: bool | None = None,
    initializer: Initializer | None = None,
) -> tuple[Seen, ...]:
    """Proves that ``workers`` workers run at once, and says which.

    ``run_all(fn, tickets)`` runs ``fn`` of every ticket, one ticket a worker (a pool's ``map`` with
    ``chunk_size=1``). ``timeout``: seconds in which they must meet. ``processes``: each must be a process
    other than this one; otherwise a thread other than this one. ``by_files``: they share no objects, and meet
    in a temporary folder (by default, processes do). ``initializer``: called by each of them
    when it comes. Raises `WorkersMissing`, and what the initializer raises.
    """
    with contextlib.ExitStack() as stack:
        meet: Callable[[int], Seen]
        if processes if by_files is None else by_files:
            from ._folders import owned_folder  # only here: workers load this module, too

            folder = owned_folder()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            meet = functools.partial(_meet_in_folder, folder, workers, timeout, initializer)
        else:
            meet = functools.partial(_meet_at, threading.Barrier(workers), timeout, initializer)
        try:
            seen = tuple(run_all(meet, range(workers)))
        except NotTransferable as exc:
            said = str(exc).replace(_meet_in_folder.__name__, f"initializer= {named(initializer)}")
            raise NotTransferable(said) from exc.__cause__
    here = os.getpid() if processes else threading.get_ident()
    found = {worker.pid if processes else worker.thread for worker in seen}
    met = min((worker.present for worker in seen), default=0)
    if here in found:
        raise WorkersMissing(f"tasks ran in the parent instead of {workers} {noun} of their own")
    if min(met, len(found)) < workers:
        raise WorkersMissing(
            f"only {min(met, len(found))} of {workers} {noun} ran at once within {timeout:g} s"
        )
    return seen


def _meet_in_folder(
    folder: str, expected: int, timeout: float, initializer: Initializer | None, ticket: int
) -> Seen:
    end = time.monotonic() + timeout
    try:
        if initializer is not None:
            initializer()
    except BaseException:
        _announce(folder, _FAILED)  # or the others would wait for this one
        raise
    _announce(folder, str(ticket))
    present = 0
    while present < expected and time.monotonic() < end:
        came = os.listdir(folder)  # noqa: PTH208  # workers poll it: no object per entry
        if _FAILED in came:
            return Seen(os.getpid(), threading.get_ident(), 0)
        present = len(came)
        if present < expected:
            time.sleep(_POLL_SECONDS)
    return Seen(os.getpid(), threading.get_ident(), present)


def _announce(folder: str, name: str) -> None:
    # Not by pathlib, which takes 0.4 MB of every worker.
    os.close(os.open(f"{folder}{os.sep}{name}", os.O_CREAT | os.O_WRONLY, 0o600))


def _meet_at(
    barrier: threading.Barrier, timeout: float, initializer: Initializer | None, _ticket: int
) -> Seen:
    try:
        if initializer is not None:
            initializer()
    except BaseException:
        barrier.abort()
        raise
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait(timeout)
        return Seen(os.getpid(), threading.get_ident(), barrier.parties)
    return Seen(os.getpid(), threading.get_ident(), 0)
