from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.contention import CONTENDED
from pytest_parallelism.gate import (
    HALF_WIDTH,
    LEAST_PAIRS,
    TOLERANCE,
    Gate,
    Quiet,
    Where,
    decider,
    interval,
)
from pytest_parallelism.inference import ALPHA, LOOKS, ratio_interval
from pytest_parallelism.measurement import Interval, Kind, Outcome, Pair, Verdict

from .conftest import TWO, a_round, exactly, judged, pair, spread

# The interval of the sequential procedure


def logs(pairs: tuple[Pair, ...]) -> list[float]:
    return [p.log_ratio for p in pairs]


@pytest.mark.parametrize(
    ("count", "gated", "rounds", "looks"),
    [
        (10, True, None, 5),
        (17, True, None, 5),
        (40, True, None, 5),
        (9, True, None, 1),
        (3, True, None, 1),
        (10, False, None, 1),
        (40, False, None, 1),
        (20, True, 20, 1),
    ],
)
def test_each_look_that_may_end_a_gate_takes_its_part_of_the_miss_probability(
    count: int, gated: bool, rounds: int | None, looks: int
) -> None:
    pairs = spread(1.5, count)
    found = interval(pairs, gated=gated, rounds=rounds)
    same = ratio_interval(logs(pairs), alpha=ALPHA / looks)
    assert (found.low, found.estimate, found.high) == (same.low, same.estimate, same.high)
    assert found.confidence == pytest.approx(0.98)


def test_one_pair_has_no_confidence_and_no_verdict() -> None:
    pairs = spread(50.0, 1)
    assert interval(pairs, gated=True).confidence == 0
    assert judged(Gate(claim=1.5), pairs).outcome is Outcome.INCONCLUSIVE


def test_stopping_a_gate_at_its_first_clear_look_keeps_the_stated_confidence() -> None:
    rng = np.random.default_rng(1)
    # The harshest case: the gate's limit is the truth, so that every miss stops the run and counts.
    gate = Gate(claim=1 / (1 - TOLERANCE))
    misses = 0
    for _ in range(400):
        pairs = tuple(pair(math.exp(x)) for x in rng.normal(0, 0.15, 40))
        decide = decider([gate], TWO)
        end = next(n for n in range(1, 41) if decide(pairs[:n]))
        found = interval(pairs[:end], gated=True)
        misses += not found.low <= 1.0 <= found.high
    assert misses <= 15  # more than 15 of 400 at a true 2 % happens in less than 1 % of such tests


# When to stop


def stops_at(decide: Any, pairs: tuple[Pair, ...]) -> int | None:
    return next((n for n in range(len(pairs) + 1) if decide(pairs[:n])), None)


@pytest.mark.parametrize("rounds", [1, 3, 50])
def test_fixed_rounds_stop_at_exactly_that_many_pairs(rounds: int) -> None:
    decide = decider([Gate(claim=1.5)], TWO, rounds=rounds)
    pairs = spread(3.0, 60)
    assert stops_at(decide, pairs) == rounds


@pytest.mark.parametrize("speedup", [1.0, 2.0])
def test_a_clear_pass_or_miss_ends_a_gated_point_at_the_first_look(speedup: float) -> None:
    assert stops_at(decider([Gate(claim=1.5)], TWO), (pair(speedup),) * 40) == LOOKS[0]


def test_a_miss_of_short_rounds_is_looked_at_again() -> None:
    """Ten of them are over sooner than what a host does to its guests at times."""
    short = a_round(0.01, 1.0, 0.0)
    pairs = (Pair(sequential=short, parallel=(short,)),) * 40
    assert stops_at(decider([Gate(claim=1.5)], TWO), pairs) == 28
    assert stops_at(decider([Gate(claim=0.5)], TWO), pairs) == LOOKS[0]


def test_a_gate_that_stays_open_goes_on_to_the_last_look() -> None:
    assert stops_at(decider([Gate(claim=1.5)], TWO), (pair(1.425),) * 60) == LOOKS[-1]


