"""Measured points: their records, their errors, and that nothing else is stored."""

from __future__ import annotations

import math

import pytest

from .conftest import Suite

ROUNDS = "--parallel-rounds=3"


def test_every_point_has_a_record_that_stays_true(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("sequential", "threads", "processes-fork", workers=[1, 2])
        def test_it(parallel):
            results = parallel.map(work, range(20), size=160)
            assert results == [work(x) for x in range(20)]
            assert parallel.measurement.strategy == parallel.strategy
    """)
    result, records = suite.json(ROUNDS)
    result.assert_outcomes(passed=5)
    assert set(records) == {
        f"test_it[{p}]"
        for p in ("sequential-w1", "threads-w1", "threads-w2", "processes-fork-w1", "processes-fork-w2")
    }
    for name, record in records.items():
        assert record["group"] == "test_suite.py::test_it"
        ours = record["extra_info"]["parallelism"]
        assert f"test_it[{ours['strategy']}-w{ours['workers']}]" == name
        assert ours["pairs"] == 3
        assert record["stats"]["rounds"] >= 3
        assert ours["result"] == "equal"
        assert ours["items"] == 20
        speedup = ours["speedup"]
        assert speedup["low"] <= speedup["estimate"] <= speedup["high"]
        assert ours["efficiency"]["estimate"] == pytest.approx(speedup["estimate"] / ours["workers"])
        assert all(math.isfinite(s) and s > 0 for s in ours["sequential_seconds"])
        assert ours["throughput"]["bytes_per_second"] == pytest.approx(
            8 * ours["throughput"]["items_per_second"]
        )
        assert ours["usable_cores"] >= 1
        assert ours["environment"]["python"]


def test_plain_parameters_can_group_pytest_benchmarks_own_table(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=[1, 2])
        def test_it(parallel):
            parallel.map(work, range(5))
    """)
    result = suite.run(ROUNDS, "--benchmark-group-by=param:parallel_strategy")
    result.stdout.fnmatch_lines(["*benchmark 'parallel_strategy=threads': 2 tests*"])


def test_users_parameters_make_groups_of_their_own(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parametrize("size", [3, 5])
        @pytest.mark.parallel_strategies("threads", workers=[1, 2])
        def test_it(parallel, size):
            parallel.map(work, range(size))
    """)
    _, records = suite.json(ROUNDS)
    assert len(records) == 4
    assert {r["group"] for r in records.values()} == {
        "test_suite.py::test_it[3]",
        "test_suite.py::test_it[5]",
    }


def test_a_pipeline_of_the_users_own_is_measured(suite: Suite) -> None:
    suite.write("""
        from concurrent.futures import as_completed

        @pytest.mark.parallel_strategies("threads", "processes-fork", workers=[2])
        def test_executor(parallel):
            def pipeline(pool):
                futures = {pool.executor.submit(work, x): x for x in range(6)}
                return {futures[f]: f.result() for f in as_completed(futures)}
            assert parallel.measure(pipeline) == {x: work(x) for x in range(6)}

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_two_maps(parallel):
            def pipeline(pool):
                assert pool.workers in (1, 2)
                return sum(pool.map(work, pool.map(abs, range(-5, 0))))
            assert parallel.measure(pipeline) == sum(work(x) for x in range(1, 6))
    """)
    result, records = suite.json(ROUNDS)
    result.assert_outcomes(passed=3)
    assert len(records) == 3


def test_a_strategy_that_cannot_run_this_workload_is_a_skip_with_the_reason(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("asyncio", "threads", workers=[2])
        def test_it(parallel):
            parallel.map(work, range(3))
    """)
    result, records = suite.json(ROUNDS, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*asyncio runs coroutine functions only, and work is not one*"])
    assert set(records) == {"test_it[threads-w2]"}


def test_coroutine_functions_run_natively(suite: Suite) -> None:
    suite.write("""
        import asyncio

        async def fetch(x):
            await asyncio.sleep(0.002)
            return x

        @pytest.mark.parallel_strategies(workers=[4])
        def test_it(parallel):
            assert parallel.map(fetch, range(8)) == list(range(8))
    """)
    result, records = suite.json(ROUNDS, "--parallel-strategies=asyncio,threads")
    result.assert_outcomes(passed=2)
    assert records["test_it[asyncio-w4]"]["extra_info"]["parallelism"]["kind"] == "io"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "parallel.map(lambda x: x.append(1), [[0], [1]])",
            "*ItemsChanged: *changes its items: item 0 (list)*",
        ),
        ("parallel.map(lambda x: next(COUNT), [0, 1])", "*NotRepeatable: the workload is not repeatable*"),
        ("parallel.map(lambda f: next(f), [iter(range(9))])", "*the lambda changes its items: item 0*"),
        (
            "parallel.map(lambda f: next(f), [x for x in [(y for y in 'ab')]])",
            "*rounds of the lambda disagree*",
        ),
        ("parallel.measure(lambda pool: pool.strategy)", "*WrongResult: threads-w2 gives another result*"),
        ("parallel.map(fail, [1])", "*KeyError: 'told so'*"),
        ("parallel.map(work, [1]); assert 1 == 2", "*assert 1 == 2*"),
        ("parallel.map(work, [1]); pytest.skip('enough')", "*SKIPPED*"),
    ],
)
def test_what_fails_leaves_no_record_and_costs_no_other(suite: Suite, body: str, text: str) -> None:
    suite.write(f"""
        from itertools import count
        COUNT = count()

        def fail(x):
            raise KeyError("told so")

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            {body}

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_other(parallel):
            parallel.map(work, range(3))
    """)
    result, records = suite.json(ROUNDS, "-v")
    result.stdout.fnmatch_lines([text])
    assert set(records) == {"test_other[threads-w2]"}


