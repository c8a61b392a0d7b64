"""When two results are the same, and where they first differ.

The rule (a leaf, standard library only; numpy and pandas objects are recognised, never imported):

- ``==``, and NaN equals NaN, at every depth of lists, tuples, dicts, dataclasses and arrays;
- arrays and frames element by element;
- exceptions by type and args;
- objects whose class defines no ``__eq__``: by type and attributes;
- what cannot be compared at all (no ``__eq__``, no attributes) is *unchecked*, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Number
from typing import Any

__all__ = ["Comparison", "Difference", "compare", "compare_unordered"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

_OBJECTS_EQ: Any = object.__eq__
_SHOWN = 80
"""Characters of a value that a difference shows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two results differ: ``path`` such as ``[3]['title']``."""

    path: str
    left: str
    right: str

    def describe(self, left_name: str, right_name: str) -> str:
        """The difference as text of two aligned lines."""
        width = max(len(left_name), len(right_name))
        where = f"first difference at {self.path}" if self.path else "the results differ"
        return f"{where}:\n  {left_name:<{width}}  {self.left}\n  {right_name:<{width}}  {self.right}"


@dataclass(slots=True)
class Comparison:
    """What a comparison found: the first difference, and the types that could not be compared."""

    difference: Difference | None = None
    unchecked: set[str] = field(default_factory=set)

    @property
    def equal(self) -> bool:
        """True where no difference was found."""
        return self.difference is None


def compare(left: Any, right: Any) -> Comparison:
    """Compare two results by the rule of this module, down to the first difference."""
    found = Comparison()
    if not _plainly_equal(left, right):
        found.difference = _Walk(found.unchecked).differ(left, right, "")
    return found


def _plainly_equal(left: Any, right: Any) -> bool:
    """Python's own comparison of containers, 30 times as fast as the walk that finds where they differ."""
    if type(left) is not type(right) or type(left) not in {list, tuple, dict, set, frozenset}:
        return False
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001 - arrays answer by element, and a user's __eq__ may raise anything
        return False


def compare_unordered(left: Any, right: Any) -> Comparison:
    """Compare two sequences as multisets: each element has one equal partner, whatever the order."""
    if not (_is_sequence(left) and _is_sequence(right)):
        return compare(left, right)
    found = Comparison()
    counts = _hashed_counts(left, right)
    if counts is not None:
        rest_left, rest_right = counts
    else:
        rest_left, rest_right = list(left), list(right)
        _cancel(rest_left, rest_right, found.unchecked)
    if rest_left or rest_right:
        found.difference = Difference(
            " (in any order)",
            f"{len(rest_left)} without partner: {_show(rest_left[:1])}" if rest_left else "nothing more",
            f"{len(rest_right)} without partner: {_show(rest_right[:1])}" if rest_right else "nothing more",
        )
    return found


def _hashed_counts(left: Sequence[Any], right: Sequence[Any]) -> tuple[list[Any], list[Any]] | None:
    """Elements without partner, in linear time, where all are hashable by value; None otherwise."""
    from collections import Counter

    plain = (str, bytes, int, bool, type(None))
    if not all(type(x) in plain for x in left) or not all(type(x) in plain for x in right):
        return None
    a, b = Counter(left), Counter(right)
    return list((a - b).elements()), list((b - a).elements())


def _cancel(left: list[Any], right: list[Any], unchecked: set[str]) -> None:
    # Results mostly arrive nearly in order, so the partner is near the front: linear in practice.
    walk = _Walk(unchecked)
    unmatched = []
    for item in left:
        for i, other in enumerate(right):
            if walk.differ(item, other, "") is None:
                del right[i]
                break
        else:
            unmatched.append(item)
    left[:] = unmatched


