"""Frozen data as what strict JSON can hold, and back; nothing here knows what a record is."""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import UsageError

__all__ = ["plain", "read", "unreadable"]


def plain(value: Any, path: str) -> Any:
    """``value`` as dicts, lists and scalars; ``path`` is what errors call it.

    ValueError for a number that is not finite, TypeError for what JSON cannot hold.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value, path)
    if isinstance(value, (str, int, float)):
        return _plain_scalar(value, path)
    if isinstance(value, (tuple, list)):
        return [plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name), f"{path}.{f.name}") for f in fields(value)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): plain(item, f"{path}.{key}") for key, item in value.items()}
    raise TypeError(f"{path} is {reprlib.repr(value)}, a {type(value).__name__}, which JSON cannot hold")


def _plain_scalar(value: str | float, path: str) -> str | int | float:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"{path} is {value}: a record holds finite numbers only")
    return float(value)


def read(kind: Any, value: Any, path: str) -> Any:
    """``value``, from JSON, as the type ``kind`` that a field is annotated with."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _read_fields(kind, value, path)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path)
    if origin is tuple:
        items = _expect(list, value, path, "a list")
        return tuple(read(get_args(kind)[0], item, f"{path}[{i}]") for i, item in enumerate(items))
    if origin is Mapping:
        items = _expect(dict, value, path, "an object")
        return {key: read(get_args(kind)[1], item, f"{path}.{key}") for key, item in items.items()}
    if origin is Literal:
        return _choice({text: text for text in get_args(kind)}, value, path)
    if issubclass(kind, Enum):
        return _choice({member.value: member for member in kind}, value, path)
    if kind is float:
        return _number(value, path)
    return _expect(kind, value, path, {int: "a whole number", str: "a text", bool: "true or false"}[kind])


_hints = cache(get_type_hints)


def _read_fields(kind: Any, value: Any, path: str) -> Any:
    data = _expect(dict, value, path, "an object")
    hints = _hints(kind)
    missing = [
        f.name for f in fields(kind) if f.name not in data and f.default is f.default_factory is MISSING
    ]
    if missing:
        raise unreadable(f"{path} has no {', '.join(missing)}")
    return kind(**{name: read(hints[name], data[name], f"{path}.{name}") for name in hints if name in data})


def _read_union(members: Sequence[Any], value: Any, path: str) -> Any:
    """Exact types first, so that a whole number in ``int | float`` stays one."""
    if value is None and type(None) in members:
        return None
    if type(value) in members:
        return read(type(value), value, path)
    rest = [member for member in members if member is not type(None)]
    if len(rest) == 1:
        return read(rest[0], value, path)
    names = " or ".join("null" if member is type(None) else member.__name__ for member in members)
    raise unreadable(f"{path} is {reprlib.repr(value)}, not {names}")


def _expect(kind: type, value: Any, path: str, name: str) -> Any:
    # bool is an int to isinstance, but not in JSON.
    if type(value) is not kind:
        raise unreadable(f"{path} is {reprlib.repr(value)}, not {name}")
    return value


def _choice(choices: Mapping[str, Any], value: Any, path: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise unreadable(f"{path} is {reprlib.repr(value)}, not one of {', '.join(choices)}")
    return choices[value]


def _number(value: Any, path: str) -> float:
    # Other writers of JSON shorten 2.0 to 2; Python's own reads the NaN that it should not have written.
    if type(value) not in (int, float) or not abs(value) < math.inf:
        raise unreadable(f"{path} is {reprlib.repr(value)}, not a finite number")
    try:
        return float(value)
    except OverflowError:
        raise unreadable(f"{path} is {reprlib.repr(value)}, too large for a number of ours") from None


def unreadable(what: str) -> UsageError:
    """The one sentence for what cannot be read: ``what`` says where and why."""
    return UsageError(f"cannot read a stored parallelism {what}: measure again to replace it")
