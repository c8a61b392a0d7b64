"""From markers and options to points."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.plugin.collect import Point, mentions_coroutines, points_of
from pytest_parallelism.registry import load
from pytest_parallelism.settings import MarkerArguments, Settings

KNOWN = load()


def marker(*args: Any, **kwargs: Any) -> MarkerArguments:
    return MarkerArguments.parse(args, kwargs)


def points(
    *markers: MarkerArguments, cores: int = 2, asynchronous: bool = False, **options: Any
) -> list[Point]:
    settings = Settings.parse({name: (f"--parallel-{name}", raw) for name, raw in options.items()})
    return points_of(markers, settings, KNOWN, cores, asynchronous=asynchronous)


def ids(*markers: MarkerArguments, **kwargs: Any) -> list[str]:
    return [p.id for p in points(*markers, **kwargs)]


def gates(*markers: MarkerArguments, **kwargs: Any) -> dict[str, list[tuple[str, float]]]:
    return {p.id: [(g.metric, g.claim) for g in p.gates] for p in points(*markers, **kwargs)}


def test_the_bare_marker_is_the_common_strategies_at_powers_of_two() -> None:
    assert ids(marker()) == [
        "sequential-w1",
        "threads-w1",
        "threads-w2",
        "processes-w1",
        "processes-w2",
        "joblib-loky-w1",
        "joblib-loky-w2",
    ]
    assert ids() == ids(marker())


def test_coroutines_bring_the_event_loop_along() -> None:
    assert "asyncio-w2" in ids(marker(), asynchronous=True)
    assert "asyncio-w2" in ids(marker("asyncio"))


def test_ids_never_hold_a_figure_of_the_machine() -> None:
    assert ids(marker("threads", workers="max"), cores=16) == ["threads-wmax"]
    assert ids(marker("threads", workers=[2, "max-1"]), cores=16) == ["threads-w2", "threads-wmax-1"]
    (point,) = points(marker("threads", workers="max"), cores=16)
    assert point.workers == 16


def test_max_equal_to_a_listed_number_is_one_point() -> None:
    assert ids(marker("threads", workers=[1, 2, "max"])) == ["threads-w1", "threads-w2"]
    stacked = [marker("threads", workers="max"), marker("threads", workers=2)]
    assert ids(*stacked) == ["threads-w2"]
    assert ids(*reversed(stacked)) == ["threads-w2"]


def test_sequential_is_one_point_whatever_the_workers() -> None:
    assert ids(marker("sequential", workers=[2, 4])) == ["sequential-w1"]


def test_stacked_markers_merge_and_the_nearest_gate_wins() -> None:
    near = marker("threads", workers=[2], min_speedup=1.2)
    far = marker("threads", "processes", workers=[1, 2], min_speedup=1.8)
    found = gates(near, far)
    assert found["threads-w2"] == [("speedup", 1.2)]
    assert found["processes-w2"] == [("speedup", 1.8)]
    assert found["threads-w1"] == []


def test_a_nearer_marker_without_a_gate_keeps_the_outer_one_and_an_empty_one_lifts_it() -> None:
    far = marker("threads", workers=[2], min_speedup=1.8)
    assert gates(marker("threads", workers=[2]), far)["threads-w2"] == [("speedup", 1.8)]
    assert gates(marker("threads", workers=[2], min_speedup={}), far)["threads-w2"] == []


def test_a_number_gates_the_markers_own_points_only() -> None:
    near = marker("processes", workers=[2], min_speedup=1.2)
    found = gates(near, marker("processes", workers=[1, 2, 4]))
    assert found == {"processes-w1": [], "processes-w2": [("speedup", 1.2)], "processes-w4": []}


def test_the_command_line_gates_where_no_marker_does() -> None:
    found = gates(
        marker("threads", workers=[1, 2], min_speedup=1.2),
        marker("processes", workers=[1, 2]),
        min_speedup="1.6",
        min_efficiency="0.7",
    )
    assert found["threads-w2"] == [("speedup", 1.2), ("efficiency", 0.7)]
    assert found["processes-w2"] == [("speedup", 1.6), ("efficiency", 0.7)]
    assert found["processes-w1"] == []


def test_options_replace_the_markers_choice_and_keep_their_gates() -> None:
    near = marker("threads", workers=[2, 4], min_speedup={2: 1.2})
    assert ids(near, strategies="processes", workers="1") == ["processes-w1"]
    assert gates(near, workers="2,8") == {"threads-w2": [("speedup", 1.2)], "threads-w8": []}


def test_options_of_a_strategy_reach_its_points() -> None:
    (point,) = points(marker("threads", workers=[2], options={"threads": {"a": 1}}))
    assert point.options == {"a": 1}
    with pytest.raises(UsageError, match="options= names 'process', which no marker of this test runs"):
        points(marker("threads", options={"process": {}}))


def test_require_any_stands_on_the_gate() -> None:
    found = points(marker("threads", "processes", workers=[2], min_speedup=1.5, require="any"))
    assert {g.require for p in found for g in p.gates} == {"any"}


def test_installed_and_local_are_groups() -> None:
    assert {"threads", "processes-fork", "joblib-loky"} <= {p.strategy.name for p in points(marker("local"))}
    assert {"threads", "joblib-loky"} <= {p.strategy.name for p in points(marker("installed"))}


def test_an_unknown_name_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"No strategy is named 'thread'\. Known: .*Did you mean 'threads'\?"
    ):
        points(marker("thread"))


async def later(x: int) -> int:
    return x


class Holder:
    async def method(self, x: int) -> int:
        return x

    def uses_method(self) -> object:
        return self.method


def test_a_test_that_names_a_coroutine_function_is_known() -> None:
    def by_global() -> object:
        return later

    def nested() -> object:
        async def inner() -> None: ...

        return inner

    def plain() -> object:
        return len

    assert mentions_coroutines(by_global, None)
    assert mentions_coroutines(nested, None)
    assert mentions_coroutines(Holder.uses_method, Holder)
    assert not mentions_coroutines(plain, None)