class _Walk:
    def __init__(self, unchecked: set[str]) -> None:
        self.unchecked = unchecked
        self.active: set[tuple[int, int]] = set()

    def differ(self, left: Any, right: Any, path: str) -> Difference | None:
        if left is right:
            return None
        pair = (id(left), id(right))
        if pair in self.active:  # a cycle: equal so far, and its other members decide
            return None
        self.active.add(pair)
        try:
            return self._differ(left, right, path)
        except RecursionError:
            self.unchecked.add(f"{type(left).__qualname__} (nested too deep)")
            return None
        finally:
            self.active.discard(pair)

    def _differ(self, left: Any, right: Any, path: str) -> Difference | None:
        for kind, rule in _RULES:
            if kind(left) and kind(right):
                return rule(self, left, right, path)
        return self._by_operator(left, right, path)

    def _by_operator(self, left: Any, right: Any, path: str) -> Difference | None:
        own = _has_own_eq(type(left)) or _has_own_eq(type(right))
        said = _said_equal(left, right) if own else None
        if said or (_is_nan(left) and _is_nan(right)):
            return None
        if type(left) is not type(right):
            return _difference(path, left, right)
        # Also where its own == says no: that may be for a NaN, or for an array, among the attributes.
        ours, theirs = _attributes(left), _attributes(right)
        if (ours or (ours is not None and not own)) and theirs is not None:
            return self.mappings(ours, theirs, path, form=".{}")
        if said is None:
            self.unchecked.add(_type_name(left))
            return None
        return _difference(path, left, right)

    def exceptions(self, left: BaseException, right: BaseException, path: str) -> Difference | None:
        if type(left) is not type(right):
            return _difference(path, left, right)
        return self.differ(left.args, right.args, f"{path}.args")

    def sequences(self, left: Sequence[Any], right: Sequence[Any], path: str) -> Difference | None:
        if type(left) is not type(right) and not _said_equal(left[:0], right[:0]):
            return _difference(path, left, right)  # a list and a tuple are never equal
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            found = self.differ(a, b, f"{path}[{i}]")
            if found:
                return found
        if len(left) != len(right):
            return Difference(path, f"{len(left)} elements", f"{len(right)} elements")
        return None

    def mappings(
        self, left: Mapping[Any, Any], right: Mapping[Any, Any], path: str, form: str = "[{!r}]"
    ) -> Difference | None:
        for key, value in left.items():
            where = path + form.format(key)
            if key not in right:
                return Difference(where, _show(value), "missing")
            found = self.differ(value, right[key], where)
            if found:
                return found
        extra = [key for key in right if key not in left]
        if extra:
            return Difference(path + form.format(extra[0]), "missing", _show(right[extra[0]]))
        return None

    def sets(self, left: AbstractSet[Any], right: AbstractSet[Any], path: str) -> Difference | None:
        if left == right:
            return None
        only_left, only_right = list(left - right), list(right - left)
        _cancel(only_left, only_right, self.unchecked)
        if not only_left and not only_right:
            return None
        return Difference(path, f"only here: {_show(only_left[:3])}", f"only here: {_show(only_right[:3])}")

    def dataclasses(self, left: Any, right: Any, path: str) -> Difference | None:
        if type(left) is not type(right):
            return _difference(path, left, right)
        if _said_equal(left, right):
            return None
        compared = [f.name for f in fields(left) if f.compare]
        return self.mappings(
            {n: getattr(left, n) for n in compared}, {n: getattr(right, n) for n in compared}, path, ".{}"
        )

    def arrays(self, left: Any, right: Any, path: str) -> Difference | None:
        if left.shape != right.shape:
            return Difference(path, f"array of shape {left.shape}", f"array of shape {right.shape}")
        same = left == right
        if not hasattr(same, "all"):  # element types that numpy cannot compare
            return _difference(path, left, right)
        if bool(same.all()):
            return None
        # NaN is the one value that differs from itself; object arrays may hold anything.
        for index in zip(*(~same).nonzero(), strict=True):
            where = path + "[" + ", ".join(str(int(i)) for i in index) + "]"
            found = self.differ(left[index], right[index], where)
            if found:
                return found
        return None

    def frames(self, left: Any, right: Any, path: str) -> Difference | None:
        return None if type(left) is type(right) and left.equals(right) else _difference(path, left, right)


def _is_array(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] == "numpy" and hasattr(x, "shape") and bool(x.shape)


def _is_frame(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] in {"pandas", "polars"} and hasattr(x, "equals")


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes, bytearray, memoryview, range))


def _is_plain_dataclass(x: Any) -> bool:
    return is_dataclass(x) and not isinstance(x, type) and bool(getattr(x, "__dataclass_params__").eq)  # noqa: B009 - set by dataclass(), unknown to type checkers


_RULES: tuple[tuple[Callable[[Any], bool], Callable[..., Difference | None]], ...] = (
    (_is_array, _Walk.arrays),
    (_is_frame, _Walk.frames),
    (_is_plain_dataclass, _Walk.dataclasses),
    (_is_sequence, _Walk.sequences),
    (lambda x: isinstance(x, Mapping), _Walk.mappings),
    (lambda x: isinstance(x, AbstractSet), _Walk.sets),
    (lambda x: isinstance(x, BaseException), _Walk.exceptions),
)


def _has_own_eq(kind: type) -> bool:
    own: Any = kind.__eq__
    return own is not _OBJECTS_EQ


def _said_equal(left: Any, right: Any) -> bool | None:
    """What ``==`` says; None where it raises or gives no truth."""
    try:
        said = left == right
        try:
            return bool(said)
        except Exception:  # noqa: BLE001 - an array-like gives one answer an element, and refuses bool()
            return bool(said.all())
    except Exception:  # noqa: BLE001 - a user's __eq__ may raise anything, and must not end the comparison
        return None


def _is_nan(x: Any) -> bool:
    """NaN, or NaT and NA of numpy and pandas: what is unlike itself, and meant to be."""
    if not (isinstance(x, Number) or type(x).__module__.partition(".")[0] in {"numpy", "pandas"}):
        return False
    try:
        return bool(x != x)
    except (ValueError, TypeError):
        return x is not None and type(x).__name__ == "NAType"


def _attributes(x: Any) -> dict[str, Any] | None:
    """The attributes of an object, its ``__slots__`` included; None where it has none to compare."""
    if (
        type(x).__module__ == "builtins"
    ):  # functions, generators, bare objects: nothing of the user's to compare
        return None
    names = [n for kind in type(x).__mro__ for n in _slots(kind)]
    found = {n: getattr(x, n) for n in names if hasattr(x, n)}
    found.update(getattr(x, "__dict__", {}))
    return found or (None if not hasattr(x, "__dict__") else found)


def _slots(kind: type) -> Iterator[str]:
    declared = kind.__dict__.get("__slots__", ())
    yield from (n for n in ([declared] if isinstance(declared, str) else declared) if not n.startswith("__"))


def _type_name(x: Any) -> str:
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


def _show(x: Any) -> str:
    try:
        text = repr(x)
    except Exception as error:  # noqa: BLE001 - a broken repr of the user's must not hide the difference
        text = f"<repr raises {type(error).__name__}: {_type_name(x)}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _difference(path: str, left: Any, right: Any) -> Difference:
    a, b = _show(left), _show(right)
    if a == b:
        a, b = f"{a} ({_type_name(left)})", f"{b} ({_type_name(right)})"
    return Difference(path, a, b)
