"""Strategies by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from pytest_parallelism import registry
from pytest_parallelism.errors import UnknownStrategy, UsageError
from pytest_parallelism.registry import GROUPS, expand, find, load
from pytest_parallelism.strategy import Strategy

KNOWN = load()
OURS = {
    *("sequential", "threads", "asyncio", "asyncio-threads"),
    *("processes", "processes-fork", "processes-forkserver", "processes-spawn"),
    *("joblib-loky", "joblib-threading", "joblib-multiprocessing"),
}
MINE = replace(KNOWN["threads"], name="mine")

# What entry points of the tests below load to.
one = MINE
several = (MINE, replace(MINE, name="other"))
wrong = "threads"


def entry_points_give(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint(name="test", value=value, group=registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])


def names(strategies: tuple[Strategy, ...]) -> list[str]:
    return [strategy.name for strategy in strategies]


def test_our_folder_gives_every_strategy() -> None:
    assert set(KNOWN) >= OURS


def test_the_map_is_read_only() -> None:
    with pytest.raises(TypeError):
        KNOWN["mine"] = MINE  # type: ignore[index]  # it is what must fail


def test_loading_imports_nothing_that_a_strategy_stands_on(in_python: Callable[[str], str]) -> None:
    code = (
        "import sys; from pytest_parallelism.registry import load; load();"
        "print([m for m in ('numpy','joblib','psutil','cloudpickle','pytest','asyncio',"
        "'multiprocessing','concurrent.futures') if m in sys.modules])"
    )
    assert in_python(code).strip() == "[]"


def test_the_callers_own_are_added() -> None:
    assert load([MINE])["mine"] is MINE


@pytest.mark.parametrize(("value", "expected"), [("one", {"mine"}), ("several", {"mine", "other"})])
def test_entry_points_add_one_or_several(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: set[str]
) -> None:
    entry_points_give(monkeypatch, f"{__name__}:{value}")
    assert set(load()) - set(KNOWN) == expected


def test_a_name_given_twice_names_both_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points_give(monkeypatch, f"{__name__}:one")
    with pytest.raises(UsageError, match=r"'mine'.*the entry point test.*a conftest hook"):
        load([MINE])


def test_an_entry_point_that_cannot_be_imported_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points_give(monkeypatch, "no_such_module:it")
    with pytest.raises(UsageError, match="entry point test = no_such_module:it cannot be loaded"):
        load()


@pytest.mark.parametrize("value", ["wrong", "load"])
def test_an_entry_point_that_gives_no_strategy_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    entry_points_give(monkeypatch, f"{__name__}:{value}")
    with pytest.raises(UsageError, match="not a Strategy"):
        load()


@pytest.mark.parametrize("group", GROUPS)
def test_no_strategy_may_be_named_like_a_group(group: str) -> None:
    with pytest.raises(UsageError, match="name of a group"):
        load([replace(MINE, name=group)])


def test_an_unknown_name_lists_the_known_and_the_nearest() -> None:
    known = {name: KNOWN[name] for name in ("threads", "sequential", "processes-fork")}
    with pytest.raises(UnknownStrategy) as caught:
        find("thread", known)
    assert str(caught.value) == (
        "No strategy is named 'thread'. Known: processes-fork, sequential, threads. Did you mean 'threads'?"
    )


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(UnknownStrategy, match=r"threads\.$"):
        find("xyzzy", {"threads": KNOWN["threads"]})


def test_common_is_in_its_order() -> None:
    found = names(expand(["common"], KNOWN))
    assert found == ["sequential", "threads", "processes", "joblib-loky", "asyncio"]


def test_names_and_groups_keep_order_and_name_each_once() -> None:
    found = names(expand(["joblib-threading", "common", "threads"], KNOWN))
    assert found == ["joblib-threading", "sequential", "threads", "processes", "joblib-loky", "asyncio"]


def test_local_is_every_strategy_of_that_group() -> None:
    assert set(names(expand(["local"], KNOWN))) >= OURS


@pytest.mark.parametrize("group", ["distributed", "orchestrators", "cloud"])
def test_a_group_holds_the_strategies_that_say_so(group: str) -> None:
    mine = replace(MINE, group=group)
    assert mine in expand([group], load([mine]))


def test_installed_leaves_out_what_cannot_run() -> None:
    missing = replace(MINE, requires=("no_such_library",), install="pytest-parallelism[none]")
    found = expand(["installed"], load([missing]))
    assert missing not in found
    assert KNOWN["threads"] in found
    assert missing.obstacle(1) == (
        "mine needs no_such_library, not installed here: pip install 'pytest-parallelism[none]'"
    )


def test_an_unknown_name_among_names_is_an_error() -> None:
    with pytest.raises(UnknownStrategy):
        expand(["threads", "nonsense"], KNOWN)


def test_a_start_method_that_a_library_has_added_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    from pytest_parallelism.strategies.processes import start_method

    as_of_3_14: Any = lambda: ["spawn", "loky"]  # noqa: E731  # one line says it
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", as_of_3_14)
    assert start_method({"start_method": "spawn"}, "processes") == "spawn"
    with pytest.raises(UsageError, match="start_method must be one of spawn, not 'loky'"):
        start_method({"start_method": "loky"}, "processes")


def test_a_start_method_that_the_platform_lacks_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    only_spawn: Any = lambda: ["spawn"]  # noqa: E731  # one line says it
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", only_spawn)
    assert KNOWN["processes-fork"].obstacle(2) == (
        f"processes-fork: {sys.platform} has no start method fork; use processes-spawn"
    )
    assert KNOWN["processes-spawn"].obstacle(2) is None
