"""Worker processes: how they start, which are ours, and how they end."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from ..errors import WorkerLost

__all__ = [
    "Aside",
    "Started",
    "adopting",
    "bounded",
    "descendants",
    "end",
    "end_of",
    "fate",
    "hidden_main",
    "kill_group",
    "lost",
    "quiet_fork",
    "runs",
]

_END_SECONDS = 5.0
_FATE_SECONDS = 2.0


@contextlib.contextmanager
def hidden_main() -> Iterator[None]:
    """Starts spawned workers without importing our main module again.

    They need nothing of it, since functions travel by value; under pytest it cost 57 to 78 ms a worker, and
    11 to 32 without (our measurement). Only the main thread may do this, lest another one misses the names.
    """
    main = sys.modules["__main__"]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


@contextlib.contextmanager
def quiet_fork() -> Iterator[None]:
    """Forks without Python's warning (3.12 and later) that this process has other threads.

    Whoever names fork has chosen it, other pytest plugins keep threads that sleep, and we start ours later.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


class Started:
    """Processes that began since this was made."""

    def __init__(self) -> None:
        self._before = set(multiprocessing.active_children())

    def processes(self) -> list[BaseProcess]:
        """Those still alive."""
        return [process for process in multiprocessing.active_children() if process not in self._before]


def end(processes: Iterable[BaseProcess]) -> None:
    """Kills processes with all that they started, and reaps them.

    What a worker started is found as its descendants and, where the worker has ended before, by the process
    group that each worker makes for itself.
    """
    targets = [process for process in processes if process.pid]
    groups = [process.pid for process in targets if process.pid]
    victims = [pid for process in targets if process.is_alive() for pid in _with_descendants(process)]
    for group in groups:
        kill_group(group)
    for pid in victims:
        _kill(pid)
    for process in targets:
        process.join(_END_SECONDS)
    for group in groups:
        _reap_group(group)


def _with_descendants(process: BaseProcess) -> list[int]:
    pid = process.pid or 0
    return [pid, *descendants(pid)]


def end_of(process: BaseProcess) -> tuple[int, bool]:
    """A descriptor that becomes readable when the process has ended, and whether the caller must close it.

    multiprocessing's sentinel is a pipe that the children of a task hold open too, and workers forked later.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # some builds of Python lack it (conda's)
            return os.pidfd_open(process.pid or 0), True
    return int(process.sentinel), False


def kill_group(group: int) -> None:
    """Kills a process group that is not ours."""
    if sys.platform != "win32" and group and group != os.getpgrp():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _reap_group(group: int) -> None:
    """Reaps orphans of that process group that `adopting` made children of ours."""
    if sys.platform == "win32":
        return
    limit = time.monotonic() + _FATE_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < limit:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.001)


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Makes orphans that a worker leaves children of ours meanwhile, so that `end` can reap them (Linux)."""
    global _adopters
    with _adopters_lock:
        _adopters += 1
        if _adopters == 1:
            _set_subreaper(True)
    try:
        yield
    finally:
        with _adopters_lock:
            _adopters -= 1
            if not _adopters:
                _set_subreaper(False)


_adopters = 0
_adopters_lock = threading.Lock()
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_STAT_BYTES = 256
"""Beyond the state of a process in its ``stat``: the name before it has 64 bytes at most (proc(5))."""


def _set_subreaper(on: bool) -> None:
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, int(on))


@functools.cache
def _prctl() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        found: Callable[..., int] = ctypes.CDLL(None).prctl
        return found
    return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # Windows has no SIGKILL; there, SIGTERM is TerminateProcess, which nothing can refuse.
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def descendants(pid: int) -> list[int]:
    """Process ids of its children and theirs; empty where the system has no /proc."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found + [grandchild for child in found for grandchild in descendants(child)]


def bounded(action: Callable[[], object], seconds: float = _END_SECONDS) -> bool:
    """Runs what may hang in a thread of its own; whether it ended in time."""
    return Aside(action).ended(seconds)


class Aside:
    """Runs what may hang in a thread of its own, which can be waited for more than once."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=action, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # Python 3.12 and later start none once the interpreter is ending
            action()

    def ended(self, seconds: float = _END_SECONDS) -> bool:
        """Whether it has ended, within that time from now."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()


def runs(pid: int) -> bool:
    """Whether it has not ended; a process that is not our child may wait for another to reap it."""
    # Not by pathlib, with which a map on an engine took 0.1 ms more for each two workers.
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return not Path("/proc/self").exists() and _answers(pid)
    try:
        return os.read(file, _STAT_BYTES).rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:  # just now
        return False
    finally:
        os.close(file)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def lost(processes: Iterable[BaseProcess]) -> WorkerLost:
    """The error that says which worker ended, and how."""
    processes = tuple(processes)
    limit = time.monotonic() + _FATE_SECONDS
    while True:
        ended = [process for process in processes if process.exitcode is not None]
        # The executor itself ends the others with SIGTERM as soon as one is lost, and a process may be
        # noticed a moment before its exit code is there.
        culprits = [process for process in ended if process.exitcode != -signal.SIGTERM]
        if culprits or len(ended) == len(processes) or time.monotonic() > limit:
            break
        time.sleep(0.002)
    told = "; ".join(f"worker process {p.pid} {fate(p.exitcode)}" for p in culprits or ended)
    return WorkerLost(told or "a worker process ended, it is not known which")


def fate(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is None or exitcode >= 0:
        return f"ended with exit code {exitcode}"
    try:
        return f"was ended by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was ended by signal {-exitcode}"
