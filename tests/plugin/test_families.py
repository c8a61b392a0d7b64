"""``require="any"`` in sessions that do not run everything, and records of tests that fail late."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Suite

ANY = """
    @pytest.mark.parallel_strategies("threads", "processes-fork", workers=[2], min_speedup=1.5, require="any")
    def test_it(parallel):
        parallel.map(work, range(3))
"""
ROUNDS = "--parallel-rounds=3"


def test_it_needs_no_terminal_reporter(gated: Suite) -> None:
    gated.write(ANY)
    assert gated.run("-p", "no:terminal").ret == 0


def test_points_that_were_not_selected_might_have_reached_it(gated: Suite) -> None:
    gated.write(ANY)
    result, records = gated.json("-k", "threads")
    result.assert_outcomes(passed=1, deselected=1)
    (record,) = records.values()
    (verdict,) = record["extra_info"]["parallelism"]["verdicts"]
    assert verdict["outcome"] == "not judged"
    assert verdict["sentence"].endswith("; 1 more did not run")


def test_a_session_cut_short_says_nothing_of_points_that_did_not_run(gated: Suite) -> None:
    gated.write("    def test_a():\n        assert False\n")
    gated.write(ANY, name="test_zz")
    result = gated.run("test_zz.py", "test_suite.py", "-x", "-k", "threads or test_a")
    result.stdout.no_fnmatch_line("no strategy reaches*Error*")
    gated.write(ANY + "\n    def test_between():\n        assert False\n")
    gated.pytester.makeconftest(
        (gated.pytester.path / "conftest.py").read_text()
        + "\ndef pytest_collection_modifyitems(items):\n    items.sort(key=lambda i: 'fork' in i.name)\n"
    )
    gated.run("test_suite.py", "-x").stdout.no_fnmatch_line("no strategy reaches*")


def test_a_gate_on_max_holds_where_max_is_a_listed_number(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers=[1, 2, "max"], min_speedup={"max": 1.5})
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    gated.run().assert_outcomes(passed=1, failed=1)


def test_a_claim_above_max_is_not_judged_on_this_machine(gated: Suite) -> None:
    gated.write("""
        @pytest.mark.parallel_strategies("threads", workers="max", min_speedup=3)
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = gated.json()
    result.assert_outcomes(passed=1)
    (record,) = records.values()
    assert record["extra_info"]["parallelism"]["verdicts"][0]["outcome"] == "not judged"


@pytest.mark.parametrize(
    "body",
    [
        """
        @pytest.fixture
        def late(parallel):
            parallel.map(work, range(3))
            raise OSError("late")

        def test_it(parallel, late):
            pass
        """,
        """
        @pytest.fixture
        def late():
            yield
            raise OSError("late")

        def test_it(parallel, late):
            parallel.map(work, range(3))
        """,
    ],
)
def test_what_fails_around_the_test_leaves_no_record(suite: Suite, body: str) -> None:
    suite.write(
        """
        pytestmark = pytest.mark.parallel_strategies("threads", workers=[2])
        """
        + body
    )
    result, records = suite.json(ROUNDS, "--parallel-report")
    assert result.parseoutcomes()["errors"] == 1
    assert records == {}
    result.stdout.fnmatch_lines(["*error*threads*late*"])


def test_a_repeat_that_fails_before_measuring_leaves_no_record(suite: Suite) -> None:
    pytest.importorskip("pytest_rerunfailures")
    suite.write("""
        TRIES = []

        @pytest.mark.parallel_strategies("threads", workers=[4], min_speedup=4)
        def test_it(parallel):
            TRIES.append(1)
            if len(TRIES) > 1:
                raise OSError("gone")
            parallel.map(work, range(3))
    """)
    _, records = suite.json(ROUNDS, "--reruns=1", "--parallel-strict")
    assert records == {}


def test_options_of_a_strategy_are_not_asked_of_the_baseline(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies(
            "joblib-loky", workers=2, options={"joblib-loky": {"max_nbytes": None}}
        )
        def test_it(parallel):
            assert parallel.map(work, [1, 2]) == [work(1), work(2)]
    """)
    suite.run("--parallel-check").assert_outcomes(passed=1)


def test_the_json_holds_curves_and_what_to_use_once(suite: Suite) -> None:
    import json

    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=[1, 2])
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    path = Path(suite.pytester.path) / "out.json"
    suite.run(ROUNDS, f"--benchmark-json={path}")
    block = json.loads(path.read_text())["parallelism"]
    assert block["schema"] == 1
    test = block["tests"]["test_suite.py::test_it"]
    assert set(test["curves"]["threads"]) == {"1", "2"}
    assert "recommended" in test


def test_check_blames_a_workload_that_does_not_repeat_and_not_the_strategy(suite: Suite) -> None:
    suite.write("""
        from itertools import count
        COUNT = count()

        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_count(parallel):
            parallel.map(lambda x: next(COUNT), [1, 2])

        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_change(parallel):
            parallel.map(lambda x: x.append(1), [[], []])
    """)
    result = suite.run("--parallel-check")
    result.stdout.fnmatch_lines(["*NotRepeatable*", "*ItemsChanged*"])


def test_work_beside_the_pool_is_noted(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("processes-fork", workers=2)
        def test_it(parallel):
            parallel.measure(lambda pool: sum(work(x) for x in range(3)))
    """)
    _, records = suite.json(ROUNDS)
    (record,) = records.values()
    notes = record["extra_info"]["parallelism"]["notes"]  # among them may be one of a slow first round
    assert any(
        note.startswith("the workload used none of pool.map, pool.imap, pool.executor and pool.native")
        for note in notes
    )


@pytest.mark.parametrize(
    ("conftest", "code", "text"),
    [
        ("return load()['threads']", 4, "two strategies are named 'threads'"),
        ("return 3", 4, "it must return strategies"),
    ],
)
def test_a_wrong_hook_is_one_sentence(suite: Suite, conftest: str, code: int, text: str) -> None:
    suite.pytester.makeconftest(
        "from pytest_parallelism.registry import load\n"
        f"def pytest_parallelism_strategies(config):\n    {conftest}\n"
    )
    suite.write(ANY.replace('"any"', '"all"'))
    result = suite.run("--parallel-check")
    result.stderr.fnmatch_lines([f"*{text}*"])
    assert result.ret == code
    result = suite.run()
    result.stdout.fnmatch_lines([f"*{text}*"])
    result.stdout.no_fnmatch_line("*pytest_parallelism/*")


def test_a_marker_on_a_param_is_refused(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parametrize(
            "x", [pytest.param(1, marks=pytest.mark.parallel_strategies("threads", min_speedup=1.9))]
        )
        def test_it(parallel, x):
            parallel.map(work, [x])
    """)
    result = suite.run("--parallel-check")
    result.stdout.fnmatch_lines(["*has the marker parallel_strategies on a pytest.param*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_expected_errors_and_failures_are_told_as_what_they_are(suite: Suite) -> None:
    suite.write("""
        def boom(x):
            raise ValueError(x)

        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_raises(parallel):
            with pytest.raises(ValueError):
                parallel.map(boom, [1])

        @pytest.mark.xfail(reason="known")
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_xfail(parallel):
            parallel.map(boom, [1])
    """)
    result = suite.run(ROUNDS, "--parallel-report")
    result.assert_outcomes(passed=1, xfailed=1)
    text = " ".join(result.stdout.str().split())
    assert "the measurement ended in an error that the test expected" in text
    assert "as expected: known" in text
