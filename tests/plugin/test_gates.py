"""Gates in a session: which tests fail, what they say, and what stays stored.

Rounds take what a patched clock says, so that each verdict is certain.
"""

from __future__ import annotations

import pytest

from .conftest import Suite


def test_a_missed_gate_fails_with_the_sentence_and_keeps_its_record(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2], min_speedup=1.5)
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = gated.json("-v")
    result.assert_outcomes(failed=1)
    found = "speedup 1.31 [[]1.*, 1.*[]] with 2 threads is below 1.50"
    result.stdout.fnmatch_lines([found + " ([0-9]* pairs, 2 usable cores, GIL o*); tolerance*"])
    result.stdout.no_fnmatch_line("*Error*")
    (record,) = records.values()
    (verdict,) = record["extra_info"]["parallelism"]["verdicts"]
    assert (verdict["outcome"], verdict["claim"]) == ("failed", 1.5)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_kept_gate_passes(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies(
            "processes-fork", workers=[1, 2], min_speedup=1.5, min_efficiency=0.8
        )
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = gated.json()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["parallelism verdicts: 2 passed, 0 failed, 0 inconclusive, 0 not judged*"])
    at_two = records["test_it[processes-fork-w2]"]["extra_info"]["parallelism"]["verdicts"]
    assert {v["gate"]: v["outcome"] for v in at_two} == {"speedup": "passed", "efficiency": "passed"}


def test_a_gate_is_judged_after_the_body_so_a_failed_assertion_comes_first(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2], min_speedup=1.5)
        def test_it(parallel):
            parallel.map(work, range(3))
            assert 1 == 2
    """)
    result, records = gated.json()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])
    result.stdout.no_fnmatch_line("*is below 1.50*")
    assert records == {}


def test_more_workers_than_cores_on_cpu_bound_work_is_not_judged(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[4], min_speedup=2.5)
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = gated.json()
    result.assert_outcomes(passed=1)
    (record,) = records.values()
    assert record["extra_info"]["parallelism"]["verdicts"][0]["outcome"] == "not judged"
    gated.run("--parallel-strict").assert_outcomes(failed=1)


def test_the_command_line_can_gate(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    gated.run("--parallel-min-speedup=1.5").assert_outcomes(failed=1)
    gated.run("--parallel-min-speedup=1.2").assert_outcomes(passed=1)


def test_require_any_wants_one_strategy_only(gated: Suite) -> None:
    body = """
        @pytest.mark.parallel_strategies({}, workers=[2], min_speedup=1.5, require="any")
        def test_it(parallel):
            parallel.map(work, range(3))
    """
    gated.write(body.format('"threads", "processes-fork"'))
    gated.run().assert_outcomes(passed=2)
    gated.write(body.format('"processes-fork", "threads"'))
    gated.run().assert_outcomes(passed=2)
    gated.write(body.format('"threads", "asyncio-threads"'))
    result = gated.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["no strategy reaches speedup 1.50: *threads*asyncio-threads*"])


def test_require_any_is_judged_where_the_last_point_is_skipped(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", "asyncio", workers=[2], min_speedup=1.5, require="any")
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result = gated.run()
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["no strategy reaches speedup 1.50: *threads*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
