from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest

from pytest_parallelism.inference import (
    ALPHA,
    BETWEEN_RUN,
    LOOKS,
    SINGLE_SD,
    T_FLOOR_SD,
    log_interval,
    ratio_interval,
    signed_rank_pairs,
    t_quantile,
    variance_inflation,
)

Z_99 = 2.3263478740408408  # standard normal quantiles, any table
Z_998 = 2.8781617390954826


def walsh(values: list[float]) -> list[float]:
    """Sorted (x_i + x_j)/2 by the definition, the slow way."""
    return sorted((x + y) / 2 for i, x in enumerate(values) for y in values[i:])


def tail_by_enumeration(size: int, less_than: int) -> float:
    """P(rank sum < less_than) over all 2**size signs."""
    sums = (sum(r for r, taken in enumerate(signs, 1) if taken) for signs in product((0, 1), repeat=size))
    return math.ldexp(sum(s < less_than for s in sums), -size)


def unwidened(values: list[float], alpha: float) -> tuple[float, float]:
    """The limits of log_interval with both widenings taken back."""
    found = log_interval(values, alpha=alpha)
    between = (Z_99 if alpha == 0.01 else Z_998) * BETWEEN_RUN
    inflation = math.sqrt(variance_inflation(values))
    below = math.sqrt((found.estimate - found.low) ** 2 - between**2) / inflation
    above = math.sqrt((found.high - found.estimate) ** 2 - between**2) / inflation
    return found.estimate - below, found.estimate + above


@pytest.mark.parametrize(
    ("p", "df", "table"),
    [
        (0.99, 1, 31.821),
        (0.99, 2, 6.965),
        (0.99, 3, 4.541),
        (0.99, 4, 3.747),
        (0.99, 5, 3.365),
        (0.975, 1, 12.706),
        (0.975, 10, 2.228),
        (0.975, 30, 2.042),
        (0.998, 2, 15.764),
        (0.95, 7, 1.895),
        (0.9995, 4, 8.610),
        (0.95, 120, 1.658),
    ],
)
def test_t_quantiles_are_those_of_the_printed_tables(p: float, df: int, table: float) -> None:
    assert t_quantile(p, df) == pytest.approx(table, abs=6e-4)


@pytest.mark.parametrize(("p", "df"), [(0.5, 3), (1.0, 3), (0.99, 0)])
def test_t_quantiles_outside_their_range_are_refused(p: float, df: int) -> None:
    with pytest.raises(ValueError, match="t quantiles are for"):
        t_quantile(p, df)


@pytest.mark.parametrize(("alpha", "pairs"), [(0.01, 7), (0.002, 9), (0.5, 1), (0.125, 3)])
def test_signed_rank_needs_as_many_pairs_as_make_two_to_the_minus_n_small_enough(
    alpha: float, pairs: int
) -> None:
    assert signed_rank_pairs(alpha) == pairs
    assert 2.0**-pairs <= alpha < 2.0 ** -(pairs - 1)


@pytest.mark.parametrize(("size", "alpha"), [(7, 0.01), (9, 0.002), (10, 0.002), (12, 0.01), (14, 0.002)])
def test_the_limits_are_the_walsh_averages_of_the_exact_signed_rank_test(size: int, alpha: float) -> None:
    values = np.random.default_rng(size).normal(0.3, 0.1, size).tolist()
    averages = walsh(values)
    rank = max(k for k in range(1, len(averages)) if tail_by_enumeration(size, k) <= alpha)
    low, high = unwidened(values, alpha)
    assert low == pytest.approx(averages[rank - 1])
    assert high == pytest.approx(averages[-rank])


@pytest.mark.parametrize("size", [2, 3, 8, 13, 40])
def test_the_estimate_is_the_median_of_the_walsh_averages(size: int) -> None:
    values = np.random.default_rng(size).standard_t(2, size).tolist()
    assert log_interval(values).estimate == pytest.approx(float(np.median(walsh(values))))


def test_known_limits_of_twenty_pairs() -> None:
    # Wilcoxon's printed critical value for n = 20, one-sided .01, is 43: the 44th average from each end.
    values = [float(v) for v in np.random.default_rng(3).permutation(20) ** 1.5]
    low, high = unwidened(values, 0.01)
    assert low == pytest.approx(walsh(values)[43])
    assert high == pytest.approx(walsh(values)[-44])


@pytest.mark.parametrize("size", [301, 700])
def test_counting_the_averages_of_many_pairs_gives_the_same_as_listing_them(size: int) -> None:
    values = np.random.default_rng(size).standard_t(3, size).tolist()
    averages = np.array(walsh(values))
    found = log_interval(values)
    assert found.estimate == pytest.approx(float(np.median(averages)), abs=1e-12)
    low, high = unwidened(values, 0.01)
    mean, sd = size * (size + 1) / 4, math.sqrt(size * (size + 1) * (2 * size + 1) / 24)
    assert np.searchsorted(averages, low) == pytest.approx(mean - Z_99 * sd, rel=1e-3)
    assert np.searchsorted(averages, high) == pytest.approx(mean + Z_99 * sd, rel=1e-3)


def test_ten_thousand_pairs_need_no_square_of_memory_and_narrow_to_the_between_run_spread() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.05, 10_000).tolist()
    found = log_interval(values)
    assert found.estimate == pytest.approx(0.7, abs=0.003)
    assert found.high - found.estimate == pytest.approx(Z_99 * BETWEEN_RUN, rel=0.02)