def test_every_gate_must_be_clear() -> None:
    open_one, clear_one = Gate(claim=1.5), Gate(metric="efficiency", claim=0.5)
    assert stops_at(decider([clear_one, open_one], TWO), (pair(1.425),) * 60) == LOOKS[-1]


def test_an_efficiency_gate_is_clear_where_its_speedup_is() -> None:
    gate = Gate(metric="efficiency", claim=0.9)
    assert stops_at(decider([gate], Where(workers=4, cores=4)), (pair(2.0),) * 40) == LOOKS[0]


def test_a_miss_under_contention_is_not_clear() -> None:
    busy = (pair(1.0, waited=0.5),) * 60
    assert stops_at(decider([Gate(claim=1.5)], TWO), busy) == LOOKS[-1]


def test_a_pass_under_contention_is_clear() -> None:
    assert stops_at(decider([Gate(claim=1.5)], TWO), (pair(2.0, waited=0.5),) * 60) == LOOKS[0]


def test_unknown_contention_does_not_keep_a_miss_open() -> None:
    assert stops_at(decider([Gate(claim=1.5)], TWO), (pair(1.0, waited=None),) * 60) == LOOKS[0]


def test_a_point_without_a_gate_stops_once_its_interval_is_narrow() -> None:
    calm = stops_at(decider([], TWO), (pair(1.5),) * 60)
    assert calm is not None
    assert calm >= LEAST_PAIRS
    found = interval((pair(1.5),) * calm, gated=False)
    assert (found.high - found.low) / 2 <= HALF_WIDTH * found.estimate


def test_a_noisy_point_without_a_gate_takes_more_pairs() -> None:
    rng = np.random.default_rng(2)
    noisy = tuple(pair(math.exp(x)) for x in rng.normal(0, 0.05, 200))
    calm, long = (
        stops_at(decider([], TWO), (pair(1.0),) * 200),
        stops_at(decider([], TWO), noisy),
    )
    assert calm is not None
    assert long is None or long > calm


def test_intervals_are_computed_at_looks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_parallelism.gate import _procedure as module

    looked: list[int] = []

    def counted(pairs: tuple[Pair, ...], *, gated: bool) -> Interval:
        looked.append(len(pairs))
        return exactly(1.5, 0.1, 9.0)

    monkeypatch.setattr(module, "interval", counted)
    pairs = (pair(1.5),) * 100
    assert stops_at(decider([], TWO), pairs) is None
    assert looked == [5, 7, 10, 14, 20, 28, 40, 57, 80]
    looked.clear()
    assert stops_at(decider([Gate(claim=1.5)], TWO), pairs) == LOOKS[-1]
    assert looked == list(LOOKS[:-1])


# Verdicts


def test_the_failure_sentence_says_claim_finding_pairs_and_conditions() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.31, 18), found=exactly(1.31, 1.27, 1.35))
    assert verdict == Verdict(
        gate="speedup",
        outcome=Outcome.FAILED,
        claim=1.5,
        found=1.31,
        sentence="speedup 1.31 [1.27, 1.35] with 2 threads is below 1.50 (18 pairs, 2 usable cores, GIL on)"
        "; tolerance 5 %: fails below 1.43",
    )


def test_an_efficiency_gate_speaks_of_efficiency() -> None:
    gate = Gate(metric="efficiency", claim=0.75)
    verdict = judged(gate, spread(1.31, 18), found=exactly(1.31, 1.27, 1.35), noun="processes", gil=False)
    assert verdict.found == pytest.approx(0.655)
    assert verdict.sentence == (
        "efficiency 0.66 [0.64, 0.68] with 2 processes is below 0.75 (18 pairs, 2 usable cores, GIL off)"
        "; tolerance 5 %: fails below 0.71"
    )


