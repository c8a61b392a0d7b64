"""Reports as files: what a suffix gives, what a folder receives, and what is refused before anything runs."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.export import SUFFIXES, check, export
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.results import Results

BEGINNINGS = {
    ".html": b"<!doctype html>",
    ".csv": b"test,",
    ".summary.csv": b"nodeid,",
    ".md": b"",
    ".json": b"[",
    ".yaml": b"#",
    ".svg": b"<svg",
    ".png": b"\x89PNG",
}
installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("jinja2", "matplotlib", "yaml")),
    reason="needs the extra: pip install 'pytest-parallelism[report]'",
)


@pytest.fixture
def results(entry: Callable[..., Entry]) -> Results:
    points = [
        entry("processes", n, 0.9 * n, test=f"suite/test_{x}.py::test_it") for x in "ab" for n in (1, 2)
    ]
    return Results.of(points)


@installed
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_says_what_is_written(suffix: str, results: Results, tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"report{suffix}"
    assert export(results, str(path)) == [path]
    assert path.read_bytes().lower().startswith(BEGINNINGS[suffix].lower())
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no half file


@installed
def test_a_folder_receives_everything(results: Results, tmp_path: Path) -> None:
    written = export(results, f"{tmp_path}/out/")
    names = {str(path.relative_to(tmp_path / "out")) for path in written}
    plots = {f"plots/suite_test_{x}{suffix}" for x in "ab" for suffix in (".svg", ".png")}
    assert names >= {"report.html", "rounds.csv", "results.summary.csv", "report.md"} | plots
    assert all(path.stat().st_size for path in written)


@installed
def test_names_of_suites_that_are_alike_or_no_file_names_stay_apart(
    entry: Callable[..., Entry], tmp_path: Path
) -> None:
    suites = ("a/b.py", "a b.py", "../../x.py", "雪" * 400, "")
    points = [entry("processes", 2, 1.8, test=f"{suite}::test_it") for suite in suites]
    written = export(Results.of(points), f"{tmp_path}/out/")
    plots = [path for path in written if path.suffix == ".png"]
    assert len(set(plots)) == len(suites)
    assert {path.parent for path in plots} == {tmp_path / "out" / "plots"}


@installed
def test_a_file_that_is_there_is_replaced(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("of yesterday")
    export(results, str(path))
    assert "of yesterday" not in path.read_text("utf-8")


@pytest.mark.parametrize("name", ["report.txt", "report.HTML", ".html.gz", ".html", ".summary.csv"])
def test_another_suffix_is_refused_with_those_that_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"names no report: its suffix must be one of \.html"):
        check(str(tmp_path / name))


def test_what_cannot_be_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "page.html").mkdir()
    with pytest.raises(UsageError, match="file is a file"):
        check(str(tmp_path / "file" / "report.md"))
    with pytest.raises(UsageError, match="it is a folder"):
        check(str(tmp_path / "page.html"))
    with pytest.raises(UsageError, match=r"cannot be written: .*too long"):
        check(str(tmp_path / f"{'x' * 300}.md"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UsageError, match=r"deep/report\.md cannot be written: \S+ is not yours to write to"):
        check(str(tmp_path / "deep" / "report.md"))


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def absent(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("jinja2", "matplotlib") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    with pytest.raises(UsageError, match=r"report\.html needs jinja2 \(not installed\): .*\[report\]"):
        check("report.html")
    with pytest.raises(UsageError, match=r"jinja2 \(not installed\) and matplotlib \(not installed\)"):
        check("out/")
    check("report.md")  # text needs nothing


def test_a_library_that_is_broken_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('built for another numpy')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with pytest.raises(UsageError, match=r"matplotlib \(it cannot be imported: built for another numpy\)"):
        check("report.png")
