"""What keeps a library's pool from waiting for ever: its workers are watched, and its end is bounded.

Left to itself a multiprocessing.Pool replaces a lost worker and never answers what that one had; no library
notices the end of a worker whose task has left a child, which holds its pipes open; and
`Pool.terminate` waits for a lock that a killed worker held.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..workers import bounded, end, lost

__all__ = ["Watch", "ended", "in_main", "taken_over"]

_JOIN_SECONDS = 1.0

Fail = Callable[[BaseException], None]


class Watch:
    """A thread that notices the end of each process, and kills what its tasks have left in its group.

    ``fail`` is called with `WorkerLost` when the first one ends before `stop`; None where the library
    notices it, as soon as nobody holds the worker's pipes open. ``may_leave``: whether a process may end by
    itself, with exit code 0 (loky: after a long idle time).
    """

    def __init__(
        self, processes: Sequence[BaseProcess], fail: Fail | None = None, *, may_leave: bool = False
    ) -> None:
        self.processes = tuple(processes)
        self._fail = fail
        self._may_leave = may_leave
        ends = [(*_end_of(process), process) for process in self.processes]
        self._left = {descriptor: process for descriptor, _, process in ends}
        self._ours = [descriptor for descriptor, ours, _ in ends if ours]
        self._fallen = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="pool-watch")
        self._thread.start()

    def fallen(self) -> bool:
        """Whether a process has ended before `stop`, at this moment too; ``fail`` has been called then."""
        limit = time.monotonic() + _JOIN_SECONDS
        while not self._fallen and wait(left := list(self._left), 0) and time.monotonic() < limit:
            while left == list(self._left) and time.monotonic() < limit:
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
                _kill_group(process.pid or 0)
            self._tell(gone)
            for descriptor in ready:
                del self._left[descriptor]
        for descriptor in self._ours:
            os.close(descriptor)

    def _tell(self, gone: Sequence[BaseProcess]) -> None:
        if self._fallen or self._stopped:
            return
        if self._fail or self._may_leave:
            for process in gone:
                process.join(_JOIN_SECONDS)  # its exit code may come a moment later
            gone = [process for process in gone if process.exitcode != 0 or not self._may_leave]
        self._fallen = bool(gone) and not self._stopped
        if self._fallen and self._fail:
            self._fail(lost(gone))


def _end_of(process: BaseProcess) -> tuple[int, bool]:
    """A descriptor that becomes readable when the process has ended, and whether we must close it.

    multiprocessing's sentinel is a pipe that the children of a task hold open too.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(process.pid or 0), True
    return int(process.sentinel), False


def _kill_group(leader: int) -> None:
    if sys.platform != "win32" and leader and leader != os.getpgrp():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


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

    def finish() -> None:
        pool.close()
        pool.join()

    if not kill and bounded(finish, _JOIN_SECONDS):
        end(processes)  # what tasks left behind
        return
    end(processes)
    for lock in (pool._inqueue._rlock, pool._outqueue._wlock):
        with contextlib.suppress(ValueError, AssertionError):
            lock.release()  # a killed worker may have held it
    bounded(pool.terminate)


def in_main() -> bool:
    """Whether this is the main thread, which lives as long as the process."""
    return threading.current_thread() is threading.main_thread()