def test_one_of_a_kind_is_said_in_the_singular() -> None:
    found = exactly(0.5, 0.4, 0.6)
    verdict = judged(
        Gate(claim=0.9), spread(0.5, 1), found=found, workers=1, usable_cores=1, noun="processes"
    )
    assert "with 1 process is below 0.90 (1 pair, 1 usable core, GIL on)" in verdict.sentence


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.43, 1.60, Outcome.PASSED),
        (1.42, 1.43, Outcome.INCONCLUSIVE),
        (1.30, 1.42, Outcome.FAILED),
        (1.30, 1.60, Outcome.INCONCLUSIVE),
    ],
)
def test_only_an_interval_on_one_side_of_the_tolerance_decides(
    low: float, high: float, outcome: Outcome
) -> None:
    found = exactly((low * high) ** 0.5, low, high)
    assert judged(Gate(claim=1.5), spread(1.45, 20), found=found).outcome is outcome


def test_a_pass_says_whether_it_reached_the_claim_or_its_tolerance() -> None:
    above = judged(Gate(claim=1.5), spread(1.9, 10), found=exactly(1.91, 1.88, 1.94))
    within = judged(Gate(claim=1.5), spread(1.46, 10), found=exactly(1.46, 1.44, 1.48))
    assert "speedup 1.91 [1.88, 1.94] with 2 threads reaches 1.50 (10 pairs" in above.sentence
    assert "is within the tolerance of 5 % of 1.50" in within.sentence
    assert within.outcome is Outcome.PASSED


@pytest.mark.parametrize(("waited", "parallel"), [(0.3, 0.0), (0.0, 0.3)])
def test_a_miss_while_either_arm_waited_for_cores_is_inconclusive(waited: float, parallel: float) -> None:
    verdict = judged(Gate(claim=1.5), spread(1.0, 20, waited=waited, parallel=parallel))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "is below 1.50" in verdict.sentence
    assert "30 % of its runnable time went by waiting for a core" in verdict.sentence


def test_a_little_contention_does_not_save_a_miss() -> None:
    assert judged(Gate(claim=1.5), spread(1.0, 20, waited=CONTENDED * 0.9)).outcome is Outcome.FAILED


def test_a_pass_under_contention_stays_a_pass_where_the_work_is_not_dearer_than_when_quiet() -> None:
    known = Quiet(cpu_seconds=0.2, growth=1.0, source="in 0001")
    assert judged(Gate(claim=1.5), spread(2.0, 20, waited=0.5), quiet=known).outcome is Outcome.PASSED


def test_where_contention_is_unknown_a_miss_fails() -> None:
    assert judged(Gate(claim=1.5), spread(1.0, 20, waited=None)).outcome is Outcome.FAILED


def test_one_known_arm_is_used_where_the_other_is_unknown() -> None:
    pairs = (Pair(sequential=a_round(0.1, 1.0, None), parallel=(a_round(0.1, 1.0, 0.4),)),) * 20
    assert judged(Gate(claim=1.5), pairs).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("isolation", "gil", "outcome"),
    [
        ("thread", True, Outcome.FAILED),
        ("thread", False, Outcome.INCONCLUSIVE),
        ("process", True, Outcome.INCONCLUSIVE),
    ],
)
def test_threads_that_hand_over_the_gil_wait_for_each_other(
    isolation: str, gil: bool, outcome: Outcome
) -> None:
    pairs = spread(1.0, 20, parallel=0.15)
    assert judged(Gate(claim=1.5), pairs, isolation=isolation, gil=gil).outcome is outcome


def test_workers_beyond_the_cores_wait_for_each_other_and_that_is_no_contention() -> None:
    mixed = spread(1.4, 20, cpu=0.7, waited=0.0, parallel=0.5)
    assert judged(Gate(claim=1.9), mixed, workers=4).outcome is Outcome.FAILED
    assert judged(Gate(claim=1.9), mixed, workers=4, usable_cores=4).outcome is Outcome.INCONCLUSIVE


def test_an_io_bound_miss_is_a_miss_though_its_little_computing_waited() -> None:
    io_bound = spread(2.0, 20, cpu=0.1, waited=0.0, parallel=0.4)
    assert judged(Gate(claim=4.0), io_bound, workers=8, usable_cores=8).outcome is Outcome.FAILED


def test_traced_code_is_not_judged() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.0, 20), tracing="coverage")
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "is not judged against 1.50" in verdict.sentence
    assert verdict.sentence.endswith(": coverage traces the code")


