"""The scripts in benchmarks/ run; what they prove is proved by their full settings."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pytest_parallelism.registry import load

ROOT = Path(__file__).parents[1]
VERDICTS = ("ok", "undecided", "MISSED 1.05", "MISSED 1.10", "MISSED 0.40")
AT_MOST_SECONDS = 100  # a bound against hanging

linux = pytest.mark.skipif(sys.platform != "linux", reason="fork, and PSS in /proc")


def dispatch(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/dispatch.py", "--quick", *options],
        cwd=ROOT,
        timeout=AT_MOST_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )


@linux
def test_dispatch_prints_each_workload_of_each_strategy_that_it_is_asked_for() -> None:
    done = dispatch("--only", "threads", "--only", "processes-fork", "--only", "multiprocessing-pool-fork")
    rows = re.findall(r"^(\S+) +(\S.*?) +(one|best|payload|memory) .*?(\S+(?: \d\.\d+)?)$", done.stdout, re.M)
    found = [(name, against, workload) for name, against, workload, _ in rows]
    stock = ("processes-fork", "ProcessPoolExecutor", "one")
    each = ("one", "best", "payload", "memory")
    assert sorted(found) == sorted(
        [
            *(("threads", "executor.map", workload) for workload in ("one", "payload")),
            *(("processes-fork", "Process, Pipe, wait", workload) for workload in each),
            stock,
            *(("multiprocessing-pool-fork", "Pool.map", workload) for workload in each),
            *(
                ("multiprocessing-pool-fork", "imap_unordered", workload)
                for workload in ("one", "best", "memory")
            ),
        ]
    ), done.stdout + done.stderr
    assert {verdict for *_, verdict in rows} <= set(VERDICTS)
    assert done.returncode in (1, 2)  # four pairs decide little, and memory nothing
    assert done.stderr == ""


def test_dispatch_names_the_strategies_when_it_is_asked_for_one_that_does_not_exist() -> None:
    done = dispatch("--only", "thread")
    assert done.returncode == 1
    assert "no strategy is named thread" in done.stderr
    assert "threads" in done.stderr
    assert done.stdout == ""


def engines(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/engines.py", "--quick", *options],
        cwd=ROOT,
        timeout=3 * AT_MOST_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", [name for name, one in load().items() if one.group == "distributed"])
def test_engines_prints_each_workload_and_what_each_worker_count_gave(name: str) -> None:
    if obstacle := load()[name].obstacle(2):
        pytest.skip(obstacle)
    done = engines(name)
    rows = re.findall(r"^  (no-ops|payload|20 ms) .*?(\S+(?: \d\.\d+)?)$", done.stdout, re.M)
    assert [workload for workload, _ in rows] == ["no-ops", "payload", "20 ms"], done.stdout + done.stderr
    assert {verdict for _, verdict in rows} <= set(VERDICTS)
    assert "at most: 1 with 1, 2 with 2, 4 with 4 workers: ok" in done.stdout
    assert done.returncode in (0, 1, 2)


def test_engines_names_the_engines_when_it_is_asked_for_one_that_does_not_exist() -> None:
    done = engines("raid")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no engine is named raid; known: ray, dask" in done.stderr


def test_engine_sizes_prints_a_line_for_a_size() -> None:
    if obstacle := load()["dask"].obstacle(2):
        pytest.skip(obstacle)
    asked = ("dask", "--bytes", "30000", "--seconds", "0")
    done = subprocess.run(
        [sys.executable, "benchmarks/engine_sizes.py", *asked],
        cwd=ROOT,
        timeout=AT_MOST_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    share = r"\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\]"
    rows = re.findall(rf"^dask +(\d\.\d\d) MB .*(?: +{share}){{3}}$", done.stdout, re.M)
    assert rows == ["0.03"], done.stdout + done.stderr


def test_the_tables_of_the_engines_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = import_module("engine_tables")
    assert dict(tables.written(tables.read())) == {
        path: path.read_text("utf-8") for path in (tables.TEXT, tables.PAGE)
    }


@linux
@pytest.mark.parametrize("options", [(), ("--clocks",)])
def test_uncontended_prints_errors_or_why_there_is_no_truth(options: tuple[str, ...]) -> None:
    asked = ("--repetitions", "1", "--cases", "fork, serial", "--loads", "1 hog")
    done = subprocess.run(
        [sys.executable, "benchmarks/uncontended.py", *asked, *options],
        cwd=ROOT,
        timeout=AT_MOST_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("fork, serial part")]
    truth = r"\d\.\d\d +(\d\.\d\d > (\d\.\d\d( [+-]\d+\.\d%){2}|none) \(\d\) *){2}"
    assert re.fullmatch(rf"fork, serial part +({truth}|\d+ idle pairs .*: no truth)", row), done.stdout
    assert any(line.startswith("mean |error|, worst") for line in lines)
