"""Bytes in parts, and the functions of a pool packed once."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_parallelism.envelope import (
    Collecting,
    Packer,
    Parts,
    Trying,
    _tasks,
    enclose,
    enclosed,
    pack,
    preparation,
    run,
    run_there,
    shipped,
    unpack,
)
from pytest_parallelism.envelope._performing import perform_here
from pytest_parallelism.errors import NotTransferable

HERE: ModuleType = sys.modules[__name__]
LARGE = 1 << 17
PREPARED = preparation("a pool of tests", ours=False)


class Own:
    """Of a module that workers cannot import."""

    def __init__(self, value: int) -> None:
        self.value = value


class Boxed:
    """Pickles its array as a buffer in place."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return _boxed, (pickle.PickleBuffer(self.array), self.array.dtype.str, self.array.shape)


def _boxed(buffer: Any, dtype: str, shape: tuple[int, ...]) -> Boxed:
    return Boxed(np.frombuffer(buffer, dtype).reshape(shape, order="F"))


def itself(item: Any) -> Any:
    return item


def one(_item: int) -> int:
    return 1


def two(_item: int) -> int:
    return 2


def test_large_bytes_are_the_very_objects_and_others_are_copies() -> None:
    fixed, changing = b"x" * LARGE, bytearray(b"y" * LARGE)
    parts = enclosed([fixed, changing], (HERE,))
    assert any(part is fixed for part in parts)
    changing[:] = b"z" * LARGE
    assert pickle.loads(b"".join(parts)) == [fixed, bytearray(b"y" * LARGE)]
    assert parts.size == len(enclose([fixed, changing], (HERE,)))


@pytest.mark.parametrize("side", [3, 400])
def test_a_buffer_goes_as_it_lies_in_memory(side: int) -> None:
    array = np.asfortranarray(np.arange(side * side).reshape(side, side))
    parts = Parts()
    pickle.Pickler(parts, pickle.HIGHEST_PROTOCOL).dump(Boxed(array))
    assert np.array_equal(pickle.loads(b"".join(parts)).array, array)
    answer = run(pack(itself, (HERE,)), enclose([array], (HERE,)))
    assert np.array_equal(unpack(answer)[0], array)


@pytest.mark.parametrize("value", [1, 2.5, "text", b"bytes", None, [{"a": (1, {2})}, frozenset({3})]])
def test_what_any_interpreter_can_load_needs_no_cloudpickle(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = pack(itself)
    monkeypatch.setattr(_tasks, "dump", lambda *_: pytest.fail("cloudpickle"))
    assert unpack(run(blob, enclose([value, [value]]))) == [value, [value]]


def test_one_object_of_a_module_that_goes_by_value_is_met_wherever_it_is() -> None:
    blob = enclose([1, {"deep": [(Own(2),)]}], (HERE,))
    assert b"cloudpickle" in blob
    assert b"cloudpickle" not in enclose([1, {"deep": [(2,)]}], (HERE,))


def test_nothing_of_an_attempt_without_cloudpickle_is_left() -> None:
    gc.collect()
    gc.disable()
    try:
        for value in ([1], [Own(1)]):
            enclose(value, (HERE,))
        left = [one for one in gc.get_objects() if isinstance(one, pickle.Pickler)]
    finally:
        gc.enable()
    assert not left


class Kept:
    """What a task has in hand when it fails."""

    known: ClassVar[list[weakref.ref[Kept]]] = []

    def __init__(self) -> None:
        self.known.append(weakref.ref(self))


def fails(item: Any) -> None:
    kept = Kept()
    try:
        raise KeyError(item)
    except KeyError:
        raise ValueError(kept is None) from None


def starves(_item: Any) -> None:
    kept = Kept()
    raise MemoryError(kept is None)


def test_what_a_task_had_is_let_go_before_its_lack_of_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = []

    def format_exception(*of: Any) -> list[str]:
        alive.append([one for one in Kept.known if one()])
        return formatted(*of)

    formatted = traceback.format_exception
    monkeypatch.setattr(traceback, "format_exception", format_exception)
    Kept.known.clear()
    with pytest.raises(MemoryError) as caught:
        unpack(run(pack(starves), enclose([1])))
    assert Kept.known
    assert alive == [[]]
    assert "in starves" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "perform",
    [
        run,
        lambda blob, data: run_there(PREPARED, blob, data),
        lambda blob, data: perform_here(blob, data, start=0),
    ],
    ids=["run", "run_there", "perform_here"],
)
@pytest.mark.parametrize("fn", [fails, Collecting(fails), Trying(fails, collects=True, retries=1)])
def test_a_worker_keeps_nothing_of_a_task_that_failed(
    fn: Callable[[Any], Any], perform: Callable[..., Any]
) -> None:
    perform(pack(fn), enclose([1]))  # loads what it takes
    Kept.known.clear()
    gc.collect()
    gc.disable()
    try:
        perform(pack(fn), enclose([1, 2]))
        assert Kept.known
        assert not [one for one in Kept.known if one()]
    finally:
        gc.enable()


