"""Functions and items as bytes to a worker, results as bytes back."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from ..errors import NotTransferable
from . import _speech
from ._attempting import attempt
from ._errors import Caught, Failure, catch, release, task_error
from ._locks import open_after_fork
from ._parts import Parts, Reading, whole
from ._pickling import dump, dumps, loads, plain
from ._shipped import came, went
from ._worker import limit_native_threads
from ._wrappers import named

__all__ = ["enclose", "enclosed", "pack", "ran", "run", "run_async", "to_send", "unpack"]

_CACHED_FUNCTIONS = 8
_RESULTS, _MIXED, _ERROR, _SAID = range(4)
"""What an answer holds: results, results with exceptions among them, an error, what was said and answer."""
_Function = Callable[[Any], Any]
Buffer = bytes | bytearray | memoryview
Payload = Buffer | Reading | Sequence[Any]
"""Items as `enclose` gives them, in parts, or as they are."""
_BUFFERS = (bytes, bytearray, memoryview)


def pack(fn: Callable[..., Any], by_value: Iterable[ModuleType] = ()) -> bytes:
    """The function as bytes, by value where a fresh interpreter could not import it.

    ``by_value``: modules that go by value in any case. Raises `NotTransferable`.
    """
    try:
        blob = dumps(fn, by_value)
    except Exception as exc:
        raise NotTransferable(
            f"{named(fn)} cannot be sent to a worker ({_brief(exc)}): "
            f"create what it needs inside the function, or pass it with the items"
        ) from exc
    went(len(blob))
    return blob


def enclose(items: Sequence[Any], by_value: Iterable[ModuleType] = (), start: int = 0) -> bytes:
    """Items as bytes; ``start`` is the index of the first one, for the message of `NotTransferable`."""
    return b"".join(enclosed(items, by_value, start))


def enclosed(items: Sequence[Any], by_value: Iterable[ModuleType] = (), start: int = 0) -> Parts:
    """`enclose` in parts, among which large items of type bytes are the very items."""
    try:
        sent = items if type(items) is list else list(items)
        parts = plain(sent) or dump(sent, by_value)
    except Exception as exc:
        index, item = _guilty(items, functools.partial(dumps, by_value=by_value))
        raise NotTransferable(
            f"item {start + index} ({type(item).__name__}) cannot be sent to a worker ({_brief(exc)})"
        ) from exc
    went(parts.size)
    return parts


def unpack(data: Buffer | Sequence[Buffer]) -> list[Any]:
    """Results of a `run`, or raises its first error, the worker's traceback being the ``__cause__``.

    ``data``: the answer, or the parts of it. What tasks said in the worker is said again first: logged,
    warned and written to ``sys.stdout`` and ``sys.stderr``.
    """
    answer = whole(data)
    came(len(answer))
    return _opened(answer)


def _opened(data: Buffer | Reading) -> list[Any]:
    try:
        kind, value = data.loads() if isinstance(data, Reading) else loads(data)
    except Exception as exc:
        raise NotTransferable(f"a result cannot be loaded in the parent ({_brief(exc)})") from exc
    if kind == _SAID:
        entries, answer = value
        _speech.replay(entries)
        return _opened(answer)
    if kind == _ERROR:
        raise release(value)
    if kind == _MIXED:
        return [release(result) if isinstance(result, Caught) else result for result in value]
    results: list[Any] = value
    return results


def _guilty(values: Sequence[Any], dump: Callable[[Any], bytes]) -> tuple[int, Any]:
    for index, value in enumerate(values):
        try:
            dump(value)
        except BaseException:  # noqa: BLE001  # whatever a user's __reduce__ raises
            return index, value
    return 0, values


def _brief(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"


_functions: dict[bytes, _Function] = {}
_needs_cloudpickle: set[bytes] = set()


def run(blob: bytes, payload: Payload, start: int = 0) -> bytes:
    """Runs a packed function over a chunk in a worker; never raises because of the task.

    ``payload``: what `enclose` gave, or the items themselves. ``start``: index of the first item. The answer
    takes along what tasks of this worker have said since the last one.
    """
    return b"".join(ran(blob, payload, start))


def ran(blob: bytes, payload: Payload, start: int = 0) -> Parts:
    """`run`, its answer in parts."""
    return to_send(blob, attempted(blob, payload, start), start)


def to_send(blob: bytes, outcome: tuple[list[Any], Parts | None], start: int) -> Parts:
    """What `attempted` gave, for `unpack`."""
    results, failure = outcome
    answer = failure or answered(blob, results, start)[1]
    return Parts((telling(answer),)) if _speech.said else answer


def telling(answer: Parts) -> bytes:
    """An answer that takes along what was said."""
    return b"".join(_wire(_SAID, (_speech.take(), b"".join(answer))))


def attempted(blob: bytes, payload: Payload, start: int = 0) -> tuple[list[Any], Parts | None]:
    """Results of a `run` as they are, or its first error for `unpack`.

    Callers keep neither in a variable: the traceback of an error, which may be among the results too, holds
    their frames, and so all that the task had would stay until Python looks for garbage.
    """
    try:
        fn, items = _task(blob, payload)
    except NotTransferable as exc:
        return [], _wire(_ERROR, catch(exc, cause=exc.__cause__))
    return _told(attempt(fn, items), start)


def _told(outcome: tuple[list[Any], Failure | None], start: int) -> tuple[list[Any], Parts | None]:
    results, failure = outcome
    return (results, None) if failure is None else ([], _failed(failure, start))


async def run_async(blob: bytes, payload: Payload, start: int = 0) -> Parts:
    """`ran` of a coroutine function, on the loop that runs here."""
    try:
        fn, items = _task(blob, payload)
    except NotTransferable as exc:
        return _wire(_ERROR, catch(exc, cause=exc.__cause__))
    results: list[Any] = []
    try:
        for item in items:
            results.append(await fn(item))  # its length tells which item failed
    except BaseException as exc:  # noqa: BLE001  # the parent raises it
        answer = _failed(Failure(len(results), task_error(exc)), start)
    else:
        answer = answered(blob, results, start)[1]
    return Parts((telling(answer),)) if _speech.said else answer


def _task(blob: bytes, payload: Payload) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    try:
        if isinstance(payload, Reading):
            return _function(blob), payload.loads()
        return _function(blob), loads(payload) if isinstance(payload, _BUFFERS) else payload
    except BaseException as exc:
        raise NotTransferable(f"a worker cannot load the task ({_brief(exc)})") from exc


def _failed(failure: Failure, start: int) -> Parts:
    where = f"in process {os.getpid()}, item {start + failure.position}:\n"
    return _wire(_ERROR, catch(failure.error, where=where))


def answered(blob: bytes, results: Sequence[Any], start: int = 0) -> tuple[bool, Parts]:
    """Results for `unpack`; False where these are the error that they cannot be sent."""
    sent = results
    try:
        parts = plain((_RESULTS, results))
        if parts is None:
            sent = _without_errors(results)
            parts = _send(blob, (_RESULTS if sent is results else _MIXED, sent))
        return True, parts
    except BaseException as exc:  # noqa: BLE001  # a user's __reduce__ may raise anything
        index, result = _guilty(sent, dumps)
        text = f"the result of item {start + index} ({type(result).__name__}) cannot be sent back"
        return False, _wire(_ERROR, catch(NotTransferable(f"{text} ({_brief(exc)})")))


def _without_errors(results: Sequence[Any]) -> Sequence[Any]:
    """The results themselves, or anew with what `release` makes an exception of again."""
    try:
        kinds = set(map(type, results))
    except Exception:  # noqa: BLE001  # a metaclass may forbid to hash its classes
        kinds = {BaseException}
    if not any(issubclass(kind, BaseException) for kind in kinds):
        return results
    return [catch(result) if isinstance(result, BaseException) else result for result in results]


def _wire(kind: int, value: Any) -> Parts:
    return Parts((pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL),))


def _send(blob: bytes, answer: tuple[int, Sequence[Any]]) -> Parts:
    if blob not in _needs_cloudpickle:
        with contextlib.suppress(Exception):
            parts = Parts()
            pickle.Pickler(parts, pickle.HIGHEST_PROTOCOL).dump(answer)
            return parts
        _needs_cloudpickle.add(blob)
    return dump(answer)


def _function(blob: bytes) -> _Function:
    fn = _functions.get(blob)
    if fn is None:
        fn = _loaded(blob)
        while len(_functions) >= _CACHED_FUNCTIONS:
            _needs_cloudpickle.discard(oldest := next(iter(_functions)))
            del _functions[oldest]
        _functions[blob] = fn
        limit_native_threads()
    return fn


_loading = open_after_fork(threading.Lock())


def _loaded(blob: bytes) -> _Function:
    """A fresh interpreter imports here what its parent has long imported: such warnings are no task's."""
    with _loading, warnings.catch_warnings():  # which threads cannot enter at once
        warnings.simplefilter("ignore")
        fn: _Function = loads(blob)
        return fn
