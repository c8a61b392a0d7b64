"""From markers, options and known strategies to points, and from points to parametrized tests."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from ..errors import UsageError
from ..measuring import Point, points_of
from ..settings import MarkerArguments

if TYPE_CHECKING:
    from .session import State

__all__ = ["Point", "hosted", "mentions_coroutines", "misused", "parametrize", "points_of", "settle"]

_MARK = "parallel_strategies"
_OURS = frozenset({"parallel_strategy", "parallel_workers"})


def parametrize(metafunc: pytest.Metafunc, state: State) -> None:
    """Make one test a point, or fail the collection with one sentence."""
    definition = metafunc.definition
    where = definition.nodeid
    try:
        reason = _misuse(metafunc)
        if reason:
            raise UsageError(reason)
        markers = [MarkerArguments.parse(m.args, m.kwargs) for m in definition.iter_markers(_MARK)]
        points = points_of(
            markers,
            state.settings,
            state.known,
            state.cores.usable,
            asynchronous=mentions_coroutines(metafunc.function, metafunc.cls),
        )
        sentence = ""
    except UsageError as error:
        sentence = f"{where}: {error}"
    if sentence:  # outside of the except block, so that no traceback of the UsageError is shown
        pytest.fail(sentence, pytrace=False)
    state.points[where] = {(p.strategy.name, p.requested): p for p in points}
    metafunc.parametrize(
        ("parallel_strategy", "parallel_workers"),
        [pytest.param(p.strategy.name, p.requested, id=p.id, marks=_marks(p)) for p in points],
    )


def _marks(point: Point) -> list[pytest.MarkDecorator]:
    return [pytest.mark.skip(reason=point.obstacle)] if point.obstacle else []


def _misuse(metafunc: pytest.Metafunc) -> str | None:
    name = metafunc.definition.name
    taken = _OURS.intersection(metafunc.fixturenames)
    if not taken:
        return (
            f"{name} has the marker {_MARK} but does not use the fixture parallel: "
            f"add the argument parallel to the test and call parallel.map(function, items)"
        )
    if taken != _OURS:
        return f"{name} takes {min(taken)} alone: take the fixture parallel beside it"
    if inspect.iscoroutinefunction(metafunc.function):
        return (
            f"{name} is async def, and the fixture parallel runs event loops of its own: write a plain def "
            f"and give parallel.map the coroutine function"
        )
    if getattr(metafunc.function, "is_hypothesis_test", False):
        return (
            f"{name} is a @given test, which runs its body many times, and a test has one measurement: "
            f"take the fixture parallel out of it, or the items from a fixture of your own"
        )
    return None


def mentions_coroutines(function: Any, cls: type | None) -> bool:
    """True where a test's code names a coroutine function: of its module, its class, or defined in it.

    Decides whether the groups bring event-loop strategies along; naming such a strategy always does.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:  # a partial, or another callable object
        return False
    if any(inspect.iscode(c) and c.co_flags & inspect.CO_COROUTINE for c in code.co_consts):
        return True
    spaces = (getattr(function, "__globals__", {}), vars(cls) if cls else {})
    found = [space[name] for name in code.co_names for space in spaces if name in space]
    # One dot deep: client.fetch, where client is of the module.
    found += [inspect.getattr_static(owner, name, None) for owner in tuple(found) for name in code.co_names]
    return any(inspect.iscoroutinefunction(getattr(f, "__func__", f)) for f in found)


def settle(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """What needs all items: the host's absence, and marks for other plugins."""
    ours = [item for item in items if _OURS.issubset(getattr(item, "fixturenames", ()))]
    # xdist turns a usage error of a worker into an internal one: there each test says it (`misused`).
    if ours and not hosted(config) and not hasattr(config, "workerinput"):
        raise pytest.UsageError(_no_host(ours[0]))
    if config.getoption("parallel_threads", None) is None:  # pytest-run-parallel is not there
        return
    for item in ours:
        item.add_marker(pytest.mark.thread_unsafe)


def misused(item: pytest.Item) -> str | None:
    """One sentence for an item whose marker or fixture cannot work: known only once items are made."""
    if not isinstance(item, pytest.Function):
        return None
    if _OURS.issubset(item.fixturenames) and not hosted(item.config):
        return _no_host(item)
    if any(mark.name == _MARK for mark in getattr(getattr(item, "callspec", None), "marks", ())):
        return (
            f"{item.name} has the marker {_MARK} on a pytest.param, where it comes too late to make points: "
            f"put it on the function, the class or the module"
        )
    if not _OURS.isdisjoint(item.fixturenames) or all(mark.name != _MARK for mark in item.own_markers):
        return None
    return (
        f"{item.name} has the marker {_MARK}, but unittest.TestCase methods cannot take the fixture "
        f"parallel: write a plain test function or class"
    )


def hosted(config: pytest.Config) -> bool:
    """True where some plugin provides the fixture ``benchmark``."""
    return config.pluginmanager.hasplugin("benchmark") or bool(config.getoption("codspeed", False))


def _no_host(item: pytest.Item) -> str:
    test = item.name.partition("[")[0]
    return f"{test} uses the fixture parallel, which needs pytest-benchmark: remove -p no:benchmark"
