"""Errors of tasks: the first of a chunk, and their way to the parent."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import TaskExit, TaskFailed
from ._pickling import dumps, loads

__all__ = ["Caught", "Failure", "RemoteTraceback", "catch", "release", "task_error", "unstopped"]


_PACKAGE = __name__.partition(".")[0]


# Not as a class: typing compiles the annotations of one, and Python's compiler takes 0.23 MB of every worker.
Failure = NamedTuple("Failure", [("position", int), ("error", BaseException)])  # noqa: UP014  # see above
"""The first error of a chunk: position within the chunk, and the exception."""


def unstopped(exc: RuntimeError) -> BaseException:
    """The StopIteration of a task, of which a generator made this RuntimeError (PEP 479); else itself."""
    cause, last = exc.__cause__, _last(exc)
    ours = last is None or str(last.tb_frame.f_globals.get("__package__")).startswith(_PACKAGE)
    return cause if isinstance(cause, StopIteration) and ours else exc  # else a generator of the task's


def task_error(exc: BaseException) -> BaseException:
    """The exception as the parent shall see it: SystemExit and KeyboardInterrupt of a task as `TaskExit`.

    Re-raises a KeyboardInterrupt that is the user's Ctrl-C: one in the main thread that no ``raise``
    statement made.
    """
    if not isinstance(exc, (SystemExit, KeyboardInterrupt)):
        return exc
    if isinstance(exc, KeyboardInterrupt) and _from_keyboard(exc):
        raise exc
    error = TaskExit(f"a task raised {exc!r}")
    error.__cause__ = exc
    return error


def _from_keyboard(exc: BaseException) -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        return False
    import opcode  # which workers need seldom

    last = _last(exc)
    return last is None or last.tb_frame.f_code.co_code[last.tb_lasti] != opcode.opmap["RAISE_VARARGS"]


def _entries(exc: BaseException) -> Iterator[TracebackType]:
    """The entries of its traceback, the innermost last."""
    entry = exc.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _last(exc: BaseException) -> TracebackType | None:
    last = exc.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last


class RemoteTraceback(Exception):  # it is the cause shown under an error, not an error
    """The traceback that an exception had in its worker, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


Caught = NamedTuple(  # noqa: UP014  # see above
    "Caught", [("data", bytes | None), ("text", str), ("trace", str)]
)
"""An exception on its way to the parent; ``data`` is None where only its text can travel."""


def catch(exc: BaseException, *, cause: BaseException | None = None, where: str = "") -> Caught:
    """An exception made ready to travel, after a trial round trip.

    ``cause``: whose traceback to send instead of its own. ``where``: stands above the traceback.
    """
    shown = cause or exc
    if isinstance(shown, MemoryError):
        _clear(shown)  # what the task had: to tell of it takes memory too
    trace = where + _trace(shown)
    for form in (_whole, _parts):
        with contextlib.suppress(BaseException):
            data = form(exc)
            if _same(release(Caught(data, "", "")), exc):
                return Caught(data, "", trace)
    return Caught(None, _told(exc), trace)


def release(caught: Caught) -> BaseException:
    """The exception again, in the parent, the worker's traceback being its ``__cause__``."""
    error: BaseException = TaskFailed(caught.text)
    if caught.data is not None:
        try:
            made = loads(caught.data)
            error = made if isinstance(made, BaseException) else _rebuilt(*made)
        except Exception as exc:  # noqa: BLE001  # a user's class may raise anything
            error = TaskFailed(f"an exception cannot be loaded in the parent ({type(exc).__name__}: {exc})")
    error.__cause__ = RemoteTraceback(caught.trace)
    return error


def _clear(exc: BaseException) -> None:
    for entry in _entries(exc):
        with contextlib.suppress(RuntimeError):  # it still runs
            entry.tb_frame.clear()


def _trace(exc: BaseException) -> str:
    try:
        import traceback  # which workers need seldom: on Python 3.14 it takes 2 MB, by all that it imports
    except (ImportError, OSError, MemoryError):  # the task has left no file to open, say
        called = (
            f'  File "{entry.tb_frame.f_code.co_filename}", line {entry.tb_lineno}, '
            f"in {entry.tb_frame.f_code.co_name}\n"
            for entry in _entries(exc)
        )
        return f"Traceback (most recent call last):\n{''.join(called)}{type(exc).__name__}\n"
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def _whole(exc: BaseException) -> bytes:
    return dumps(exc)


def _parts(exc: BaseException) -> bytes:
    return dumps((type(exc), exc.args, exc.__dict__))


def _rebuilt(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _same(made: BaseException, exc: BaseException) -> bool:
    return type(made) is type(exc) and len(made.args) == len(exc.args) and str(made) == str(exc)


def _told(exc: BaseException) -> str:
    try:
        return f"{type(exc).__name__} that cannot be sent to the parent: {exc!r}"
    except Exception:  # noqa: BLE001  # a broken __repr__ must not hide the error
        return f"{type(exc).__name__} that cannot be sent to the parent"
