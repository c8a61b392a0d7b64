from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_parallelism.measurement import Interval, Kind, Outcome, Verdict
from pytest_parallelism.record import Contention, Entry
from pytest_parallelism.reports.terminal import Line, render

Make = Callable[..., Entry]

WHERE = "2 usable cores, GIL on"
RAY = "ray needs ray, not installed here: pip install 'pytest-parallelism[ray]'"


def verdict(outcome: str, claim: float, found: float | None, sentence: str, gate: str = "speedup") -> Verdict:
    return Verdict(gate=gate, outcome=Outcome(outcome), claim=claim, found=found, sentence=sentence)


def not_judged(found: float) -> Verdict:
    reason = "the work is CPU-bound and 4 workers share 2 usable cores"
    sentence = (
        f"speedup {found} [1.8, 1.9] with 4 workers is not judged against 2.50 (14 pairs, {WHERE}): {reason}"
    )
    return verdict("not judged", 2.5, found, sentence)


def documents(entry: Make) -> list[Entry]:
    below = f"speedup 0.98 [0.96, 1.00] with 2 threads is below 1.50 (18 pairs, {WHERE})"
    return [
        entry("sequential", 1, 1.0, 0.01),
        entry("processes", 1, 0.97, 0.01),
        entry("processes", 2, 1.91, 0.03, verdicts=(verdict("passed", 1.5, 1.91, "reaches"),)),
        entry("processes", 4, 1.88, 0.05, verdicts=(not_judged(1.88),)),
        entry("joblib-loky", 1, 0.96, 0.02),
        entry("joblib-loky", 2, 1.90, 0.04, verdicts=(verdict("passed", 1.5, 1.9, "reaches"),)),
        entry("joblib-loky", 4, 1.85, 0.06, verdicts=(not_judged(1.85),)),
        entry("threads", 2, 0.98, 0.02, verdicts=(verdict("failed", 1.5, 0.98, below),), waited=0.23),
        entry("processes-fork", 2, status="failed", reason="item 3 is 17, sequentially 18"),
        entry("ray", 2, status="skipped", reason=RAY),
        entry("ray", 4, status="skipped", reason=RAY),
    ]


AT_80 = """\
test_parse   64 items, 14.2 MB, cpu-bound; sequential 412 ms
  speedup ± half-width (98 %), efficiency; * best
                   1 worker         2 workers        4 workers
                                (more than the 2 usable cores)
  sequential       1.00 ±.01 100%
  processes        0.97 ±.01  97%  *1.91 ±.03  96%   1.88 ±.05  47%
  joblib-loky      0.96 ±.02  96%   1.90 ±.04  95%   1.85 ±.06  46%
  threads                           0.98 ±.02  49%
  processes-fork                    failed
  use processes with 2 workers: 1.91x, 297 items/s, 65.8 MB/s; joblib-loky is
  within noise of it. Threads gain nothing here: the GIL is on.
  cost        430 ms of CPU a round (sequential 410 ms); 182 MB at peak; 40 ms
              to open and close, 1.72x with that
  passed      1.91 >= 1.50 processes-w2, 1.90 >= 1.50 joblib-loky-w2
  failed      threads-w2: speedup 0.98 [0.96, 1.00] with 2 threads is below 1.50
              (18 pairs, 2 usable cores, GIL on)
  not judged  processes-w4, joblib-loky-w4: 2.50 at 4 workers: the work is
              CPU-bound and 4 workers share 2 usable cores
  failed      processes-fork-w2: item 3 is 17, sequentially 18
  note        contended, part of the time waiting for a core: threads-w2 23%
  skipped     ray: ray needs ray, not installed here: pip install
              'pytest-parallelism[ray]'

2 usable cores of AMD EPYC 9R14, Python 3.11.7, GIL on, BLAS 1 thread, contended
at 1 of 8 points (0.4 % contention, 23 % at worst)
points: 8 measured, 1 failed, 2 skipped
verdicts: 2 passed, 1 failed, 0 inconclusive, 2 not judged
nothing was stored: add --benchmark-autosave or --benchmark-json=FILE to keep
these figures"""