def test_cpu_bound_work_with_more_workers_than_cores_is_not_judged() -> None:
    verdict = judged(Gate(claim=2.5), spread(1.9, 20), workers=4)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert verdict.sentence.endswith(": the work is CPU-bound and 4 workers share 2 usable cores")


def test_workers_of_a_cluster_elsewhere_have_cores_of_their_own() -> None:
    elsewhere = {"cluster": "the user's own", "address": "tcp://head:8786"}
    verdict = judged(Gate(claim=3.5), spread(3.8, 20), workers=4, strategy_info=elsewhere)
    assert verdict.outcome is Outcome.PASSED
    missed = judged(Gate(claim=3.5), spread(1.9, 20), workers=4, strategy_info=elsewhere)
    assert missed.outcome is Outcome.FAILED
    assert "cluster of yours" in missed.sentence
    assert "usable cores" not in missed.sentence


def test_the_kind_that_the_user_states_counts() -> None:
    verdict = judged(Gate(claim=2.5), spread(1.0, 20, cpu=0.01), workers=4, kind=Kind.CPU)
    assert verdict.outcome is Outcome.NOT_JUDGED


def test_a_claim_that_the_cpu_part_of_the_work_rules_out_here_is_not_judged() -> None:
    verdict = judged(Gate(claim=3.5), spread(2.0, 20, cpu=0.625), workers=4)
    assert verdict.outcome is Outcome.NOT_JUDGED
    # 2 cores / .625 = 3.2
    assert verdict.sentence.endswith(": its CPU share of 62 % allows at most 3.20 here")


def test_the_same_claim_in_efficiency_words() -> None:
    verdict = judged(Gate(metric="efficiency", claim=0.875), spread(2.0, 20, cpu=0.625), workers=4)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert verdict.sentence.endswith("allows at most 0.80 here")


def test_a_claim_that_the_cores_allow_is_judged_even_with_more_workers() -> None:
    assert judged(Gate(claim=3.0), spread(2.0, 20, cpu=0.625), workers=4).outcome is Outcome.FAILED


def test_work_that_beats_what_its_cpu_share_allows_has_passed() -> None:
    assert judged(Gate(claim=3.5), spread(3.6, 20, cpu=0.625), workers=4).outcome is Outcome.PASSED


def test_waiting_work_is_judged_with_any_number_of_workers() -> None:
    assert judged(Gate(claim=40.0), spread(45.0, 20, cpu=0.0), workers=50).outcome is Outcome.PASSED


def test_too_few_pairs_name_the_seconds_that_a_verdict_would_need() -> None:
    pairs = spread(1.3, 4, sd=0.06)
    verdict = judged(Gate(claim=1.5), pairs)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    # Ten pairs at .23 s: 2 s so far and 6 pairs more.
    assert verdict.sentence.endswith(": noise, a verdict would need about 4 s (10 pairs)")


def test_noise_that_forty_pairs_cannot_settle_is_said_so() -> None:
    early = judged(Gate(claim=1.5), spread(1.40, 12, sd=0.5))
    late = judged(Gate(claim=1.5), spread(1.44, 40, sd=0.1))
    assert early.sentence.endswith(": noise, even 40 pairs would not tell")
    assert late.sentence.endswith(": noise, 40 pairs cannot tell")


def test_a_speedup_next_to_the_limit_is_open_whatever_the_pairs() -> None:
    verdict = judged(Gate(claim=1.5), spread(1.43, 14, sd=0.0001))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.sentence.endswith("even 40 pairs would not tell")


def test_verdicts_hold_finite_numbers_only() -> None:
    verdict = judged(Gate(claim=1.5), (pair(1e-9), pair(1e9)))
    assert json.dumps(asdict(verdict), allow_nan=False)


def test_small_numbers_keep_two_digits() -> None:
    found = exactly(0.031, 0.03, 0.032)
    assert "speedup 0.031 [0.03, 0.032]" in judged(Gate(claim=1.5), spread(0.031, 10), found=found).sentence
