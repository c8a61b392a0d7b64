"""What keeps a library's pool from waiting for ever: its workers are watched, and its end is bounded.

Left to itself a multiprocessing.Pool replaces a lost worker and never answers what that one had; no library
notices the end of a worker whose task has left a child, which holds its pipes open; and
`Pool.terminate` waits for a lock that a killed worker held.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..workers import bounded, end, end_of, kill_group, lost

__all__ = ["Watch", "ended", "let_go", "sender_ended", "taken_over", "tied"]

_JOIN_SECONDS = 1.0

Fail = Callable[[BaseException], None]


class Watch:
    """A thread that notices the end of each process, and kills what its tasks have left in its group.

    ``fail`` is called with `WorkerLost` when the first one ends before `stop`; None where the library
    notices it, as soon as nobody holds the worker's pipes open, nor waits for the rest of what it was saying:
    so the others are ended, as the library does then, and ``let_go`` is called, which lets go of the parent's
    copies of their ends. ``may_leave``: whether a process may end by itself, with exit code 0 (loky: after a
    long idle time).
    """

    def __init__(
        self,
        processes: Sequence[BaseProcess],
        fail: Fail | None = None,
        *,
        let_go: Callable[[], object] | None = None,
        may_leave: bool = False,
    ) -> None:
        self.processes = tuple(processes)
        self._fail = fail
        self._let_go = let_go
        self._may_leave = may_leave
        ends = [(*end_of(process), process) for process in self.processes]
        self._left = {descriptor: process for descriptor, _, process in ends}
        self._ours = [descriptor for descriptor, ours, _ in ends if ours]
        self._fallen = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="pool-watch")
        self._thread.start()

    def fallen(self) -> bool:
        """Whether a process has ended before `stop`, at this moment too; ``fail`` has been called then."""
        while not self._fallen and self._thread.is_alive() and wait(list(self._left), 0):
            time.sleep(0.0005)  # the thread has not noticed it yet
        return self._fallen

    def stop(self) -> None:
        """From now on, the processes may end."""
        self._stopped = True

    def join(self) -> None:
        """Waits a second at most for the thread; the processes have ended."""
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while self._left:
            ready = [descriptor for descriptor in wait(list(self._left)) if isinstance(descriptor, int)]
            gone = [self._left[descriptor] for descriptor in ready]
            for process in gone:
                kill_group(process.pid or 0)
            self._tell(gone)
            for descriptor in ready:
                del self._left[descriptor]
        for descriptor in self._ours:
            os.close(descriptor)

    def _tell(self, gone: Sequence[BaseProcess]) -> None:
        if self._fallen or self._stopped:
            return
        if self._fail or self._may_leave:
            error = lost(gone)  # which waits for their exit codes
            gone = [process for process in gone if process.exitcode != 0 or not self._may_leave]
            if gone and not self._stopped and self._fail:
                self._fail(error)
        if gone and not self._stopped and not self._fail:
            for process in self.processes:
                process.terminate()
            if self._let_go:
                self._let_go()
        self._fallen = bool(gone) and not self._stopped  # last: who sees it relies on what ``fail`` did


def taken_over(pool: Any) -> tuple[BaseProcess, ...]:
    """The workers of a multiprocessing.Pool, which from now on neither reaps nor replaces them."""
    processes = tuple(pool._pool)
    pool._pool[:] = map(_Worker, processes)
    return processes


class _Worker:
    """Stands for a worker in the list of a pool: one that lives, and that cannot be waited for."""

    exitcode = None

    def __init__(self, process: BaseProcess) -> None:
        self.join = process.join


def ended(pool: Any, processes: Sequence[BaseProcess], *, kill: bool) -> None:
    """Ends the workers that were `taken_over`, and the pool's threads; kills the workers if it must."""
    pool._cache.clear()  # or its end would wait for answers that nobody wants
    finished = not kill and bounded(partial(_finish, pool), _JOIN_SECONDS)
    end(processes)  # and what tasks left behind
    if not finished:
        _cut_off(pool)
        bounded(pool.terminate)


def _finish(pool: Any) -> None:
    pool.close()
    pool.join()


def _cut_off(pool: Any) -> None:
    """Lets the pool's threads end, whatever its killed workers have left: held locks, halves of messages.

    From now on they read and write alone, so they need no lock; and each finds the end of its pipe, since
    nobody is left at the other side.
    """
    tasks, answers = pool._inqueue, pool._outqueue
    tasks._reader.close()
    tasks._reader = _Nothing()
    tasks._rlock = threading.Lock()
    answers.put = _LastWord(answers._writer)


class _Nothing:
    """Stands for the end of a pipe that is closed."""

    def poll(self) -> bool:
        """Whether something is there."""
        return False


class _LastWord:
    """Says the word by which a thread ends, and closes the pipe, should it stand behind half a message."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._lock = threading.Lock()

    def __call__(self, word: None) -> None:
        with self._lock, contextlib.suppress(OSError):  # it was said
            self._writer.send(word)
            self._writer.close()


def let_go(connection: Any) -> None:
    """Puts nothing in the place of our end of a pipe, so that a thread at the other finds the pipe's end.

    Not closed: the library may be about to do that, and the number may belong to another file by then.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    with contextlib.suppress(OSError):  # it was closed
        os.dup2(nothing, connection.fileno(), inheritable=False)
    os.close(nothing)


def sender_ended(queue: Any) -> None:
    """Ends the thread of a multiprocessing.Queue that may still send to workers, which have all ended."""
    let_go(queue._reader)
    if queue._thread is not None:
        queue._thread.join(_JOIN_SECONDS)


def tied(method: str) -> bool:
    """Whether a worker that this thread starts by that method can be tied to it (see `start_worker`).

    The main thread lives as long as the process. A fork server, which starts the worker itself, outlives the
    parent as long as one of its workers does.
    """
    return method != "forkserver" and threading.current_thread() is threading.main_thread()