AT_160 = """\
test_parse   64 items, 14.2 MB, cpu-bound; sequential 412 ms     speedup ± half-width (98 %), efficiency; * best
                   1 worker         2 workers        4 workers (more than the 2 usable cores)
  sequential       1.00 ±.01 100%
  processes        0.97 ±.01  97%  *1.91 ±.03  96%   1.88 ±.05  47%
  joblib-loky      0.96 ±.02  96%   1.90 ±.04  95%   1.85 ±.06  46%
  threads                           0.98 ±.02  49%
  processes-fork                    failed
  use processes with 2 workers: 1.91x, 297 items/s, 65.8 MB/s; joblib-loky is within noise of it. Threads gain nothing here: the GIL is on.
  cost        430 ms of CPU a round (sequential 410 ms); 182 MB at peak; 40 ms to open and close, 1.72x with that
  passed      1.91 >= 1.50 processes-w2, 1.90 >= 1.50 joblib-loky-w2
  failed      threads-w2: speedup 0.98 [0.96, 1.00] with 2 threads is below 1.50 (18 pairs, 2 usable cores, GIL on)
  not judged  processes-w4, joblib-loky-w4: 2.50 at 4 workers: the work is CPU-bound and 4 workers share 2 usable cores
  failed      processes-fork-w2: item 3 is 17, sequentially 18
  note        contended, part of the time waiting for a core: threads-w2 23%
  skipped     ray: ray needs ray, not installed here: pip install 'pytest-parallelism[ray]'

2 usable cores of AMD EPYC 9R14, Python 3.11.7, GIL on, BLAS 1 thread, contended at 1 of 8 points (0.4 % contention, 23 % at worst)
points: 8 measured, 1 failed, 2 skipped
verdicts: 2 passed, 1 failed, 0 inconclusive, 2 not judged
nothing was stored: add --benchmark-autosave or --benchmark-json=FILE to keep these figures"""  # noqa: E501  # the text as printed, 160 wide

FETCH = """\
test_fetch   64 items, io-bound; sequential 412 ms
  speedup ± half-width (98 %), efficiency; * best
            1 worker           2 workers          4 workers
  asyncio    0.97  ±.02  97%    1.94  ±.04  97%    3.88  ±.08  97%
  threads    0.95  ±.02  95%    1.90  ±.04  95%    3.80  ±.08  95%
            8 workers          max (10)           16 workers
  asyncio    7.76  ±.16  97%                       15.5   ±.3  97%
  threads    7.60  ±.16  95%    9.30  ±.30  93%
            32 workers         64 workers         128 workers
  asyncio    31.0   ±.6  97%    62.1  ±1.3  97%   124.2  ±2.6  97%
            256 workers        512 workers        1,000 workers
  asyncio   248.3  ±5.1  97%  *310.0 ±10.2  61%   310.0 ±20.0  31%
  use asyncio with 512 workers: 310.0x, 297 items/s."""


def fetches(entry: Make) -> list[Entry]:
    io: dict[str, Any] = {"kind": Kind.IO, "size_bytes": None, "test": "suite/test_net.py::test_fetch"}
    # Thousands of bytes are no fact of a fetch whose sizes nobody told.
    found = [entry("asyncio", n, min(0.97 * n, 310.0), 0.02 * n, **io) for n in (*map(pow2, range(10)), 1000)]
    found += [entry("threads", n, 0.95 * n, 0.02 * n, **io) for n in (1, 2, 4, 8)]
    found.append(entry("threads", 10, 9.3, 0.3, workers_requested="max", **io))
    return [without_bytes(e) for e in found]


def pow2(exponent: int) -> int:
    return 1 << exponent


def without_bytes(entry: Entry) -> Entry:
    assert entry.record is not None
    throughput = replace(entry.record.throughput, bytes_per_second=None)
    return replace(entry, record=replace(entry.record, throughput=throughput))


def shown(entries: Sequence[Entry], width: int = 160, **settings: Any) -> str:
    return "\n".join(line.text for line in render(entries, width=width, **{"saved": True, **settings}))


