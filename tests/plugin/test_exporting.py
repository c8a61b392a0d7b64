"""Reports that a session writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Suite

TWO = """
    @pytest.mark.parallel_strategies("threads", workers=[1, 2])
    def test_it(parallel):
        parallel.map(work, range(8))
"""
ROUNDS = "--parallel-rounds=2"


def test_every_report_that_is_asked_for_is_written(suite: Suite) -> None:
    suite.write(TWO)
    result = suite.run(ROUNDS, "--parallel-export=out/a.json", "--parallel-export=rounds.csv")
    assert result.ret == 0
    where = Path(suite.pytester.path)
    assert {record["unit"] for record in json.loads((where / "out/a.json").read_text("utf-8"))} >= {"x"}
    header, *rounds = (where / "rounds.csv").read_text("utf-8").splitlines()
    assert header.startswith("test,strategy,workers,")
    # Two points of two pairs each; a pair may have several parallel rounds.
    assert sum(",sequential," in line for line in rounds) == 2 * 2
    assert sum(",parallel," in line for line in rounds) >= 2 * 2


def test_the_ini_file_names_reports_too_and_the_command_line_wins(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nparallel_export =\n    one.csv\n    two.md\n")
    suite.write(TWO)
    suite.run(ROUNDS)
    where = Path(suite.pytester.path)
    assert (where / "one.csv").exists()
    assert (where / "two.md").exists()
    suite.run(ROUNDS, "--parallel-export=three.md")
    assert (where / "three.md").exists()


def test_a_report_that_cannot_be_is_refused_before_anything_runs(suite: Suite) -> None:
    suite.write(TWO)
    result = suite.run("--parallel-export=report.doc")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: report.doc names no report: its suffix must be one of *"])
    result.stdout.no_fnmatch_line("*passed*")


def test_a_report_that_cannot_be_written_fails_the_session_and_costs_no_other(suite: Suite) -> None:
    suite.write(
        """
        from pathlib import Path

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(8))
            Path("taken").write_text("")  # where a folder was to be
    """
    )
    result, records = suite.json(ROUNDS, "--parallel-export=taken/a.md", "--parallel-export=b.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["parallelism: taken/a.md was not written: *"])
    assert (Path(suite.pytester.path) / "b.md").exists()
    assert len(records) == 1


def test_the_page_shows_the_stored_runs_and_the_comparison(suite: Suite) -> None:
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    suite.write(TWO)
    for _ in range(2):
        suite.run(ROUNDS, "--benchmark-save=kept")
    suite.run(ROUNDS, "--parallel-compare=latest", "--parallel-export=page.html")
    page = (Path(suite.pytester.path) / "page.html").read_text("utf-8")
    assert "0002_kept" in page
    assert "0001_kept" in page  # in the history


def test_github_gets_a_summary_of_the_step(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = Path(suite.pytester.path) / "summary.md"
    summary.write_text("of another step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    suite.write(TWO)
    assert suite.run(ROUNDS).ret == 0
    text = summary.read_text("utf-8")
    assert text.startswith("of another step\n")
    assert "threads" in text
    suite.run("--parallel-check")  # measures nothing, and has nothing to say
    assert summary.read_text("utf-8") == text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary / "not" / "there"))
    assert suite.run(ROUNDS).ret == 0  # nobody has asked for it


@pytest.mark.parametrize("option", ["--collect-only", "-knothing", "--parallel-check", "-n2"])
def test_a_session_that_measures_nothing_leaves_the_report_that_is_there(suite: Suite, option: str) -> None:
    if option == "-n2":
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    suite.write(TWO)
    report = Path(suite.pytester.path) / "out.md"
    report.write_text("of a good run")
    result = suite.run(option, "--parallel-export=out.md")
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert report.read_text() == "of a good run"
    if option in ("--parallel-check", "-n2"):
        result.stdout.fnmatch_lines(["parallelism: out.md: not written, since no point was measured"])


def test_the_page_compares_with_the_runs_that_the_gates_do(suite: Suite) -> None:
    """Each point with the newest run that suits it: a run of another CPU is none, whichever is newest."""
    suite.write(TWO)
    suite.run(ROUNDS, "--benchmark-save=fair")
    (stored,) = Path(suite.pytester.path).glob(".benchmarks/*/0001_fair.json")
    run = json.loads(stored.read_text("utf-8"))
    records = [benchmark["extra_info"]["parallelism"] for benchmark in run["benchmarks"]]
    for record in records:
        record["contention"]["contended"] = False  # however busy this machine is
    stored.write_text(json.dumps(run), "utf-8")
    run["datetime"] = "2099-01-01T00:00:00"
    for record in records:
        record["environment"]["cpu_model"] = "of another make"
    stored.with_name("0002_other.json").write_text(json.dumps(run), "utf-8")
    result = suite.run(ROUNDS, "--parallel-compare=latest", "--parallel-export=out.md")
    result.stdout.fnmatch_lines(["parallelism: compared 2 points with 0001_fair"])
    text = (Path(suite.pytester.path) / "out.md").read_text("utf-8")
    assert "0001_fair" in text
    assert "0002_other" not in text


def test_a_format_that_fails_costs_no_other(suite: Suite) -> None:
    suite.pytester.makeconftest(
        """
        from pytest_parallelism.reports import csv

        def broken(results):
            raise RuntimeError("no such figure")

        csv.rounds = broken
        """
    )
    suite.write(TWO)
    result = suite.run(ROUNDS, "--parallel-export=a.csv", "--parallel-export=b.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["parallelism: a.csv was not written: RuntimeError: no such figure"])
    assert (Path(suite.pytester.path) / "b.md").exists()


def test_what_parallel_strict_fails_is_told(suite: Suite) -> None:
    suite.write(
        """
        @pytest.mark.parallel_strategies("threads", workers=[64], min_speedup=60)
        def test_it(parallel):
            parallel.map(work, range(64))
    """
    )
    result = suite.run(ROUNDS, "--parallel-strict", "--parallel-export=out.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = (Path(suite.pytester.path) / "out.md").read_text("utf-8")
    assert "**1 not judged**" in text
    assert "threads-w64: " in text