@pytest.mark.parametrize("size", [201, 260])
def test_the_normal_limit_of_the_rank_sum_is_next_to_the_exact_one(size: int) -> None:
    from pytest_parallelism import inference

    exact = np.cumsum(inference._rank_sum_distribution(size))
    for alpha in (ALPHA, ALPHA / len(LOOKS)):
        attained = float(exact[inference._critical_rank(size, alpha) - 1])
        assert attained == pytest.approx(alpha, rel=0.06)


def test_few_pairs_get_a_t_interval_on_the_logs() -> None:
    values = [0.1, 0.4, 0.2]
    low, high = unwidened(values, 0.01)
    half = 6.9646 * float(np.std(values, ddof=1)) / math.sqrt(3)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-4)


def test_few_pairs_that_agree_by_luck_still_get_the_floor_of_the_spread() -> None:
    low, high = unwidened([0.5, 0.5, 0.5], 0.01)
    assert (high - low) / 2 == pytest.approx(6.9646 * T_FLOOR_SD / math.sqrt(3), rel=1e-4)


def test_one_pair_gets_a_very_wide_interval_and_no_confidence() -> None:
    found = ratio_interval([math.log(2)])
    assert found.estimate == pytest.approx(2)
    assert found.high / 2 == pytest.approx(math.exp(Z_99 * SINGLE_SD))
    assert 2 / found.low == pytest.approx(math.exp(Z_99 * SINGLE_SD))
    assert found.confidence == 0


def test_confidence_is_two_sided() -> None:
    assert log_interval([0.1, 0.2, 0.3]).confidence == pytest.approx(0.98)
    assert log_interval([0.1] * 10, alpha=0.05).confidence == pytest.approx(0.90)


def test_no_interval_is_narrower_than_the_spread_between_runs() -> None:
    found = log_interval([0.5] * 40)
    assert found.high - found.estimate == pytest.approx(Z_99 * BETWEEN_RUN)
    assert found.estimate - found.low == pytest.approx(Z_99 * BETWEEN_RUN)


def test_adding_a_constant_to_all_log_ratios_moves_the_interval_by_it() -> None:
    values = np.random.default_rng(5).normal(0, 0.1, 25)
    here, there = log_interval(values.tolist()), log_interval((values + 3).tolist())
    assert there.low - here.low == pytest.approx(3)
    assert there.high - here.high == pytest.approx(3)


def test_swapping_the_arms_mirrors_the_interval() -> None:
    values = np.random.default_rng(6).standard_t(3, 17)
    here, mirrored = log_interval(values.tolist()), log_interval((-values).tolist())
    assert mirrored.low == pytest.approx(-here.high)
    assert mirrored.estimate == pytest.approx(-here.estimate)


def test_one_wild_pair_hardly_moves_estimate_or_limits() -> None:
    values = np.random.default_rng(7).normal(0, 0.05, 40)
    wild = values.copy()
    wild[11] = 9.0
    assert log_interval(wild.tolist()).estimate == pytest.approx(
        log_interval(values.tolist()).estimate, abs=0.01
    )
    assert log_interval(wild.tolist()).high < 0.1


def test_variance_inflation_is_one_where_there_is_nothing_to_correlate() -> None:
    assert variance_inflation([0.3] * 12) == 1
    assert variance_inflation([1e-9 + 0.7] * 100) == 1
    assert variance_inflation([0.1, 0.2]) == 1


def test_variance_inflation_follows_its_formula() -> None:
    values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]  # centred: -3.5 … 3.5, sum of squares 42
    first = (3.5 * 2.5 + 2.5 * 1.5 + 1.5 * 0.5) * 2 - 0.25
    second = (3.5 * 1.5 + 2.5 * 0.5) * 2 - 2 * 0.75
    by_hand = 1 + 2 * (7 / 8 * (first / 42 + 1 / 8) + 6 / 8 * (second / 42 + 1 / 8))
    assert variance_inflation(values) == pytest.approx(by_hand)


def test_variance_inflation_never_narrows_an_interval() -> None:
    alternating = [(-1.0) ** i for i in range(20)]
    # Two lags: the first is near -1 and clipped; the second is near +1 and counted.
    assert variance_inflation(alternating) > 1
    assert variance_inflation([1.0, -1.0, 0.9, -0.9]) == 1


def test_correlated_pairs_get_a_wider_interval_than_the_same_pairs_shuffled() -> None:
    rng = np.random.default_rng(8)
    drifting = np.cumsum(rng.normal(0, 0.05, 40))
    shuffled = rng.permutation(drifting)
    wide, narrow = log_interval(drifting.tolist()), log_interval(shuffled.tolist())
    assert wide.estimate == pytest.approx(narrow.estimate)
    assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf]])
def test_no_pairs_and_infinite_ratios_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one or more finite log ratios"):
        log_interval(values)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha is the miss probability"):
        log_interval([0.1, 0.2], alpha=alpha)


@pytest.mark.parametrize("values", [[-40.0, 40.0], [600.0], [0.0, 1e3]])
def test_ratios_are_finite_whatever_the_pairs(values: list[float]) -> None:
    found = ratio_interval(values)
    assert json.dumps([found.low, found.estimate, found.high], allow_nan=False)
    assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize("size", [3, 8, 10, 40])
def test_the_interval_covers_the_truth_as_often_as_it_states(size: int) -> None:
    rng = np.random.default_rng(size)
    runs, misses = 1000, 0
    for _ in range(runs):
        found = log_interval((0.4 + rng.standard_t(3, size) * 0.2).tolist())
        misses += not found.low <= 0.4 <= found.high
    assert misses <= 31  # more than 31 of 1,000 at a true 2 % happens in less than 1 % of such tests
