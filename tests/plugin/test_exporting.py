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
    assert len((where / "rounds.csv").read_text("utf-8").splitlines()) == 1 + 2 * 2 * 2


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


def test_xdists_workers_write_nothing(suite: Suite) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    suite.write(TWO)
    result = suite.run("-n2", "--parallel-export=out.summary.csv")
    assert result.ret == 0
    rows = (Path(suite.pytester.path) / "out.summary.csv").read_text("utf-8").splitlines()
    assert len(rows) == 3
    assert all("not measured" in row for row in rows[1:])
