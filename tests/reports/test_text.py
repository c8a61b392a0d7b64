from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_parallelism.history import Seen, Series
from pytest_parallelism.measurement import Interval
from pytest_parallelism.reports import history
from pytest_parallelism.reports.text import (
    amount,
    cells,
    clean,
    commit,
    counted,
    half_width,
    moment,
    percent,
    seconds,
    shorten,
    size,
    speedup,
    wrapped,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"),
        (0.001, "<.01"),
        (0.07, "0.07"),
        (1.914, "1.91"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (312.54, "312.5"),
        (999.96, "1000"),
        (123456.0, "1e+05"),
    ],
)
def test_speedups_have_two_decimals_below_ten_and_one_above(value: float, shown: str) -> None:
    assert speedup(value) == shown


@pytest.mark.parametrize(
    ("estimate", "half", "shown"),
    [(1.9, 0.03, "±.03"), (1.9, 0.0001, "±.01"), (1.9, 0, "±.00"), (1.9, 1.25, "±1.25"), (31.0, 0.62, "±.6")],
)
def test_half_widths_have_the_decimals_of_their_estimate(estimate: float, half: float, shown: str) -> None:
    low, high = estimate - half, estimate + half
    assert half_width(Interval(estimate=estimate, low=low, high=high, confidence=0.98)) == shown


def test_figures_of_any_size_stay_short() -> None:
    wide = Interval(estimate=1.0, low=0.0, high=1e300, confidence=0.98)
    figures = [speedup(1e300), half_width(wide), percent(1e300), seconds(1e300), size(1e300)]
    assert max(map(len, figures)) <= 9


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 s"),
        (0.412, "412 ms"),
        (0.99961, "1 s"),
        (1.234, "1.23 s"),
        (85e-6, "85 µs"),
        (3e-10, "0.3 ns"),
        (4000.0, "4,000 s"),
    ],
)
def test_seconds_have_the_unit_that_suits_them(value: float, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (14.2e6, "14.2 MB"), (999.9e6, "1 GB")]
)
def test_sizes_have_decimal_units(value: float, shown: str) -> None:
    assert size(value) == shown


def test_counts_agree_with_their_noun() -> None:
    assert [counted(n, "worker") for n in (0, 1, 1000)] == ["0 workers", "1 worker", "1,000 workers"]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred", "?[31mred"),
        ("abc\u202edef", "abc?def"),
        ("\ud800", "?"),
        ("e\u0301", "é"),
        ("語", "語"),
    ],
)
def test_what_would_break_a_terminal_is_replaced(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_wide_characters_take_two_cells() -> None:
    assert cells("a語") == 3


@given(st.text(), st.integers(1, 50))
def test_shortened_text_fits_and_short_text_stays(text: str, width: int) -> None:
    short = shorten(text, width)
    assert cells(short) <= width
    if cells(text) <= width:
        assert short == text


@given(st.text(), st.integers(8, 50))
def test_wrapped_text_fits_and_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width, first="a ", rest="  ")
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines)[2:].split()) == "".join(text.split())


def test_wrapped_lines_begin_in_one_column() -> None:
    assert wrapped("one two three", 10, first="tag  ", rest="     ") == ["tag  one", "     two", "     three"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (0.25, "0.25"), (149, "149"), (999.6, "1k"), (14_200, "14.2k"), (3e9, "3G")],
)
def test_amounts_have_three_digits_and_a_letter_for_thousands(number: float, shown: str) -> None:
    assert amount(number) == shown


def test_a_commit_is_its_first_ten_characters_and_no_word_for_none() -> None:
    assert commit("c0ffee" * 6) == "c0ffeec0ff"
    assert commit("unversioned") == commit("") == ""


def test_a_moment_is_to_the_minute() -> None:
    assert moment("2025-11-22T08:41:59.123+00:00") == "2025-11-22 08:41 UTC"
    assert moment("") == ""


def test_the_lines_of_a_history_do_not_name_a_commit_that_is_none() -> None:
    found = Interval(estimate=1.9, low=1.8, high=2.0, confidence=0.98)
    seen = [
        Seen(run=run, when="2025-11-22T08:41", commit=name, speedup=found)
        for run, name in (("0001", "c0ffee" * 6), ("0002", "unversioned"))
    ]
    _, first, second = history.render([Series(point="test_a[threads-w2]", seen=tuple(seen))])
    assert first.split() == ["0001", "2025-11-22T08:41", "c0ffeec0", "1.90", "[1.80,", "2.00]"]
    assert second.split() == ["0002", "2025-11-22T08:41", "1.90", "[1.80,", "2.00]"]
