"""Speedups over stored runs, and where they changed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.cli import main
from pytest_parallelism.history import LEAST_STEP, SIGNIFICANCE, steps


class TestSteps:
    def test_a_step_is_found_where_it_is(self) -> None:
        chance = np.random.default_rng(3)
        logs = [*(0.6 + 0.02 * chance.normal(size=20)), *(0.4 + 0.02 * chance.normal(size=15))]
        found = steps(logs)
        assert list(found) == [20]
        assert found[20] == pytest.approx(-0.2, abs=0.02)

    def test_several_steps_are_found(self) -> None:
        chance = np.random.default_rng(4)
        levels = [0.5] * 20 + [0.3] * 20 + [0.6] * 20
        assert list(steps([level + 0.02 * float(chance.normal()) for level in levels])) == [20, 40]

    def test_noise_has_seldom_a_step(self) -> None:
        chance = np.random.default_rng(5)
        alarms = sum(bool(steps(list(0.1 * chance.standard_t(3, size=40)))) for _ in range(300))
        assert alarms <= 300 * SIGNIFICANCE + 3 * math.sqrt(300 * SIGNIFICANCE)

    def test_one_bad_day_is_none(self) -> None:
        chance = np.random.default_rng(6)
        logs = list(0.5 + 0.01 * chance.normal(size=30))
        logs[12] = 0.1
        assert steps(logs) == {}

    def test_a_small_one_is_not_told(self) -> None:
        assert steps([0.0] * 20 + [LEAST_STEP * 0.9] * 20) == {}
        assert list(steps([0.0] * 20 + [LEAST_STEP * 1.1] * 20)) == [20]

    @pytest.mark.parametrize("logs", [[], [0.1], [0.1] * 5, [0.2] * 50])
    def test_few_or_equal_values_have_none(self, logs: list[float]) -> None:
        assert steps(logs) == {}


def store(folder: Path, number: int, speedup: float, points: int = 1) -> None:
    template = json.loads((Path(__file__).parent / "data" / "record.json").read_text())
    benchmarks: list[dict[str, Any]] = []
    for point in range(points):
        record = json.loads(json.dumps(template))
        record["speedup"] = {
            "estimate": speedup,
            "low": speedup * 0.95,
            "high": speedup * 1.05,
            "confidence": 0.98,
        }
        benchmarks.append({"fullname": f"test_x.py::test_x[p{point}]", "extra_info": {"parallelism": record}})
    whole = {
        "benchmarks": benchmarks,
        "datetime": f"2026-01-{number:02}T10:00:00",
        "commit_info": {"id": f"{number:040}"},
    }
    (folder / f"{number:04}_run.json").write_text(json.dumps(whole))


class TestCommand:
    def test_shows_each_run_and_marks_the_step(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number in range(1, 21):
            store(tmp_path, number, 1.8 if number <= 10 else 1.5)
        assert main(["history", "--storage", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "test_x.py::test_x[p0]   20 runs"
        assert lines[1].split() == ["0001_run", "2026-01-01T10:00", "00000000", "1.80", "[1.71,", "1.89]"]
        assert [line.partition("step")[2] for line in lines if "step" in line] == [" of -17 %"]
        assert "0011_run" in next(line for line in lines if "step" in line)

    def test_chooses_points_and_runs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for number in range(1, 5):
            store(tmp_path, number, 1.8, points=3)
        assert main(["history", "p2", "--storage", str(tmp_path), "--last", "2"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "test_x.py::test_x[p2]   2 runs"
        assert [line.split()[0] for line in lines[1:]] == ["0003_run", "0004_run"]

    def test_a_file_that_cannot_be_read_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store(tmp_path, 1, 1.8)
        (tmp_path / "0002_run.json").write_text("{")
        assert main(["history", "--storage", str(tmp_path)]) == 0
        assert "not read: 0002_run.json is no whole JSON file" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--storage", "nowhere"], "nowhere is no folder"),
            (["--last", "0"], "--last must be at least 1"),
            (["other"], "hold no point whose name has 'other'"),
        ],
    )
    def test_what_is_wrong_gets_a_sentence(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".benchmarks").mkdir()
        store(tmp_path / ".benchmarks", 1, 1.8)
        assert main(["history", *arguments]) == 2
        assert said in capsys.readouterr().err
