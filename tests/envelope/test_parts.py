"""Bytes in parts, and the functions of a pool packed once."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.envelope import Packer, Parts, enclose, enclosed, pack, run, shipped, unpack
from pytest_parallelism.errors import NotTransferable

HERE: ModuleType = sys.modules[__name__]
LARGE = 1 << 17


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
