"""What makes a function heavy to send."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ._pickling import dumps
from ._wrappers import Wrapper, named

__all__ = ["drag"]

DRAG_LIMIT = 1_000_000
"""Bytes of a packed function from which on it is worth a warning (about 2 ms a send by our measurement)."""

_NAMED_SHARE = 0.05
_NAMED_PARTS = 3


def drag(fn: Callable[..., Any], by_value: Iterable[ModuleType] = ()) -> str | None:
    """One sentence that names what makes a packed function exceed 1 MB, largest first.

    None where it is lighter, and where it cannot be packed at all: `pack` says why.
    """
    modules = tuple(by_value)
    size = _size(fn, modules)
    if size <= DRAG_LIMIT:
        return None
    parts = sorted(((_size(value, modules), text) for text, value in _parts(fn, set())), reverse=True)
    shown = [f"{text} ({part / 1e6:.1f} MB)" for part, text in parts if part >= _NAMED_SHARE * size]
    return (
        f"{named(fn)} drags {size / 1e6:.1f} MB to the workers with every chunk: "
        f"{', '.join(shown[:_NAMED_PARTS]) or 'many small objects'}; "
        f"load it inside the function, once a worker, or pass it with the items"
    )


def _size(value: Any, modules: tuple[ModuleType, ...]) -> int:
    try:
        return len(dumps(value, modules))
    except Exception:  # noqa: BLE001  # whatever a user's __reduce__ raises
        return 0


def _parts(fn: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(fn) in seen:
        return
    seen.add(id(fn))
    if isinstance(fn, Wrapper):
        yield from _parts(fn.fn, seen)
    elif isinstance(fn, functools.partial):
        yield from ((f"argument {index} of the partial", value) for index, value in enumerate(fn.args))
        yield from ((f"argument {name!r} of the partial", value) for name, value in fn.keywords.items())
        yield from _parts(fn.func, seen)
    elif isinstance(fn, MethodType):
        yield from _attributes(fn.__self__)
        yield from _parts(fn.__func__, seen)
    elif isinstance(fn, FunctionType):
        for text, value in _of_function(fn):
            if isinstance(value, (FunctionType, functools.partial)):
                yield from _parts(value, seen)
            else:
                yield text, value
    else:
        yield from _attributes(fn)


def _of_function(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    for name in sorted(_global_names(fn.__code__)):
        if name in fn.__globals__:
            yield f"the global {name!r}", fn.__globals__[name]
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield f"the closure variable {name!r}", cell.cell_contents
        except ValueError:  # an empty cell
            continue
    for value in fn.__defaults__ or ():
        yield f"a default of {fn.__name__}", value
    for name, value in (fn.__kwdefaults__ or {}).items():
        yield f"the default of {name!r}", value


def _global_names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*(_global_names(const) for const in inner))


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    for name, value in getattr(obj, "__dict__", {}).items():
        yield f"the attribute {name!r} of {type(obj).__name__}", value