def style_of(lines: Sequence[Line], start: str) -> str:
    return next(line.style for line in lines if line.text.strip().startswith(start))


def test_the_whole_report_at_80_columns(entry: Make) -> None:
    assert shown(documents(entry), 80, saved=False) == AT_80


def test_the_whole_report_at_160_columns(entry: Make) -> None:
    assert shown(documents(entry), 160, saved=False) == AT_160


def test_many_worker_counts_become_blocks_of_aligned_columns(entry: Make) -> None:
    report = shown(fetches(entry), 80)
    assert report.startswith(FETCH)


def test_many_worker_counts_need_fewer_blocks_on_a_wide_terminal(entry: Make) -> None:
    heads = [
        line for line in shown(fetches(entry), 160).splitlines() if " workers" in line and "use" not in line
    ]
    assert [line.split()[0] for line in heads] == ["1", "32"]


def test_no_points_give_no_lines() -> None:
    assert render([], width=80, saved=False) == []


def test_points_that_ran_once_are_not_measured_and_never_passed(entry: Make) -> None:
    why = "run once for correctness (--benchmark-disable)"
    entries = [
        entry("threads", 2, status="not measured", reason=why),
        entry("processes", 2, status="not measured", reason=why),
    ]
    assert shown(entries, 80, saved=False) == (
        "test_parse\n"
        "  not measured  threads-w2, processes-w2: run once for correctness\n"
        "                (--benchmark-disable)\n"
        "\n"
        "points: 2 not measured\n"
        "verdicts: 0 passed, 0 failed, 0 inconclusive, 0 not judged"
    )


def test_figures_of_a_failed_test_are_not_shown(entry: Make) -> None:
    report = shown([entry("threads", 2, 9.87, status="failed", reason="assert 1 == 2")])
    assert "9.87" not in report
    assert "failed  threads-w2: assert 1 == 2" in report


def test_of_a_repeated_test_the_last_outcome_counts(entry: Make) -> None:
    first = entry("threads", 2, status="error", reason="lost a worker")
    assert "lost" not in shown([first, entry("threads", 2, 1.9)])


def test_max_shares_the_column_of_its_number(entry: Make) -> None:
    report = shown([entry("threads", 2, 1.9), entry("processes", 2, 1.8, workers_requested="max")])
    assert "2 workers" in report
    assert "max (2)" not in report


def test_a_strategy_that_chose_the_same_count_twice_shows_both(entry: Make) -> None:
    report = shown(
        [entry("adaptive", 2, 1.91, workers_requested=4), entry("adaptive", 2, 1.82, workers_requested=8)]
    )
    assert "1.91" in report
    assert "adaptive-w8" in report
    assert "1.82" in report


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        ([1, 2, 4], "4 workers (more than the 2 usable cores)"),
        ([2, 4, 8], "8 workers       (from 4 on more than the 2 usable cores)"),
        ([4, 8], "8 workers       (all more than the 2 usable cores)"),
    ],
)
def test_counts_above_the_usable_cores_are_told(entry: Make, counts: list[int], note: str) -> None:
    report = shown([entry("processes", n, 1.5) for n in counts])
    assert " ".join(note.split()) in " ".join(report.split())


def test_waiting_work_needs_no_cores_of_its_own(entry: Make) -> None:
    assert "more than" not in shown([entry("threads", 8, 7.5, kind=Kind.IO)])


def test_a_pass_within_the_tolerance_is_explained_by_its_sentence(entry: Make) -> None:
    why = (
        f"speedup 1.46 [1.44, 1.48] with 2 threads is within the tolerance of 5 % of 1.50 (14 pairs, {WHERE})"
    )
    report = shown([entry("threads", 2, 1.46, verdicts=(verdict("passed", 1.5, 1.46, why),))])
    assert f"passed  threads-w2: {why}" in report
    assert "1.46 >= 1.50" not in report


def test_efficiency_is_compared_in_percent(entry: Make) -> None:
    report = shown(
        [entry("threads", 2, 1.8, verdicts=(verdict("passed", 0.8, 0.9, "reaches", "efficiency"),))]
    )
    assert "passed  90% >= 80% threads-w2" in report


