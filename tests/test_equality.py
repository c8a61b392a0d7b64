"""When two results are the same, and where they first differ."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.equality import compare, compare_unordered

NAN = float("nan")


@dataclass
class Row:
    name: str
    value: float
    note: str = field(default="", compare=False)


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b


class Stubborn:
    """Equal to nothing, by its own word."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]  # as Python does for a class with __eq__ alone


@dataclass
class ByName:
    """A dataclass with an equality of its own."""

    name: str
    made: float = 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByName) and self.name == other.name

    __hash__ = None  # type: ignore[assignment]  # as Python does for a class with __eq__ alone


class Touchy:
    """Its == gives what has no truth."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None  # type: ignore[assignment]  # as Python does for a class with __eq__ alone


SAME = [
    (ByName("a", 1.0), ByName("a", 2.0)),
    (SimpleNamespace(x=NAN), SimpleNamespace(x=NAN)),
    (SimpleNamespace(x=np.array([1, 2])), SimpleNamespace(x=np.array([1, 2]))),
    (Touchy([1]), Touchy([1])),
    (1, 1),
    (1, 1.0),
    (NAN, NAN),
    ([1, [NAN, "a"]], [1, [float("nan"), "a"]]),
    ({"a": NAN}, {"a": NAN}),
    ((1, 2), (1, 2)),
    ({1, 2}, {2, 1}),
    ({NAN}, {float("nan")}),
    (Row("a", NAN, "left"), Row("a", NAN, "right")),
    (ValueError("x", 1), ValueError("x", 1)),
    (Plain(a=[NAN]), Plain(a=[NAN])),
    (Slotted(1, NAN), Slotted(1, NAN)),
    (np.array([1.0, NAN]), np.array([1.0, NAN])),
    (np.array([[1, 2]]), np.array([[1, 2]])),
    (np.array([None, [1]], dtype=object), np.array([None, [1]], dtype=object)),
    (np.float64(NAN), np.float64(NAN)),
    (datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 1, tzinfo=timezone.utc)),
    ([], []),
]
DIFFERENT = [
    (ByName("a"), ByName("b"), ".name"),
    (SimpleNamespace(x=np.array([1, 2])), SimpleNamespace(x=np.array([1, 3])), ".x[1]"),
    (Touchy([1]), Touchy([2]), ".value[0]"),
    (1, 2, ""),
    ([1, 2, 3], [1, 9, 3], "[1]"),
    ([1, 2], [1, 2, 3], ""),
    ([1], (1,), ""),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, "['a']['b']"),
    ({"a": 1}, {}, "['a']"),
    ({}, {"a": 1}, "['a']"),
    ({1}, {2}, ""),
    (Row("a", 1), Row("a", 2), ".value"),
    (ValueError("x"), ValueError("y"), ".args[0]"),
    (ValueError("x"), KeyError("x"), ""),
    (Plain(a=[1]), Plain(a=[2]), ".a[0]"),
    (Plain(a=1), Plain(b=1), ".a"),
    (Slotted(1, 2), Slotted(1, 3), ".b"),
    (np.array([1, 2]), np.array([1, 3]), "[1]"),
    (np.array([1, 2]), np.array([1, 2, 3]), ""),
    (np.array([[1.0, NAN], [2, 3]]), np.array([[1.0, NAN], [2, 4]]), "[1, 1]"),
    (None, 0, ""),
    ("a", b"a", ""),
    (Stubborn(), Stubborn(), ""),
]


def shown(value: Any) -> str:
    """In a test's name, which is the same in every process."""
    return type(value).__name__ if " at 0x" in repr(value) else repr(value)


@pytest.mark.parametrize(("left", "right"), SAME, ids=shown)
def test_same_values_are_equal_at_every_depth(left: Any, right: Any) -> None:
    found = compare([left], [right])
    assert found.equal, found.difference
    assert not found.unchecked


@pytest.mark.parametrize(("left", "right", "path"), DIFFERENT, ids=shown)
def test_the_first_difference_is_named_by_its_path(left: Any, right: Any, path: str) -> None:
    difference = compare([0, left], [0, right]).difference
    assert difference is not None
    assert difference.path == f"[1]{path}"


def test_a_difference_shows_both_sides_aligned() -> None:
    difference = compare([{"title": "A"}], [{"title": "B"}]).difference
    assert difference is not None
    assert difference.describe("sequential", "threads-w2") == (
        "first difference at [0]['title']:\n  sequential  'A'\n  threads-w2  'B'"
    )


def test_values_that_look_the_same_are_told_apart_by_their_types() -> None:
    class Text(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = None  # type: ignore[assignment]  # as Python does for a class with __eq__ alone

    difference = compare(Text("a"), "a").difference
    assert difference is not None
    assert "Text" in difference.left
    assert "str" in difference.right


@pytest.mark.parametrize("make", [object, threading.Lock, lambda: (x for x in [1])])
def test_what_cannot_be_compared_is_unchecked_and_named(make: Any) -> None:
    found = compare([make()], [make()])
    assert found.equal
    assert found.unchecked


def test_cycles_end() -> None:
    left: list[Any] = [1]
    right: list[Any] = [1]
    left.append(left)
    right.append(right)
    assert compare(left, right).equal
    right[0] = 2
    assert not compare(left, right).equal


def test_a_long_or_broken_repr_does_not_hide_the_difference() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    difference = compare(Broken(), "x" * 1000).difference
    assert difference is not None
    assert "RuntimeError" in difference.left
    assert len(difference.right) <= 80


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([3, 1, 2], [1, 2, 3]),
        ([[1], [2]], [[2], [1]]),
        ([NAN, 1.0], [1.0, NAN]),
        (["a", "b", "a"], ["a", "a", "b"]),
    ],
)
def test_order_does_not_matter_where_it_is_not_asked_for(left: list[Any], right: list[Any]) -> None:
    assert compare_unordered(left, right).equal


@pytest.mark.parametrize(
    ("left", "right"),
    [([1, 1, 2], [1, 2, 2]), ([[1], [1]], [[1], [2]]), ([1], [1, 1]), ([math.pi], []), (["a"], ["b"])],
)
def test_a_multiset_counts_how_often(left: list[Any], right: list[Any]) -> None:
    difference = compare_unordered(left, right).difference
    assert difference is not None
    assert "without partner" in difference.left + difference.right


def test_things_without_order_are_compared_as_they_are() -> None:
    assert compare_unordered({"a": 1}, {"a": 1}).equal
    assert not compare_unordered({"a": 1}, {"a": 2}).equal
