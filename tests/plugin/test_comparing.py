"""Comparing with stored runs in a session: what is read, what fails, what is said.

Rounds take what a patched clock says, so that each verdict is certain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Suite

COMPARE = ("--parallel-compare=latest", "--parallel-compare-fail=speedup:5")


@pytest.fixture
def one_point(gated: Suite) -> Suite:
    """A suite of one point with a speedup of 1.31."""
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    return gated


@pytest.fixture
def stored(one_point: Suite) -> Suite:
    """The same, whose run is stored."""
    one_point.run("--benchmark-autosave").assert_outcomes(passed=1)
    return one_point


def turned(monkeypatch: pytest.MonkeyPatch, speedup: float) -> None:
    monkeypatch.setenv("TURNED", json.dumps({"threads": speedup}))


def files(suite: Suite) -> list[Path]:
    return sorted(Path(suite.pytester.path).rglob(".benchmarks/*/*.json"))


def changed(suite: Suite, change: Any) -> None:
    """Edit the record of the stored run."""
    (path,) = files(suite)
    data = json.loads(path.read_text())
    change(data["benchmarks"][0]["extra_info"]["parallelism"])
    path.write_text(json.dumps(data))


def test_the_same_again_passes_and_says_with_what_it_was_compared(stored: Suite) -> None:
    result, records = stored.json(*COMPARE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parallelism: compared 1 point with 0001_*"])
    (verdict,) = records["test_it[threads-w2]"]["extra_info"]["parallelism"]["verdicts"]
    assert (verdict["gate"], verdict["outcome"]) == ("speedup", "passed")
    assert verdict["against"].startswith("0001_")


def test_a_loss_fails_the_test(stored: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    turned(monkeypatch, 1.0)
    result, records = stored.json(*COMPARE)
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["speedup -23.7 %*is worse than in 0001_*allowed is -5 %*"])
    assert records["test_it[threads-w2]"]["extra_info"]["parallelism"]["verdicts"][0]["outcome"] == "failed"


def test_without_a_limit_it_only_says_what_it_knows(stored: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    turned(monkeypatch, 1.0)
    result = stored.run("--parallel-compare=latest")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parallelism: compared 1 point with 0001_*"])


def test_a_number_names_a_run_and_an_unknown_one_is_a_sentence(stored: Suite) -> None:
    stored.run("--parallel-compare=0001", COMPARE[1]).assert_outcomes(passed=1)
    result = stored.run("--parallel-compare=0007")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--parallel-compare=0007: no stored run has this number or name*0001_*"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_nothing_stored_is_no_error(one_point: Suite) -> None:
    result = one_point.run(*COMPARE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parallelism: nothing is stored yet to compare with*"])


def test_a_limit_needs_a_run(gated: Suite) -> None:
    result = gated.run("--parallel-compare-fail=speedup:5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs a stored run: add --parallel-compare=latest*"])


def test_other_surroundings_are_not_judged_and_named(stored: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(stored, lambda record: record["environment"].update(cpu_model="another CPU"))
    turned(monkeypatch, 1.0)
    result, records = stored.json(*COMPARE)
    result.assert_outcomes(passed=1)
    (verdict,) = records["test_it[threads-w2]"]["extra_info"]["parallelism"]["verdicts"]
    assert verdict["outcome"] == "not judged"
    assert "CPU was another CPU and is" in verdict["sentence"]
    stored.run(*COMPARE, "--parallel-compare-anyway").assert_outcomes(failed=1)
    stored.run(*COMPARE, "--parallel-strict").assert_outcomes(failed=1)


def test_files_that_are_none_are_named_and_cost_nothing_else(stored: Suite) -> None:
    (path,) = files(stored)
    path.with_name("0002_cut.json").write_text(path.read_text()[:500])
    path.with_name("0003_foreign.json").write_text("[]")
    result = stored.run(*COMPARE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*0002_cut.json is no whole JSON file*"])
    result.stdout.fnmatch_lines(["*0003_foreign.json is not of pytest-benchmark*"])
    result.stdout.fnmatch_lines(["parallelism: compared 1 point with 0001_*"])


def test_points_of_one_side_are_listed(stored: Suite) -> None:
    stored.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_other(parallel):
            parallel.map(work, range(3))
    """)
    result = stored.run(*COMPARE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parallelism: new, not in a stored run: *test_other*"])
    result.stdout.fnmatch_lines(["parallelism: in 0001_* only, not run now: *test_it*"])


def test_a_point_whose_gate_failed_is_no_baseline_unless_named(
    stored: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned(monkeypatch, 1.0)
    stored.run("--benchmark-autosave", *COMPARE).assert_outcomes(failed=1)
    assert len(files(stored)) == 2
    result = stored.run(*COMPARE)  # still against the first
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is worse than in 0001_*"])
    stored.run("--parallel-compare=0002", COMPARE[1]).assert_outcomes(passed=1)


def test_junit_and_github_hear_of_it(stored: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    turned(monkeypatch, 1.0)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = stored.run(*COMPARE, "--junitxml=out.xml")
    result.stdout.fnmatch_lines(["::error file=test_suite.py,line=*::test_it?threads-w2?: speedup*"])
    xml = (Path(stored.pytester.path) / "out.xml").read_text()
    for name in ("parallel_speedup", "parallel_speedup_low", "parallel_verdict_speedup_compared"):
        assert f'name="{name}"' in xml
