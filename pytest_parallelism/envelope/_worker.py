"""What a worker process does before its first task."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ._settings import WorkerSettings, take_over
from ._speech import listen

__all__ = [
    "NATIVE_THREAD_VARIABLES",
    "join_cluster",
    "limit_native_threads",
    "preparing",
    "start_worker",
    "works",
]

NATIVE_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""By these, native libraries are told how many threads to use (the variables of joblib's workers too)."""

_NATIVE_LIBRARIES = ("numpy", "scipy", "sklearn", "torch")
_PR_SET_PDEATHSIG = 1  # prctl(2)

_works = False
_native_threads: int | None = None
_limited: tuple[bool, ...] | None = None


def start_worker(
    native_threads: int | None = None, tied: bool = False, settings: WorkerSettings | None = None
) -> None:
    """Initializer of a worker process.

    On POSIX, the worker leads a process group of its own, so that it can be killed with all that its tasks
    started. It leaves Ctrl-C to the parent, restores SIGTERM (a forked worker inherits handlers), keeps what
    it inherited out of garbage collection, ends when the parent is gone, and limits native threads unless
    the environment already says something about them.

    ``tied``: the thread that starts it lives as long as the parent, so that Linux can end the worker with it
    (prctl(2) speaks of threads); otherwise Linux watches multiprocessing's line to the parent, which a
    process that the parent forks holds open too; elsewhere a thread waits for its end. ``settings``: what
    `worker_settings` gave in the parent; from then on, what tasks log, warn and print goes to the parent with
    the answers of `run`. None leaves logging, warnings and streams alone.
    """
    with contextlib.suppress(OSError, AttributeError):  # it leads a session; Windows has no groups
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not ((tied and _tie_to_parent()) or _watched_by_kernel()):
        threading.Thread(target=_end_with_parent, daemon=True, name="parent-watch").start()
    join_cluster(native_threads, settings)


def join_cluster(native_threads: int | None = None, settings: WorkerSettings | None = None) -> None:
    """Makes a process that an engine has started a worker of ours.

    How it starts, meets signals and ends is the engine's. ``settings``: see `start_worker`; None where others
    use the process too.
    """
    global _native_threads, _works
    _works = True
    gc.freeze()
    if native_threads is not None:
        _native_threads = native_threads
        for name in NATIVE_THREAD_VARIABLES:
            os.environ.setdefault(name, str(native_threads))
    if settings is not None:
        take_over(settings)
        listen()


def works() -> bool:
    """Whether this process is a worker."""
    return _works


def _tie_to_parent() -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    return False


def _watched_by_kernel() -> bool:
    """Whether the end of the line to the parent kills this process (fcntl(2): F_SETSIG), whatever it does.

    A thread could not, while a task that is written in C keeps the GIL, and takes 0.1 MB.
    """
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return False
    try:
        import fcntl

        line = parent.sentinel
        fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    except (OSError, AttributeError):
        return False
    ended = select.poll()
    ended.register(line, select.POLLIN)
    if ended.poll(0):  # before we asked
        os._exit(1)
    return True


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def limit_native_threads() -> None:
    """Limits libraries that were loaded before the variables were set; called when a function is loaded."""
    global _limited
    loaded = _loaded()
    if _native_threads is not None and loaded != _limited:
        _limited = loaded
        if controller := _controller():
            controller.limit(limits=_native_threads)


def preparing(
    native_threads: int | None = None, initializer: Callable[[], object] | None = None
) -> Callable[[], None]:
    """What each thread that will run tasks has to call first; made before they start.

    OpenMP has a number of threads for each thread that uses it (``omp_set_num_threads``, OpenMP 5.2, 18.2.1),
    so that the limit which the main thread has set is not theirs. ``native_threads``: None where
    `start_worker` has got it. ``initializer``: the user's, called last.
    """
    limit = _native_threads if native_threads is None else native_threads
    controller = _controller() if limit is not None else None

    def prepare() -> None:
        if controller is not None:
            controller.limit(limits=limit)
        if initializer is not None:
            initializer()

    return prepare


def _loaded() -> tuple[bool, ...]:
    return tuple(name in sys.modules for name in _NATIVE_LIBRARIES)


def _controller() -> Any:
    """Of all native libraries that are loaded, whose search takes milliseconds."""
    if any(_loaded()):
        with contextlib.suppress(ImportError):
            from threadpoolctl import ThreadpoolController

            return ThreadpoolController()
    return None
