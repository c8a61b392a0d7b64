"""Clusters in a pytest session: addresses, the order of points, and what is kept from one to the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.clusters import fake_engine

CONFTEST = """
import fake_engine

def pytest_parallelism_strategies(config):
    return [fake_engine.FAKE]

def pytest_runtest_call(item):
    fake_engine.note(item.name)
"""
SUITE = """
import pytest

def double(item):
    return 2 * item

@pytest.mark.parallel_strategies("fake", "threads", workers=[1, 2])
def test_a(parallel):
    assert parallel.map(double, range(4)) == [0, 2, 4, 6]

@pytest.mark.parallel_strategies("threads", "fake", workers=2)
def test_b(parallel):
    assert parallel.map(double, range(4)) == [0, 2, 4, 6]

def test_plain():
    pass
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, log: Path) -> Run:
    """Runs a suite that has the fake engine."""
    here = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, here)))
    monkeypatch.setenv(fake_engine.LOG, str(log))
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_suite=SUITE)

    def running(*args: str) -> pytest.RunResult:
        order = () if "randomly" in args else ("-p", "no:randomly")
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *order, *args)

    return running


class TestOrder:
    def test_each_cluster_is_started_once_and_local_points_come_first(self, run: Run, log: Path) -> None:
        run("--parallel-check").assert_outcomes(passed=7)
        assert log.read_text().split("\n")[:-1] == [
            "test_a[threads-w1]",
            "test_a[threads-w2]",
            "test_b[threads-w2]",
            "test_a[fake-w1]",
            "start 1",
            "test_a[fake-w2]",
            "end 1",
            "start 2",
            "test_b[fake-w2]",
            "end 2",
            "test_plain",
        ]

    def test_measured_points_are_ordered_too_and_each_tells_what_the_start_had_taken(
        self, run: Run, pytester: pytest.Pytester, log: Path
    ) -> None:
        pytester.makeconftest(
            CONFTEST + "\nfrom pytest_parallelism.strategies._engine import EnginePool"
            "\nEnginePool.kept_seconds = 1e6\n"
        )
        run("--parallel-rounds=1", "--benchmark-json=out.json").assert_outcomes(passed=7)
        assert log.read_text().count("start") == 2
        records = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        found = {r["name"]: r["extra_info"]["parallelism"]["open_seconds"] > 1e6 for r in records}
        assert found == {name: "fake" in name for name in found}

    def test_a_shuffled_session_starts_each_cluster_once(
        self, run: Run, pytester: pytest.Pytester, log: Path
    ) -> None:
        pytester.makeconftest(
            CONFTEST
            + "\nimport pytest\n@pytest.hookimpl(tryfirst=True)\n"
            + "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
        )
        run("--parallel-check").assert_outcomes(passed=7)
        lines = log.read_text().splitlines()
        assert [line for line in lines if line[:3] in ("sta", "end")] == [
            "start 2",
            "end 2",
            "start 1",
            "end 1",
        ]
        assert lines[0] == "test_plain"
        assert lines.index("test_a[threads-w1]") < lines.index("start 2")

    def test_points_that_are_skipped_and_other_tests_stay_where_they_are(
        self, run: Run, pytester: pytest.Pytester
    ) -> None:
        pytester.makeconftest(
            CONFTEST.replace("[fake_engine.FAKE]", "[replace(fake_engine.FAKE, requires=('no_such_thing',))]")
            + "\nfrom dataclasses import replace\n"
        )
        result = run("--collect-only", "-q")
        names = [line.partition("::")[2] for line in result.outlines if "::" in line]
        assert names == [
            "test_a[fake-w1]",
            "test_a[fake-w2]",
            "test_a[threads-w1]",
            "test_a[threads-w2]",
            "test_b[threads-w2]",
            "test_b[fake-w2]",
            "test_plain",
        ]

    def test_stepwise_leaves_out_nothing_that_has_not_run(self, run: Run, pytester: pytest.Pytester) -> None:
        """A point of a cluster, which comes later otherwise, has run when the next one fails."""
        pytester.makepyfile(
            test_steps="""
            import pytest

            @pytest.mark.parallel_strategies("fake", "threads", workers=2)
            def test_steps(parallel):
                assert parallel.map(abs, [1]) == [1]
                assert parallel.strategy == "fake"
            """
        )
        found = run(
            "--parallel-check", "-p", "cacheprovider", "-p", "stepwise", "--stepwise", "test_steps.py"
        )
        found.assert_outcomes(passed=1, failed=1)


