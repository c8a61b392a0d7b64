"""What goes to another interpreter and comes back: as it is, where large or simple, or pickled."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pytest_parallelism.envelope import hand_over, open_handed, pack, run_ending, shipped
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions

LARGE = bytes(1 << 16)
TEXT = "\ud800" + "x" * (1 << 16)  # which UTF-8 cannot say
INTERPRETERS = load()["interpreters"]


class Own(bytes):
    pass


def handed(items: list[Any]) -> Any:
    sent = hand_over(items, (sys.modules[__name__],), 0)
    return sent, run_ending(pack(lambda item: item, (sys.modules[__name__],)), sent, 0)


@pytest.mark.parametrize("items", [[LARGE], [TEXT, 1, None], [LARGE] * 9, [True, 2.5, 1 << 70], []])
def test_large_and_few_simple_items_and_results_go_as_they_are(items: list[Any]) -> None:
    out, back = shipped()
    sent, answer = handed(items)
    assert sent == answer == tuple(items)
    assert open_handed(answer) == items
    went, came = shipped()
    size = sum(len(item) for item in items if isinstance(item, (bytes, str)))
    assert went - out > size
    assert size <= came - back <= size + 5 * len(items)


@pytest.mark.parametrize("items", [[Own(b"x")], [Own(LARGE)], [[LARGE]], [None] * 20_000, [LARGE] * 9 + [1]])
def test_other_items_and_results_are_pickled(items: list[Any]) -> None:
    sent, answer = handed(items)
    assert type(sent) is type(answer) is bytes
    assert open_handed(answer) == items


def test_an_error_of_a_large_item_comes_back() -> None:
    def fails(item: bytes) -> None:
        raise KeyError(len(item))

    with pytest.raises(KeyError, match=str(len(LARGE))):
        open_handed(run_ending(pack(fails, (sys.modules[__name__],)), hand_over([LARGE], (), 0), 0))


@pytest.mark.skipif(INTERPRETERS.obstacle(2) is not None, reason="needs Python 3.14")
def test_they_cross_for_real() -> None:
    items: list[Any] = [
        LARGE,
        TEXT,
        b"small",
        LARGE * 16,
        True,
        1 << 70,
        None,
        -0.5,
        [LARGE],
        (1,),
        LARGE,
        LARGE,
    ]
    with INTERPRETERS.open(2, StrategyOptions(by_value=(sys.modules[__name__],))) as pool:
        for chunk in (1, 4, len(items)):
            assert pool.map(lambda item: item, items, chunk_size=chunk) == items
            assert pool.map(repr, items, chunk_size=chunk) == [repr(item) for item in items]
