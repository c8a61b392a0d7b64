"""An end for a block of code that hangs in this very thread."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

from .envelope import raise_in, take_back
from .errors import TaskTimeout

__all__ = ["limit"]

_AGAIN_SECONDS = 0.0005
_CONTEXTS = (__file__, contextlib.__file__)


class _Expired(BaseException):  # a BaseException, or tasks that catch errors would swallow it
    pass


def limit(seconds: float | None, sentence: str) -> AbstractContextManager[None]:
    """A block that ends after ``seconds`` in `TaskTimeout` with this sentence; None: no limit.

    In the main thread the system's timer (SIGALRM) does it, which interrupts waiting too. Where somebody
    uses that already (pytest-timeout does), in other threads and on Windows it is an exception set from
    another thread, which acts on the next line of Python: a wait has to come to its end first. C code that
    does not come back can be ended by neither.
    """
    if seconds is None:
        return nullcontext()
    return _turned(_by_signal(seconds) if _timer_is_free() else _by_thread(seconds), sentence)


@contextlib.contextmanager
def _turned(inner: AbstractContextManager[None], sentence: str) -> Iterator[None]:
    try:
        with inner:
            yield
    except _Expired as expired:
        raise TaskTimeout(sentence).with_traceback(expired.__traceback__) from None


def _timer_is_free() -> bool:
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


def _entering_or_leaving(frame: FrameType | None) -> bool:
    """Whether the thread is between the block and our ``try``, where nothing would catch the exception."""
    return frame is not None and frame.f_code.co_filename in _CONTEXTS


@contextlib.contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    inside = True

    def ring(_number: int, frame: FrameType | None) -> None:
        if inside and _entering_or_leaving(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        elif inside:
            raise _Expired

    signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            inside = False
    finally:  # a ring in the line above ends that line, never these
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@contextlib.contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    inside, rung = True, False
    lock = threading.Lock()
    thread = threading.get_ident()

    def ring() -> None:
        nonlocal rung
        with lock:
            if inside:
                rung = True
                raise_in(thread, _Expired)

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        try:
            yield
        finally:
            with lock:
                inside = False
    finally:
        timer.cancel()
        if rung:
            take_back(_Expired)
        timer.join()
