"""Confidence interval of a speedup from paired rounds: Hodges-Lehmann and Wilcoxon on the log ratios.

The rounds of a shared machine are skewed, heavy-tailed and sometimes correlated in time. The signed-rank
interval asks only that the log ratios be symmetric about the speedup; the rest is widened for:
autocorrelation by a variance inflation factor, the spread between sessions by `BETWEEN_RUN`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .measurement import Interval

__all__ = [
    "ALPHA",
    "BETWEEN_RUN",
    "LOOKS",
    "SINGLE_SD",
    "T_FLOOR_SD",
    "log_interval",
    "ratio_interval",
    "signed_rank_pairs",
    "t_quantile",
    "variance_inflation",
]

ALPHA = 0.01
"""Probability of a miss on each side of a stated interval: 98 % two-sided (MEASURING.md, procedure)."""

LOOKS = (10, 14, 20, 28, 40)
"""Pairs after which a gate is looked at; each look takes ``ALPHA / len(LOOKS)`` (Bonferroni)."""

BETWEEN_RUN = 0.01
"""SD of the log speedup between sessions of one quiet machine, which no session sees (MEASURING.md, tau)."""

T_FLOOR_SD = 0.02
"""Least SD of a log ratio that a t interval assumes: three pairs may agree by luck, twice `BETWEEN_RUN`."""

SINGLE_SD = 0.45
"""Assumed SD of the log ratio of one lone pair: two unpaired times of a loaded machine, .32 each."""

_EXACT_PAIRS = 200  # Beyond it the normal limit of the rank sum is within a rank or two of the exact one.
_DIRECT_PAIRS = 300  # Beyond it the Walsh averages are counted, which is faster there and needs no memory.
_LARGEST_LOG = 700.0  # exp() of more is not a finite float, and JSON holds finite floats only.

Floats = NDArray[np.float64]


def ratio_interval(log_ratios: Sequence[float], *, alpha: float = ALPHA) -> Interval:
    """`log_interval` as ratios (speedups): its estimate, low and high exponentiated, all finite."""
    log = log_interval(log_ratios, alpha=alpha)
    estimate, low, high = (
        math.exp(max(-_LARGEST_LOG, min(value, _LARGEST_LOG))) for value in (log.estimate, log.low, log.high)
    )
    return Interval(estimate=estimate, low=low, high=high, confidence=log.confidence)


def log_interval(log_ratios: Sequence[float], *, alpha: float = ALPHA) -> Interval:
    """Estimate and interval of the log ratio, missing with at most ``alpha`` on each side.

    The estimate is the median of the Walsh averages (Hodges and Lehmann, 1963). The limits are the exact
    Wilcoxon signed-rank ones (Hollander and Wolfe, Nonparametric Statistical Methods, 3.3), from
    `signed_rank_pairs` pairs on; for fewer a t interval whose SD is at least `T_FLOOR_SD`. Both are
    widened about the estimate by sqrt(`variance_inflation`), and, in quadrature, by `BETWEEN_RUN`.

    ``confidence`` is ``1 - 2 * alpha``. A single pair has no spread: it gets the limits that `SINGLE_SD`
    gives, and a confidence of 0, which says that nothing was found out.

    Raises ValueError for no log ratios, for one that is not finite, and for alpha outside (0, 0.5).
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"an interval needs one or more finite log ratios; found {log_ratios!r}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is the miss probability of one side, between 0 and 0.5; found {alpha!r}")
    if values.size == 1:
        half = NormalDist().inv_cdf(1 - alpha) * SINGLE_SD
        only = float(values[0])
        return Interval(estimate=only, low=only - half, high=only + half, confidence=0.0)
    reaches = values.size >= signed_rank_pairs(alpha)
    estimate, low, high = _signed_rank(values, alpha) if reaches else _student(values, alpha)
    inflation = variance_inflation(values)
    between = NormalDist().inv_cdf(1 - alpha) * BETWEEN_RUN
    return Interval(
        estimate=estimate,
        low=estimate - math.hypot(math.sqrt(inflation) * (estimate - low), between),
        high=estimate + math.hypot(math.sqrt(inflation) * (high - estimate), between),
        confidence=1 - 2 * alpha,
    )


def signed_rank_pairs(alpha: float) -> int:
    """Fewest pairs with which a signed-rank test reaches ``alpha``: its least p value is 2**-n."""
    return math.ceil(-math.log2(alpha))