def test_a_wrong_result_shows_the_first_difference_and_no_line_of_ours(suite: Suite) -> None:
    suite.write("""
        import threading

        def name(x):
            return "main" if threading.current_thread() is threading.main_thread() else f"other {x}"

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel):
            parallel.map(name, [1, 2])
    """)
    result = suite.run(ROUNDS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       parallel.map(name, [[]1, 2[]])",
            "*WrongResult: threads-w2 gives another result than the sequential run of name",
            "E*first difference at ?0?:",
            "E*sequential  'main'",
            "E*threads-w2  'other 1'",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_parallelism/*")


def test_a_tasks_own_exception_is_what_fails_the_test(suite: Suite) -> None:
    suite.write("""
        class Odd(Exception):
            pass

        def picky(x):
            assert x != 3, f"three is {x}"
            return x

        def odd(x):
            raise Odd("very", x)

        @pytest.mark.parallel_strategies("threads", "processes-fork", "processes-spawn", workers=[2])
        def test_class(parallel):
            with pytest.raises(Odd) as caught:
                parallel.map(odd, [1, 2])
            assert caught.value.args == ("very", 1)

        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_message(parallel):
            parallel.map(picky, [1, 3])
    """)
    result = suite.run(ROUNDS)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*three is 3*"])


def test_a_heavy_function_is_warned_about_by_the_name_of_what_it_drags(suite: Suite) -> None:
    suite.write("""
        TABLE = list(range(400_000))

        def look_up(i):
            return TABLE[i]

        @pytest.mark.parallel_strategies("processes-fork", workers=[2])
        def test_it(parallel):
            parallel.map(look_up, range(4))
    """)
    result = suite.run(ROUNDS)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*ParallelismWarning: *TABLE*"])


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_any_function_of_the_users_works_on_every_process_strategy(suite: Suite, mode: str) -> None:
    suite.write("""
        from dataclasses import dataclass
        from functools import partial

        @dataclass
        class Doc:
            number: int

        def unwrap(doc):
            assert isinstance(doc, Doc)
            return Doc(doc.number + 1)

        class Scaler:
            def __init__(self, factor):
                self.factor = factor
            def scale(self, x):
                return self.factor * x

        @pytest.fixture
        def offset():
            return 7

        def add(a, b):
            return a + b

        STRATEGIES = ["processes-fork", "processes-forkserver", "processes-spawn", "joblib-loky",
                      "joblib-multiprocessing"]

        @pytest.mark.parallel_strategies(*STRATEGIES, workers=[2])
        def test_all(parallel, offset):
            def nested(x):
                return x + offset

            def pipeline(pool):
                return [
                    pool.map(work, [1, 2]),
                    pool.map(nested, [1, 2]),
                    pool.map(lambda x: x + offset, [1, 2]),
                    pool.map(partial(add, 3), [1, 2]),
                    pool.map(Scaler(4).scale, [1, 2]),
                    pool.map(unwrap, [Doc(1), Doc(2)]),
                ]

            expected = [[work(1), work(2)], [8, 9], [8, 9], [4, 5], [4, 8], [Doc(2), Doc(3)]]
            assert parallel.measure(pipeline) == expected
    """)
    suite.run("--parallel-check", f"--import-mode={mode}").assert_outcomes(passed=5)
