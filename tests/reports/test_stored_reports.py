"""Reports of stored runs, by the console script; its history is in test_history.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_parallelism.cli import main
from pytest_parallelism.record import Record, to_json

TEST = "tests/test_doc.py::test_parse"


@pytest.fixture
def storage(record: Callable[..., Record], tmp_path: Path) -> Path:
    """Three runs as pytest-benchmark stores them, of which the second is slower."""
    folder = tmp_path / "storage" / "machine"
    folder.mkdir(parents=True)
    for number, best in ((1, 1.9), (2, 1.5), (3, 1.9)):
        benchmarks = []
        for workers, speedup in ((1, 0.98), (2, best)):
            data = to_json(record("processes", workers, speedup, test=TEST))
            point = f"{TEST}[processes-w{workers}]"
            benchmarks.append({"fullname": point, "extra_info": {"parallelism": data}})
        run = {"datetime": f"2026-01-0{number}T10:00:00", "benchmarks": benchmarks}
        (folder / f"000{number}_run.json").write_text(json.dumps(run))
    return tmp_path / "storage"


def test_without_an_export_it_is_shown(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(storage / "machine" / "0003_run.json")]) == 0
    shown = capsys.readouterr().out
    assert "use processes with 2 workers: 1.90x" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("name", ["0002", "0002_run"])
def test_a_stored_run_has_a_number_and_a_name(
    name: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", name, "--storage", str(storage)]) == 0
    assert "1.50x" in capsys.readouterr().out


def test_of_several_runs_of_one_number_the_newest_is_taken(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = json.loads((storage / "machine" / "0002_run.json").read_text())
    newer["datetime"] = "2026-02-01T10:00:00"
    (storage / "a").mkdir()
    (storage / "a" / "0001_newer.json").write_text(json.dumps(newer))
    assert main(["report", "0001", "--storage", str(storage)]) == 0
    assert "1.50x" in capsys.readouterr().out


def test_runs_of_one_file_name_are_told_apart_by_their_folders(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number, folder in ((1, "py311"), (2, "py312")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "results.json"
        path.write_text((storage / "machine" / f"000{number}_run.json").read_text())
        paths.append(str(path))
    page = tmp_path / "page.md"
    assert main(["report", *paths, "--export", str(page)]) == 0
    assert "py311/results" in page.read_text("utf-8")


def test_the_history_ends_with_the_run_that_is_reported(storage: Path) -> None:
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    (storage / "broken.json").write_text("{")
    page = storage / "page.html"
    assert main(["report", "0002", "--storage", str(storage), "--export", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "2026-01-02" in text
    assert "2026-01-03" not in text


def test_two_runs_are_compared(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = storage / "report.md"
    assert main(["report", "0001", "0002", "--storage", str(storage), "--export", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert "-21.1 %" in page.read_text("utf-8")  # 1.5 / 1.9


def test_a_page_of_more_runs_has_a_table_by_machine_and_the_history(storage: Path) -> None:
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    page = storage / "report.html"
    runs = ["0001", "0002", "0003"]
    assert main(["report", *runs, "--storage", str(storage), "--export", str(page)]) == 0
    text = page.read_text("utf-8")
    assert all(f"{run}_run" in text for run in runs)
    assert "AMD EPYC" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["0009"], r"0009 is no file, and no number or name of a run stored in \S+storage"),
        (["0001", "0002"], r"several runs are shown in files: add --export"),
        (["0001", "--export", "x.doc"], r"x\.doc names no report: its suffix must be one of \.html"),
        (["{empty}"], r"empty\.json holds no point of pytest-parallelism"),
        (["{broken}"], r"broken\.json is no whole JSON file"),
        (["{newer}"], r"newer\.json: .* has schema 99, and this version reads up to 1: update"),
    ],
)
def test_what_cannot_be_read_gives_a_sentence(
    arguments: list[str], sentence: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (storage / "empty.json").write_text('{"benchmarks": []}')
    (storage / "broken.json").write_text('{"benchmarks": [')
    newer = json.loads((storage / "machine" / "0001_run.json").read_text())
    newer["benchmarks"][0]["extra_info"]["parallelism"]["schema"] = 99
    (storage / "newer.json").write_text(json.dumps(newer))
    named = [
        name.format(**{f: storage / f"{f}.json" for f in ("empty", "broken", "newer")}) for name in arguments
    ]
    assert main(["report", *named, "--storage", str(storage)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("pytest-parallelism: ")
    assert re.search(sentence, shown.err)
