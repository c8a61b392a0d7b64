"""Options and marker arguments, parsed into data or refused with one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.settings import Claims, MarkerArguments, Settings, resolve_workers


@pytest.mark.parametrize(
    ("spec", "cores", "expected"),
    [
        (["auto"], 1, [(1, 1)]),
        (["auto"], 2, [(1, 1), (2, 2)]),
        (["auto"], 6, [(1, 1), (2, 2), (4, 4)]),
        (["io"], 2, [(1, 1), (2, 2), (4, 4), (8, 8)]),
        (["max"], 6, [("max", 6)]),
        (["max-1"], 6, [("max-1", 5)]),
        (["max-1"], 1, [("max-1", 1)]),
        ([4, 1, 2, 2], 1, [(1, 1), (2, 2), (4, 4)]),
        ([2, "max"], 2, [(2, 2)]),
        (["max", 2], 2, [(2, 2)]),
        (["max", "max-1"], 1, [("max", 1)]),
        ([1, "max"], 16, [(1, 1), ("max", 16)]),
    ],
)
def test_worker_words_become_numbers_and_equal_ones_one(
    spec: list[int | str], cores: int, expected: list[tuple[int | str, int]]
) -> None:
    assert resolve_workers(spec, cores) == expected


def test_io_counts_go_up_to_a_thousand_in_flight() -> None:
    counts = [n for _, n in resolve_workers(["io"], 2, in_flight=True)]
    assert counts == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_claims_are_for_more_than_one_worker_unless_a_count_is_named() -> None:
    claims = Claims(everywhere=1.5)
    assert claims.of(1, 1) is None
    assert claims.of(2, 2) == 1.5
    by_workers = Claims(by_workers={2: 1.5, "max": 3.0})
    assert by_workers.of(2, 2) == 1.5
    assert by_workers.of("max", 16) == 3.0
    assert by_workers.of(4, 4) is None


def test_a_marker_without_arguments_means_the_common_strategies() -> None:
    marker = MarkerArguments.parse((), {})
    assert marker.strategies == ("common",)
    assert marker.workers == ("auto",)
    assert marker.min_speedup is None
    assert marker.require == "all"


def test_a_marker_keeps_what_is_said() -> None:
    marker = MarkerArguments.parse(
        ("threads", "processes"),
        {
            "workers": [1, 2, "max"],
            "min_speedup": {2: 1.5},
            "options": {"threads": {"x": 1}},
            "scaling": "strong",
        },
    )
    assert marker.strategies == ("threads", "processes")
    assert marker.workers == (1, 2, "max")
    assert marker.min_speedup == Claims(by_workers={2: 1.5})
    assert marker.options == {"threads": {"x": 1}}


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ((), {"worker": 2}, "takes no argument 'worker'"),
        ((), {"worker": 2}, "Did you mean 'workers'?"),
        ((1,), {}, "names of strategies as text, not 1 (int)"),
        ((), {"workers": 0}, "workers must be at least 1, not 0"),
        ((), {"workers": -2}, "workers must be at least 1, not -2"),
        ((), {"workers": True}, "not True"),
        ((), {"workers": 1.5}, "not 1.5"),
        ((), {"workers": "many"}, "one of auto, io, max, max-1, not 'many'"),
        ((), {"workers": []}, "workers is empty"),
        ((), {"min_speedup": "fast"}, "must be a number above 0, not 'fast'"),
        ((), {"min_speedup": 0}, "must be a number above 0, not 0"),
        ((), {"min_speedup": float("inf")}, "above 0, not inf"),
        ((), {"min_speedup": {"auto": 2}}, "stands for several worker counts"),
        ((), {"min_speedup": {2: 2.5}}, "2.5 with 2 workers is more than any machine can reach"),
        ((), {"workers": [2, 4], "min_speedup": 3}, "3 with 2 workers is more than any machine can reach"),
        ((), {"workers": [2], "min_speedup": {4: 2}}, "names 4 workers, but workers= lists 2 only"),
        ((), {"min_efficiency": 1.2}, "a share between 0 and 1"),
        ((), {"require": "some"}, "must be 'all' or 'any', not 'some'"),
        ((), {"options": {"threads": 3}}, "must be {strategy: {name: value}}"),
        ((), {"scaling": "weak"}, "is not there yet"),
        ((), {"scaling": "odd"}, "must be 'strong'"),
        (("",), {}, "names no strategy"),
    ],
)
def test_a_wrong_marker_argument_is_one_sentence(args: Any, kwargs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        MarkerArguments.parse(args, kwargs)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_are_text_and_become_values() -> None:
    settings = Settings.parse(
        {
            "strategies": ("--parallel-strategies", "threads, processes"),
            "workers": ("--parallel-workers", "1,2,max"),
            "min_speedup": ("--parallel-min-speedup", "2:1.5,4:2.5"),
            "min_efficiency": ("--parallel-min-efficiency", "0.8"),
            "max_time": ("--parallel-max-time", "2.5"),
            "rounds": ("--parallel-rounds", "12"),
            "strict": ("--parallel-strict", True),
        }
    )
    assert settings.strategies == ("threads", "processes")
    assert settings.workers == (1, 2, "max")
    assert settings.min_speedup == Claims(by_workers={2: 1.5, 4: 2.5})
    assert settings.min_efficiency == Claims(everywhere=0.8)
    assert (settings.max_time, settings.rounds, settings.strict, settings.check) == (2.5, 12, True, False)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("workers", "two"),
        ("min_speedup", "2:"),
        ("min_speedup", "x:1"),
        ("max_time", "soon"),
        ("max_time", "-1"),
        ("rounds", "0"),
        ("rounds", "1.5"),
        ("strict", "perhaps"),
        ("strategies", " , "),
        ("min_efficiency", "80"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_names_it(name: str, raw: str) -> None:
    option = f"--parallel-{name}"
    with pytest.raises(UsageError) as caught:
        Settings.parse({name: (option, raw)})
    assert str(caught.value).startswith(option)
    assert "\n" not in str(caught.value)