def test_the_verdict_of_a_family_is_said_once_in_its_own_words(entry: Make) -> None:
    family = verdict(
        "passed", 1.5, 1.9, "speedup 1.50 is reached by one strategy or more: processes 1.90, threads 0.98"
    )
    report = shown([entry("processes", 2, 1.9), entry("threads", 2, 0.98, verdicts=(family,))])
    assert "passed  speedup 1.50 is reached by one strategy" in report
    assert "1.90 >= 1.50 threads" not in report


def test_equal_notes_are_merged_and_those_that_differ_in_figures_too(entry: Make) -> None:
    report = shown(
        [
            entry("threads", 2, 1.5, notes=("possibly cached: 2.3 times",)),
            entry("processes", 2, 1.5, notes=("possibly cached: 4.1 times",)),
            entry("processes", 4, 1.5, notes=("other",)),
        ]
    )
    assert "threads-w2, processes-w2: possibly cached: 2.3 times; the others alike" in report
    assert "4.1" not in report
    assert "processes-w4: other" in report


def test_a_count_that_a_strategy_chose_stands_under_it_and_is_explained(entry: Make) -> None:
    info = {"chosen": "2 1 3", "why": "4 usable cores, of which others use 1.2"}
    report = shown([entry("adaptive", 3, 2.5, workers_requested="max", strategy_info=info)])
    assert "3 workers" in report
    assert "max (" not in report
    told = " ".join(report.split())
    assert "adaptive-wmax: chose 2 1 3 workers one after another, the last for 4 usable cores, of" in told


def test_an_unchecked_result_is_told_once(entry: Make) -> None:
    bare = shown([entry("threads", 2, 1.5, result="unchecked")])
    assert "note  threads-w2: the parallel result was not checked; use equal=" in bare
    noted = shown([entry("threads", 2, 1.5, result="unchecked", notes=("results not wholly checked: X",))])
    assert noted.count("checked") == 1


def test_traced_figures_are_told_and_give_no_advice(entry: Make) -> None:
    report = shown([entry("threads", 2, 1.9, tracing="coverage (sys.settrace)")])
    assert "traced by coverage (sys.settrace), whose own cost is in the figures" in report
    assert "no advice" in report
    assert "use threads" not in report


def test_one_pair_has_no_half_width_and_gives_no_advice(entry: Make) -> None:
    lone = Interval(estimate=1.9, low=0.7, high=5.4, confidence=0.0)
    report = shown([entry("threads", 2, 1.9, speedup=lone)])
    assert "speedup, efficiency; ±? one pair only" in report
    assert "1.90   ±?  95%" in report
    assert "no advice: one pair" in report


def test_differing_confidences_are_shown_as_a_range(entry: Make) -> None:
    less = Interval(estimate=1.9, low=1.7, high=2.1, confidence=0.9)
    assert "(90 to 98 %)" in shown([entry("threads", 2, 1.9), entry("processes", 2, 1.9, speedup=less)])


def test_a_calm_machine_is_called_calm(entry: Make) -> None:
    report = shown([entry("threads", 2, 1.9), entry("processes", 2, 1.9, waited=0.03)])
    assert "calm (1.7 % contention, 3.0 % at worst)" in report
    assert "calm (0.4 % contention)" in shown([entry("threads", 2, 1.9)])
    assert "note" not in report


def test_workers_that_wait_for_each_other_are_no_contention(entry: Make) -> None:
    own = Contention(sequential=0.01, parallel=0.5, reference_speedup=None)
    assert "calm (1.0 % contention)" in shown([entry("processes", 4, 1.9, contention=own)])


def test_unknown_contention_is_not_called_calm(entry: Make) -> None:
    unknown = Contention(sequential=None, parallel=None, reference_speedup=None)
    report = shown([entry("threads", 2, 1.9, contention=unknown)])
    assert "contention unknown" in report
    assert "calm" not in report