def test_a_result_of_a_type_that_cannot_be_hashed_is_named() -> None:
    class Unhashable(type):
        def __hash__(cls) -> int:
            raise ValueError("no hash")

    kind = Unhashable("kind", (), {})
    with pytest.raises(NotTransferable, match=r"result of item 1 \(kind\) cannot be sent back .*no hash"):
        unpack(run(pack(itself, (HERE,)), [0, kind()]))


def test_the_last_function_is_packed_once_while_nothing_of_it_changes() -> None:
    packer = Packer((HERE,))
    before = shipped()[0]
    first = packer(one)
    assert packer(one) is first
    assert shipped()[0] == before + 2 * len(first)
    packer(two)
    assert packer(one) == first
    calls: list[int] = []
    assert packer(calls.append) is not packer(calls.append)


def test_a_function_whose_code_was_replaced_is_packed_again() -> None:
    def changing(_item: int) -> int:
        return 1

    packer = Packer((HERE,))
    assert unpack(run(packer(changing), enclose([0]))) == [1]
    changing.__code__ = two.__code__
    assert unpack(run(packer(changing), enclose([0]))) == [2]


@pytest.fixture
def many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_threads_that_pack_at_once_get_each_their_own_function() -> None:
    packer = Packer((HERE,))
    right: dict[Callable[[int], int], bytes] = {fn: pack(fn, (HERE,)) for fn in (one, two)}
    wrong: list[Callable[[int], int]] = []

    def pack_often(fn: Callable[[int], int]) -> None:
        wrong.extend(fn for _ in range(20_000) if packer(fn) != right[fn])

    threads = [threading.Thread(target=pack_often, args=(fn,)) for fn in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def many() -> st.SearchStrategy[Any]:
    """Nested objects, among them large ones that pickle leaves where they lie."""
    small = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
    large = st.integers(0, 3 << 16).map(lambda size: bytes(range(256)) * (size >> 8))
    arrays = st.integers(0, 1 << 15).map(lambda size: np.arange(size, dtype="<i4").tobytes())
    leaves = small | large | large.map(bytearray) | arrays
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner)
    )


@settings(max_examples=60)
@given(obj=many(), data=st.data())
def test_what_is_cut_anywhere_into_parts_of_any_kind_loads_equal(obj: Any, data: st.DataObject) -> None:
    whole = b"".join(enclosed([obj], (HERE,)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    kinds: list[Callable[[bytes], Any]] = [
        bytes,
        bytearray,
        memoryview,
        lambda piece: np.frombuffer(piece, "u1"),
        pickle.PickleBuffer,
    ]
    parts = [data.draw(st.sampled_from(kinds))(piece) for piece in pieces]
    assert unpack(run_there(PREPARED, pack(itself), parts)) == [obj]


def test_parts_are_measured_by_their_bytes_whatever_they_hold() -> None:
    array = np.arange(1 << 16)
    blob = enclose([array])
    tail = len(blob) % 8
    empty: Any = np.zeros((0, 3))
    parts: list[Any] = [blob[:tail], np.frombuffer(blob[tail:], "<i8"), memoryview(empty)]
    (found,) = unpack(run_there(PREPARED, pack(itself), parts))
    assert np.array_equal(found, array)
    answer: Any = np.frombuffer(run(pack(itself), [1]), "u1")
    (alone,) = unpack(answer)
    assert alone == 1
