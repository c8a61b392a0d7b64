"""Tasks that are tried again, and errors that are collected."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_parallelism.envelope import Each, Initializing, Outcome, Trying, is_async, note
from pytest_parallelism.errors import TaskExit


def failing(times: int, error: Callable[[], BaseException] = ValueError) -> Callable[[Any], Any]:
    """Fails so many times, then gives its item back."""
    left = iter(range(times))

    def fn(item: Any) -> Any:
        for _ in left:
            raise error()
        return item

    return fn


def as_coroutine(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def later(item: Any) -> Any:
        return fn(item)

    return later


@pytest.fixture(params=["plain", "coroutine"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls ``Trying(fn, ...)`` with one item, ``fn`` being plain or a coroutine function."""

    def plain(fn: Callable[[Any], Any], item: Any = 7, **how: Any) -> Any:
        return Trying(fn, **how)(item)

    def coroutine(fn: Callable[[Any], Any], item: Any = 7, **how: Any) -> Any:
        trying = Trying(as_coroutine(fn), **how)
        assert is_async(trying)
        return asyncio.run(trying(item))

    return plain if request.param == "plain" else coroutine


def test_a_result_of_the_first_attempt_is_bare(call: Callable[..., Any]) -> None:
    assert call(failing(0), retries=3, collects=True) == 7


def test_attempts_come_with_the_result(call: Callable[..., Any]) -> None:
    found = call(failing(2), retries=3)
    assert (found.value, found.error, found.attempts) == (7, None, 3)


def test_a_task_that_fails_for_good_raises_its_own_error_with_the_attempts(call: Callable[..., Any]) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        call(failing(9, lambda: error), retries=2)
    assert caught.value is error
    assert caught.value.__notes__ == ["failed after 3 attempts"]  # type: ignore[attr-defined]  # Python 3.11


def test_a_collected_error_is_an_outcome_and_a_returned_one_is_not(call: Callable[..., Any]) -> None:
    found = call(failing(1), collects=True)
    assert (type(found), type(found.error), found.attempts) == (Outcome, ValueError, 1)
    returned = ValueError("a result")
    assert call(lambda _: returned, collects=True) is returned


def test_only_exceptions_are_tried_again(call: Callable[..., Any]) -> None:
    found = call(failing(1, SystemExit), retries=3, collects=True)
    assert (type(found.error), found.attempts) == (TaskExit, 1)


def test_pauses_double_and_do_not_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    Trying(failing(4), retries=4, backoff=0.5)(1)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_an_outcome_travels_with_an_error_that_pickle_cannot_carry() -> None:
    class Own(Exception):
        def __init__(self, *, hint: str) -> None:
            super().__init__("own")
            self.hint = hint

    found = pickle.loads(pickle.dumps(Trying(failing(1, lambda: Own(hint="there")), collects=True)(1)))
    assert type(found.error) is Own
    assert (found.error.args, found.error.hint) == (("own",), "there")
    assert "in process" in str(found.error.__cause__)


def test_a_note_is_added_once_and_never_fails() -> None:
    error = ValueError()
    note(error, "a")
    note(error, "a")
    note(error, "b")
    assert error.__notes__ == ["a", "b"]  # type: ignore[attr-defined]  # Python 3.11

    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    note(frozen := Frozen(3), "a")
    assert frozen.__notes__ == ["a"]  # type: ignore[attr-defined]  # Python 3.11


def test_each_maps_a_chunk() -> None:
    assert Each(abs)([-1, 2]) == [1, 2]
    assert asyncio.run(Each(as_coroutine(abs))([-1, 2])) == [1, 2]


def test_an_initializer_gets_its_arguments_and_its_error_says_what_it_was() -> None:
    seen: list[tuple[Any, ...]] = []
    Initializing(lambda *args: seen.append(args), (1, 2))()
    assert seen == [(1, 2)]
    with pytest.raises(ZeroDivisionError) as caught:
        Initializing(lambda: 1 / 0)()
    assert "raised by initializer=" in caught.value.__notes__[0]  # type: ignore[attr-defined]  # Python 3.11