def test_conditions_that_differ_are_listed_apart(entry: Make) -> None:
    free = {"python": "3.13.0", "gil": False, "cpu_model": "Intel(R) Xeon(R) CPU @ 2.20GHz", "quota": 2.5}
    report = shown([entry("threads", 2, 1.9), entry("processes", 2, 1.9, environment=free)])
    assert "2 usable cores (quota 2.5) of Intel Xeon, Python 3.13.0, GIL off, calm" in report
    assert "GIL on, BLAS 1 thread, calm (0.4 % contention) (1 point)" in report


def test_strict_says_what_fails_too(entry: Make) -> None:
    lines = render(documents(entry)[:4], width=160, saved=True, strict=True)
    assert lines[-1].text.endswith("1 not judged (--parallel-strict: 1 more fail)")
    assert lines[-1].style == "bad"
    assert render(documents(entry)[:4], width=160, saved=True)[-1].style == "good"


def test_stored_figures_need_no_advice_to_store_them(entry: Make) -> None:
    assert "nothing was stored" not in shown([entry("threads", 2, 1.9)], saved=True)


def test_styles_follow_the_outcome(entry: Make) -> None:
    lines = render(documents(entry), width=160, saved=False)
    assert style_of(lines, "test_parse") == "title"
    assert style_of(lines, "processes  ") == "good"
    assert style_of(lines, "threads  ") == "bad"
    assert style_of(lines, "joblib-loky") == ""
    assert style_of(lines, "passed") == "good"
    assert style_of(lines, "failed") == "bad"
    assert style_of(lines, "not judged") == "dim"
    assert style_of(lines, "note") == "warn"
    assert style_of(lines, "verdicts") == "bad"


def test_tests_of_one_name_are_told_apart(entry: Make) -> None:
    names = ["a.py::test_x", "b.py::test_x", "b.py::TestY::test_z[p::q]", "b.py::test_z"]
    report = shown([entry("threads", 2, 1.9, test=name) for name in names])
    headings = [line.split("   ")[0] for line in report.splitlines() if "sequential 412 ms" in line]
    assert headings == ["a.py::test_x", "b.py::test_x", "test_z[p::q]", "test_z"]


HOSTILE = st.text(min_size=1, max_size=200) | st.text("\x1b[2J\u202e\u2066\r\n\x07a語\ud800", min_size=1)
FIGURE = st.floats(min_value=1e-9, max_value=1e9)


@st.composite
def hostile_entries(draw: st.DrawFn, entry: Make) -> Entry:
    name, workers = draw(HOSTILE), draw(st.integers(1, 5000))
    texts: dict[str, Any] = {"test": draw(HOSTILE | st.just("x" * 5000)), "workers_requested": draw(HOSTILE)}
    if draw(st.booleans()):
        status = draw(st.sampled_from(["not measured", "skipped", "failed", "error"]))
        return entry(name, workers, status=status, reason=draw(HOSTILE), **texts)
    outcome = draw(st.sampled_from(Outcome))
    texts["verdicts"] = (verdict(outcome.value, draw(FIGURE), draw(st.none() | FIGURE), draw(HOSTILE)),)
    texts["notes"] = (draw(HOSTILE),)
    texts["environment"] = {"cpu_model": draw(HOSTILE), "python": draw(HOSTILE), "gil": draw(st.booleans())}
    return entry(name, workers, draw(FIGURE), draw(FIGURE), **texts)


@given(data=st.data(), width=st.integers(40, 200))
def test_nothing_hostile_leaves_its_line_or_the_width(data: st.DataObject, width: int, entry: Make) -> None:
    entries = data.draw(st.lists(hostile_entries(entry), max_size=6))
    for line in render(entries, width=width, saved=False, verbose=True):
        wide = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line.text)
        assert wide <= width
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in line.text)


def test_a_test_id_of_5000_characters_is_shortened_at_its_middle(entry: Make) -> None:
    report = shown([entry("threads", 2, 1.9, test=f"test_long[{'x' * 5000}-end]")], 80)
    first = report.splitlines()[0]
    assert len(first) == 80
    assert first.startswith("test_long[xxx")
    assert first.endswith("xxx-end]")


def test_a_narrower_terminal_than_40_is_taken_for_40(entry: Make) -> None:
    assert shown(documents(entry), 1) == shown(documents(entry), 40)
