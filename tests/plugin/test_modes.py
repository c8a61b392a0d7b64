"""The other modes and plugins that a session may run with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Suite

TWO_POINTS = """
    @pytest.mark.parallel_strategies("threads", workers=[1, 2])
    def test_it(parallel):
        assert parallel.map(work, range(4)) == [work(x) for x in range(4)]

    def test_plain():
        pass
"""
ROUNDS = "--parallel-rounds=3"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--parallel-check"], "--parallel-check"),
        (["--benchmark-disable"], "--benchmark-disable"),
        (["-n2"], "pytest-xdist is on"),
    ],
)
def test_modes_that_measure_nothing_run_each_point_once_and_say_so(
    suite: Suite, options: list[str], why: str
) -> None:
    if "-n2" in options:
        pytest.importorskip("xdist")
    suite.write(TWO_POINTS)
    result, records = suite.json("--parallel-report", *options)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"*not measured*{why}*"])
    result.stdout.fnmatch_lines(["verdicts: 0 passed, 0 failed, 0 inconclusive, 0 not judged"])
    assert records == {}


def test_a_wrong_result_fails_where_nothing_is_measured_too(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.measure(lambda pool: pool.workers)
    """)
    suite.run("--parallel-check").assert_outcomes(failed=1)


def test_benchmark_skip_and_only_know_our_points(suite: Suite) -> None:
    suite.write(TWO_POINTS)
    suite.run(ROUNDS, "--benchmark-skip").assert_outcomes(passed=1, skipped=2)
    suite.run(ROUNDS, "--benchmark-only").assert_outcomes(passed=2, skipped=1)


def test_without_pytest_benchmark_it_is_a_usage_error_only_where_the_fixture_is_used(suite: Suite) -> None:
    suite.write("def test_plain(): pass")
    suite.run("-p", "no:benchmark").assert_outcomes(passed=1)
    suite.write(TWO_POINTS)
    result = suite.run("-p", "no:benchmark")
    text = "*test_it uses the fixture parallel, which needs pytest-benchmark: remove -p no:benchmark*"
    result.stderr.fnmatch_lines([text])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_codspeed_gets_one_plain_run(suite: Suite) -> None:
    pytest.importorskip("pytest_codspeed")
    suite.write(TWO_POINTS)
    result = suite.run("--codspeed", "--codspeed-mode=walltime", "--parallel-report")
    assert result.parseoutcomes()["passed"] == 2  # plain tests are deselected by --codspeed
    result.stdout.fnmatch_lines(["*not measured*another plugin's benchmark fixture*"])


