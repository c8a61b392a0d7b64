"""How many bytes pickle makes of what any pickle can carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["FEW", "light_weight", "weight"]

_SMALL = frozenset({bool, float, int, type(None)})
_SMALL_BYTES = 5
"""Bytes that pickle makes of one of them, about."""
_ARRAY_BYTES = 150
"""Bytes that pickle makes of an empty array, about."""
FEW = 8
_LONG = 1000


def weight(values: Sequence[Any]) -> int | None:
    """Bytes, about, of what any pickle can carry to any interpreter: numbers, texts, arrays, a few of them.

    None where something else is among them, and for many numbers, texts and lists, to look at which would
    cost more than to pickle them twice.
    """
    if type(values) is range:
        return _SMALL_BYTES * len(values)
    if len(values) > FEW and not _heavy(values[0]):
        return None
    total = 0
    for value in values:
        size = _weight(type(value), value)
        if size is None:
            return None
        total += size
    return total


def _heavy(value: Any) -> bool:
    kind = type(value)
    return len(value) >= _LONG if kind is bytes or kind is str else kind.__module__ == "numpy"


def _weight(kind: type, value: Any) -> int | None:
    if kind in _SMALL:
        return _SMALL_BYTES
    if kind is bytes or kind is str:
        return len(value)
    if kind is list or kind is tuple:
        return weight(value) if len(value) <= FEW or _heavy(value[0]) else None
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject:
        return int(value.nbytes) + _ARRAY_BYTES
    return None


def light_weight(values: Sequence[Any]) -> int:
    """`weight` of values of which each has one."""
    if _SMALL.issuperset(map(type, values)):
        return _SMALL_BYTES * len(values)
    return sum(_weight(type(value), value) or 0 for value in values)
