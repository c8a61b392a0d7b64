"""What tasks say beside their results: log records, warnings and text, from a worker to its parent.

A worker that listens keeps all of it, and its next answer takes it along; the parent says it again, so that
it reaches whatever listens there (pytest's caplog, recwarn and capture among others). Several threads of a
worker may speak and answer at once. A child that a task forks speaks for itself.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing import util
from typing import Any, NamedTuple, TextIO

from ._loading import when_loaded
from ._pickling import dumps, loads

__all__ = [
    "Entry",
    "Telling",
    "arrived",
    "heard",
    "listen",
    "packed",
    "portable",
    "replay",
    "said",
    "take",
]

Entry = tuple[str, bytes]
"""What kind it is, and the text (UTF-8) or pickle of it."""

_SCALARS = frozenset({bool, bytes, complex, float, int, str, type(None)})
_HIDDEN = "__pytest_parallelism_said__"

said: deque[Entry] = deque()
"""What was said since the last answer: empty in a silent worker and in every other process."""


def take() -> list[Entry]:
    """What was said, for the answer that takes it along."""
    taken: list[Entry] = []
    with contextlib.suppress(IndexError):  # another thread's answer was faster
        for _ in range(len(said)):
            taken.append(said.popleft())
    return taken


def replay(entries: Iterable[Entry]) -> None:
    """Says it again in this process. Raises what a listener raises, such as a warning made an error."""
    for kind, data in entries:
        _AGAIN[kind](data)


# ---- in the worker


class _Listening:
    """While what this process says is kept for its parent."""

    def __init__(self) -> None:
        self._before = sys.stdout, sys.stderr, warnings.showwarning
        self._mute_loggers: Callable[[], None] | None = None
        warnings.showwarning = _keep_warning
        sys.stdout, sys.stderr = _stream("stdout", 1), _stream("stderr", 2)

    def keep_records(self) -> None:
        """Called once there is logging."""
        from ._logs import keep

        if _listening is self:
            self._mute_loggers = keep()

    def undo(self) -> None:
        """All is as before."""
        sys.stdout, sys.stderr, warnings.showwarning = self._before
        if self._mute_loggers is not None:
            self._mute_loggers()


_listening: _Listening | None = None


def listen() -> None:
    """From now on, what this process logs, warns and prints is kept for its parent."""
    global _listening
    _mute()
    _listening = _Listening()
    when_loaded("logging", _listening.keep_records)
    util.Finalize(None, _say_the_rest, exitpriority=0)


def _mute() -> None:
    """Nothing is kept any more."""
    global _listening
    said.clear()
    if _listening is not None:
        before, _listening = _listening, None
        before.undo()


def _say_the_rest() -> None:
    """No answer will take along what threads said after the last one: it goes where it would have gone."""
    rest = take()
    _mute()
    with contextlib.suppress(Exception):
        replay(rest)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mute)


class _Pipe(io.BufferedIOBase):
    """The bytes under a text stream."""

    def __init__(self, kind: str, descriptor: int) -> None:
        self._kind = kind
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        said.append((self._kind, bytes(data)))
        return len(data)

    def fileno(self) -> int:
        """The inherited one: what a subprocess writes goes there."""
        return self._descriptor


def _stream(kind: str, descriptor: int) -> TextIO:
    pipe: Any = _Pipe(kind, descriptor)
    return io.TextIOWrapper(pipe, "utf-8", "backslashreplace", newline="", write_through=True)


def _keep_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  # the signature of warnings.showwarning
    line: str | None = None,  # noqa: ARG001  # the same
) -> None:
    builtin = next(base for base in category.__mro__ if base.__module__ == "builtins")
    said.append(("warning", packed((portable(message), builtin, filename, lineno))))


# ---- in the parent


def _log_again(data: bytes) -> None:
    from ._logs import again

    again(data)


def _warn_again(data: bytes) -> None:
    sent, builtin, filename, lineno = loads(data)
    message = arrived(sent)
    category = type(message) if isinstance(message, Warning) else builtin
    # With its module, the parent's filters see it as they see a warning of the sequential rounds.
    module = _names_of(filename)
    registry = module.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, filename, lineno, module.get("__name__"), registry)


def _names_of(filename: str) -> dict[str, Any]:
    for module in tuple(sys.modules.values()):
        names: dict[str, Any] = getattr(module, "__dict__", {})  # a lazy module would load for more
        if names.get("__file__") == filename:
            return names
    return {}


def _write_again(name: str, data: bytes) -> None:
    stream: TextIO | None = getattr(sys, name)
    if stream is not None:
        stream.write(data.decode("utf-8", "backslashreplace"))


_AGAIN: dict[str, Callable[[bytes], None]] = {
    "log": _log_again,
    "warning": _warn_again,
    "stdout": partial(_write_again, "stdout"),
    "stderr": partial(_write_again, "stderr"),
}


# ---- values that may refuse to travel


_Sent = NamedTuple("_Sent", [("data", bytes | None), ("text", str)])  # noqa: UP014  # see `_errors`


def portable(value: Any) -> Any:
    """The value itself where any pickle can carry it, else its bytes, and a text for where these fail."""
    if type(value) in _SCALARS:
        return value
    text = str(value) if isinstance(value, Warning) else repr(value)
    with contextlib.suppress(Exception):
        return _Sent(dumps(value), text)
    return _Sent(None, text)


def arrived(value: Any) -> Any:
    """What `portable` gave in the worker."""
    if not isinstance(value, _Sent):
        return value
    if value.data is not None:
        with contextlib.suppress(Exception):
            return loads(value.data)
    return value.text


def packed(value: Any) -> bytes:
    """As bytes, what is portable."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


# ---- calls whose answers are not ours


class Telling:
    """A call without arguments whose answer, made and sent by a library, takes along what was said.

    `heard` opens such answers in the parent.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def __call__(self) -> Any:
        """The result of the call; its exception takes along what was said too."""
        try:
            result = self._call()
        except BaseException as exc:
            if said:
                with contextlib.suppress(Exception):  # a class may refuse attributes
                    BaseException.__setattr__(exc, _HIDDEN, take())
            raise
        return _Told(take(), result) if said else result


_Told = NamedTuple("_Told", [("entries", list[Entry]), ("result", Any)])  # noqa: UP014  # see `_errors`


def heard(get: Callable[[], Any]) -> Any:
    """What ``get`` gives or raises, once all that came along with it was said again."""
    try:
        answer = get()
    except BaseException as exc:
        replay(getattr(exc, "__dict__", {}).pop(_HIDDEN, ()))
        raise
    if type(answer) is not _Told:
        return answer
    replay(answer.entries)
    return answer.result