def variance_inflation(log_ratios: Sequence[float] | Floats) -> float:
    """How many times larger the variance of the mean is than for independent values; at least 1.

    ``1 + 2 * sum((1 - k/n) * max(0, r_k + 1/n))`` over lags k up to the cube root of n, r_k the
    autocorrelation: Bartlett's formula with positive lags only, because a few dozen pairs cannot prove
    that they are better than independent, and with the bias of r_k taken back, which is -1/n (Kendall,
    1954). Simulated gates cover 98.4 % at a lag-1 autocorrelation of .2, 97.3 % at .3 and 92.4 % at .5
    (benchmarks/results/interval_coverage.txt); paired rounds have .02, single ones .69 (MEASURING.md).
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    size = values.size
    centred = values - values.mean()
    power = float(centred @ centred)
    # Rounding leaves a constant series a power of about (size of the values * 1e-16) squared.
    if power <= size * (1e-13 * max(1.0, float(np.abs(values).max()))) ** 2:
        return 1.0
    lags = range(1, min(_cube_root(size), size - 1) + 1)
    correlations = (float(centred[:-lag] @ centred[lag:]) / power + 1 / size for lag in lags)
    return 1 + 2 * sum((1 - lag / size) * max(0.0, r) for lag, r in zip(lags, correlations, strict=True))


def t_quantile(p: float, df: int) -> float:
    """The ``p`` quantile (0.5 < p < 1) of Student's t with ``df`` degrees of freedom, by bisection.

    The distribution function is the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    if df < 1 or not 0.5 < p < 1:
        raise ValueError(f"t quantiles are for df >= 1 and 0.5 < p < 1; found df={df!r}, p={p!r}")
    # In the angle theta = atan(t / sqrt(df)) the search has ends, whatever the tails.
    low, high = 0.0, math.pi / 2
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_central(middle, df) < 2 * p - 1 else (low, middle)
    return math.sqrt(df) * math.tan((low + high) / 2)


def _t_central(theta: float, df: int) -> float:
    """P(|T| < t) with ``theta = atan(t / sqrt(df))``."""
    odd = df % 2
    term = math.cos(theta) if odd else 1.0
    total = term if df > 1 else 0.0
    for k in range(2 + odd, df - 1, 2):
        term *= math.cos(theta) ** 2 * (k - 1) / k
        total += term
    inside = math.sin(theta) * total
    return 2 / math.pi * (theta + inside) if odd else inside


def _student(values: Floats, alpha: float) -> tuple[float, float, float]:
    size = values.size
    spread = max(float(values.std(ddof=1)), T_FLOOR_SD)
    half = t_quantile(1 - alpha, size - 1) * spread / math.sqrt(size)
    # The limits stand about the same estimate as the signed-rank ones: one estimator whatever n.
    estimate = _median_walsh(values)
    return estimate, estimate - half, estimate + half


def _signed_rank(values: Floats, alpha: float) -> tuple[float, float, float]:
    walsh = values.size * (values.size + 1) // 2
    rank = _critical_rank(values.size, alpha)
    low, high = _walsh_averages(values, (rank - 1, walsh - rank))
    return _median_walsh(values), low, high


def _median_walsh(values: Floats) -> float:
    walsh = values.size * (values.size + 1) // 2
    return sum(_walsh_averages(values, ((walsh - 1) // 2, walsh // 2))) / 2


def _walsh_averages(values: Floats, ranks: Sequence[int]) -> list[float]:
    """The Walsh averages (x_i + x_j)/2, i <= j, of these ranks (0 is the smallest)."""
    if values.size > _DIRECT_PAIRS:
        ordered = np.sort(values)
        return [_count_to(ordered, rank) for rank in ranks]
    rows, columns = _triangle(values.size)
    averages = np.partition((values[rows] + values[columns]) / 2, ranks)
    return [float(averages[rank]) for rank in ranks]


def _count_to(ordered: Floats, rank: int) -> float:
    """The Walsh average of that rank by bisection on its value, in memory of n and not of n squared."""
    low, high = float(ordered[0]), float(ordered[-1])
    for _ in range(64):
        middle = (low + high) / 2
        both_orders = int(np.searchsorted(ordered, 2 * middle - ordered, side="right").sum())
        diagonal = int(np.searchsorted(ordered, middle, side="right"))
        low, high = (low, middle) if (both_orders + diagonal) // 2 > rank else (middle, high)
    return high


@lru_cache(maxsize=32)
def _triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(size)


@lru_cache(maxsize=256)
def _critical_rank(size: int, alpha: float) -> int:
    """The largest k with P(rank sum < k) <= alpha: the interval runs from the k-th Walsh average on."""
    if size > _EXACT_PAIRS:
        mean, sd = size * (size + 1) / 4, math.sqrt(size * (size + 1) * (2 * size + 1) / 24)
        return math.floor(mean + NormalDist().inv_cdf(alpha) * sd + 0.5)
    return int(np.searchsorted(np.cumsum(_rank_sum_distribution(size)), alpha, side="right"))


def _rank_sum_distribution(size: int) -> Floats:
    """P(W = w) for the sum W of the ranks 1 .. size, each taken with probability one half."""
    chance: Floats = np.zeros(size * (size + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, size + 1):
        taken = np.zeros_like(chance)
        taken[rank:] = chance[:-rank]
        chance = (chance + taken) / 2
    return chance


def _cube_root(size: int) -> int:
    """Floor of the cube root; the float power of 64 is 3.9999…"""
    root = round(math.pow(size, 1 / 3))
    return root if root**3 <= size else root - 1