class TestEnds:
    def test_ctrl_c_and_a_kill_leave_no_process_and_no_folder(
        self, run: Run, pytester: pytest.Pytester, log: Path
    ) -> None:
        temporary = pytester.mkdir("temporary")
        pytester.makepyfile(
            test_suite="""
            import os, time
            import pytest
            import fake_engine

            def slow(item):
                fake_engine.note(f"pid {os.getpid()}")
                time.sleep(100)

            @pytest.mark.parallel_strategies("fake", workers=2)
            def test_slow(parallel):
                parallel.measure(lambda pool: pool.strategy == "sequential" or pool.map(slow, [0, 1]))
            """
        )
        for how in (signal.SIGINT, signal.SIGKILL):
            log.write_text("")
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--parallel-check"],
                cwd=pytester.path,
                env={**os.environ, "TMPDIR": str(temporary)},
                stdout=subprocess.DEVNULL,
            )
            until(lambda: log.read_text().count("pid ") == 2)
            pids = [int(line.split()[1]) for line in log.read_text().splitlines() if line[:4] == "pid "]
            process.send_signal(how)
            process.wait()
            until(partial(all_gone, pids))
            until(lambda: not list(temporary.glob("pp-*")))


class TestAddresses:
    def test_the_session_says_which_strategies_run_on_one(self, run: Run, address: str, log: Path) -> None:
        result = run("--parallel-check", f"--parallel-address=fake={address}", "-v")
        result.assert_outcomes(passed=7)
        port = address.rpartition(":")[2]
        result.stdout.fnmatch_lines([f"parallelism: fake on fake://127.0.0.1:{port}"])
        assert "start" not in log.read_text()

    def test_the_ini_file_names_them_too(
        self, run: Run, pytester: pytest.Pytester, address: str, log: Path
    ) -> None:
        pytester.makeini(f"[pytest]\nparallel_address =\n    fake={address}\n")
        run("--parallel-check").assert_outcomes(passed=7)
        assert "start" not in log.read_text()

    def test_no_password_is_printed_or_stored(
        self, run: Run, pytester: pytest.Pytester, address: str
    ) -> None:
        pytester.makepyfile(
            test_more="""
            import os
            import pytest

            def die(item):
                os._exit(1)

            @pytest.mark.parallel_strategies("fake", workers=2)
            def test_lost(parallel):
                parallel.measure(lambda pool: pool.strategy == "sequential" or pool.map(die, [0, 1]))
            """
        )
        out, reports = pytester.path / "out.json", pytester.path / "reports"
        common = ("--parallel-rounds=1", "--parallel-report", "-vv", "-l", "--tb=long", "-rA")
        files = (f"--benchmark-json={out}", f"--parallel-export={reports}/", f"--junitxml={out}.xml")
        good = run(*common, *files, f"--parallel-address=fake={address}")
        good.assert_outcomes(passed=7, failed=1)
        wrong = address.replace(fake_engine.PASSWORD, fake_engine.PASSWORD[::-1])
        bad = run(*common, f"--parallel-address=fake={wrong}")
        assert "refuses its password" in bad.stdout.str()
        parallelism = [r["extra_info"]["parallelism"] for r in json.loads(out.read_text())["benchmarks"]]
        told = [p["strategy_info"] for p in parallelism if p["strategy"] == "fake"]
        assert [one["cluster"] for one in told] == ["the user's own"] * 3
        texts = [good.stdout.str(), good.stderr.str(), bad.stdout.str(), bad.stderr.str()]
        paths = [path for path in pytester.path.rglob("*.*") if path.is_file()]
        written = [path.read_bytes().decode("utf-8", "replace") for path in paths]
        assert len(written) > 6
        for text in (*texts, *written):
            assert fake_engine.PASSWORD not in text
            assert fake_engine.PASSWORD[::-1] not in text
            assert fake_engine.USER not in text

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ("fakes=fake://h:1", "No strategy is named 'fakes'.*Did you mean 'fake'"),
            ("threads=tcp://h:1", "threads runs on no cluster that has an address; these do: .*fake"),
            ("fake://u:pass-word@h:1", "--parallel-address must name a strategy .*, not fake://h:1"),
            ("fake=", "--parallel-address must name a strategy and its cluster's address"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, run: Run, said: str, sentence: str) -> None:
        result = run(f"--parallel-address={said}")
        assert result.ret == 4
        result.stderr.re_match_lines([f".*{sentence}"])
        assert "pass-word" not in result.stdout.str() + result.stderr.str()

    def test_one_strategy_has_one_address(self, run: Run) -> None:
        result = run("--parallel-address=fake=fake://h:1", "--parallel-address=fake=fake://h:2")
        result.stderr.re_match_lines([".*gives fake two addresses: a strategy runs on one cluster"])


def all_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