def test_traced_code_is_measured_marked_and_not_judged(suite: Suite) -> None:
    suite.write("""
        import sys

        @pytest.fixture(autouse=True)
        def traced():
            sys.settrace(lambda *_: None)
            yield
            sys.settrace(None)

        @pytest.mark.parallel_strategies("threads", workers=[2], min_speedup=1.9)
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = suite.json(ROUNDS)
    result.assert_outcomes(passed=1)
    (record,) = records.values()
    ours = record["extra_info"]["parallelism"]
    assert ours["tracing"]
    assert ours["verdicts"][0]["outcome"] == "not judged"


def test_coverage_is_found_out(suite: Suite) -> None:
    pytest.importorskip("pytest_cov")
    suite.write(TWO_POINTS)
    _, records = suite.json(ROUNDS, "--cov=.")
    assert all("cov" in r["extra_info"]["parallelism"]["tracing"] for r in records.values())
    assert len(records) == 2


def test_a_repeated_test_keeps_one_record(suite: Suite) -> None:
    pytest.importorskip("pytest_rerunfailures")
    suite.write("""
        TRIES = []

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(3))
            TRIES.append(1)
            assert len(TRIES) > 1
    """)
    result, records = suite.json(ROUNDS, "--reruns=2", "--parallel-report")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    assert list(records) == ["test_it[threads-w2]"]


def test_a_missed_gate_that_is_repeated_keeps_one_record(suite: Suite) -> None:
    pytest.importorskip("pytest_rerunfailures")
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=[4], min_speedup=4)
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    path = Path(suite.pytester.path) / "out.json"
    suite.run(ROUNDS, "--reruns=2", "--parallel-strict", f"--benchmark-json={path}")
    assert len(json.loads(path.read_text())["benchmarks"]) == 1


def test_random_order_changes_nothing(suite: Suite) -> None:
    pytest.importorskip("pytest_randomly")
    suite.write(TWO_POINTS)
    _, records = suite.json(ROUNDS, "-p", "randomly", "-p", "no:cacheprovider")
    assert set(records) == {"test_it[threads-w1]", "test_it[threads-w2]"}


@pytest.mark.parametrize("strategy", ["threads", "processes-fork", "joblib-loky"])
def test_a_point_ended_by_pytest_timeout_costs_no_other_record(suite: Suite, strategy: str) -> None:
    pytest.importorskip("pytest_timeout")
    suite.write(f"""
        import time

        @pytest.mark.timeout(3, method="signal")
        @pytest.mark.parallel_strategies("{strategy}", workers=[2])
        def test_slow(parallel):
            parallel.map(lambda x: time.sleep(1), range(4))

        @pytest.mark.parallel_strategies("{strategy}", workers=[2])
        def test_other(parallel):
            parallel.map(work, range(3))
    """)
    result, records = suite.json("--parallel-rounds=20", "--parallel-report")
    result.assert_outcomes(passed=1, failed=1)
    assert list(records) == [f"test_other[{strategy}-w2]"]


def test_the_session_starts_with_one_line(suite: Suite) -> None:
    suite.write(TWO_POINTS)
    result = suite.run("--collect-only")
    result.stdout.fnmatch_lines(["parallelism: 2 points, up to 20 s, * usable core*, GIL o*"])
    suite.write("def test_plain(): pass")
    suite.run().stdout.no_fnmatch_line("parallelism:*")


def test_the_report_is_a_flag_before_a_path(suite: Suite) -> None:
    suite.write(TWO_POINTS)
    result = suite.run(ROUNDS, "--parallel-report", "test_suite.py")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*parallelism*", "*test_it*", "*1 worker*2 workers*", "*verdicts: 0 passed*"]
    )


def test_our_report_replaces_pytest_benchmarks_table_where_all_records_are_ours(suite: Suite) -> None:
    suite.write(TWO_POINTS)
    suite.run(ROUNDS, "--parallel-report").stdout.no_fnmatch_line("*Name (time in*")
    suite.run(ROUNDS).stdout.fnmatch_lines(["*Name (time in*"])
    suite.write(TWO_POINTS + "\n    def test_bench(benchmark):\n        benchmark(work, 1)\n")
    suite.run(ROUNDS, "--parallel-report").stdout.fnmatch_lines(["*Name (time in*"])


def test_stored_runs_can_be_compared_by_pytest_benchmark_itself(suite: Suite) -> None:
    suite.write(TWO_POINTS)
    suite.run(ROUNDS, "--benchmark-autosave").assert_outcomes(passed=3)
    result = suite.run(ROUNDS, "--benchmark-compare", "--benchmark-autosave")
    result.stdout.fnmatch_lines(["*test_it?threads-w1? (NOW)*"])
    assert result.ret == 0


def test_nothing_is_left_behind(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    own = suite.pytester.mkdir("own_temp")
    monkeypatch.setenv("TMPDIR", str(own))  # other processes use the machine's temp folder too
    suite.write("""
        import os, glob, tempfile, threading

        LEFT = lambda: [*glob.glob(f"/dev/shm/*{os.getpid()}*"), *os.listdir(tempfile.gettempdir())]
        THREADS = set(threading.enumerate())

        @pytest.mark.parallel_strategies("threads", "processes-fork", "joblib-loky", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(3))

        def test_after():
            import multiprocessing
            assert not multiprocessing.active_children()
            assert set(threading.enumerate()) == THREADS
            assert LEFT() == []
    """)
    suite.run(ROUNDS).assert_outcomes(passed=4)
