"""Each odd use of marker and fixture ends in one clear sentence, or works."""

from __future__ import annotations

import pytest

from .conftest import Suite


def sentence_of(result: pytest.RunResult, text: str) -> None:
    """The sentence stands in the output, and no traceback of ours does."""
    result.stdout.fnmatch_lines([f"*{text}*"])
    output = result.stdout.str() + result.stderr.str()
    assert "pytest_parallelism/" not in output
    assert "INTERNALERROR" not in output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("worker=2", "takes no argument 'worker'*Did you mean 'workers'?"),
        ("'thread'", "No strategy is named 'thread'*Did you mean 'threads'?"),
        ("workers=0", "workers must be at least 1, not 0"),
        ("min_speedup={2: 3}", "more than any machine can reach"),
        ("scaling='weak'", "is not there yet"),
        ("options={'threads': 1}", "must be {strategy: {name: value}}"),
    ],
)
def test_a_wrong_marker_argument_is_a_collection_error(suite: Suite, arguments: str, text: str) -> None:
    suite.write(f"""
        @pytest.mark.parallel_strategies({arguments})
        def test_it(parallel):
            parallel.map(work, [1])
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, text)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--parallel-rounds=x", "--parallel-rounds must be a whole number of at least 1, not 'x'"),
        ("--parallel-workers=two", "--parallel-workers takes worker counts"),
        ("--parallel-strategies=thread", "No strategy is named 'thread'"),
        ("--parallel-max-time=-3", "--parallel-max-time must be a number above 0"),
        ("--parallel-min-speedup=fast", "--parallel-min-speedup must be a number above 0"),
        ("--parallel-min-efficiency=80", "a share between 0 and 1"),
    ],
)
def test_a_wrong_option_is_a_usage_error(suite: Suite, option: str, text: str) -> None:
    suite.write("def test_it(): pass")
    result = suite.run(option, subprocess=False)
    result.stderr.fnmatch_lines([f"*{text}*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stderr.str()


def test_a_wrong_ini_value_is_a_usage_error(suite: Suite) -> None:
    suite.write("def test_it(): pass")
    suite.pytester.makeini("[pytest]\nparallel_max_time = soon\n")
    result = suite.run(subprocess=False)
    result.stderr.fnmatch_lines(["*ini value parallel_max_time must be a number above 0, not 'soon'*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_ini_values_are_the_options_twins(suite: Suite) -> None:
    suite.write("def test_it(parallel): parallel.map(work, [1, 2])")
    suite.pytester.makeini(
        "[pytest]\nparallel_check = true\nparallel_strategies = threads\nparallel_workers = 2\n"
    )
    result = suite.run("-v", subprocess=False)
    result.stdout.fnmatch_lines(
        ["parallelism: strategies threads and workers 2 instead of the markers' choice"]
    )
    result.stdout.fnmatch_lines(["*test_it?threads-w2? PASSED*"])
    result.assert_outcomes(passed=1)


def test_the_marker_without_the_fixture_on_a_function_is_an_error(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads")
        def test_it():
            pass
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "test_it has the marker parallel_strategies but does not use the fixture parallel")
    result.assert_outcomes(errors=1)


def test_the_marker_without_the_fixture_on_a_class_or_module_is_silent(suite: Suite) -> None:
    suite.write("""
        pytestmark = pytest.mark.parallel_strategies("threads", workers=2)

        @pytest.mark.parallel_strategies("threads", workers=[1, 2])
        class TestAll:
            def test_plain(self):
                pass

            def test_measured(self, parallel):
                assert parallel.map(work, [1]) == [work(1)]

        def test_outside(parallel):
            assert parallel.workers == 2
            parallel.map(work, [1])
    """)
    result = suite.run("--parallel-check", subprocess=False)
    result.assert_outcomes(passed=4)


def test_the_fixture_without_the_marker_is_as_the_bare_marker(suite: Suite) -> None:
    suite.write("def test_it(parallel): parallel.map(work, [1])")
    result = suite.run("--collect-only", "-q", subprocess=False)
    result.stdout.fnmatch_lines(["*test_it?sequential-w1?", "*test_it?threads-w1?"])


def test_the_two_parameters_are_plain_fixtures_too(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=[2, "max-1"])
        def test_it(parallel, parallel_strategy, parallel_workers):
            assert parallel_strategy == parallel.strategy == "threads"
            assert parallel_workers in (2, "max-1")
            assert isinstance(parallel.workers, int)
            parallel.map(work, [1])
    """)
    suite.run("--parallel-check", subprocess=False).assert_outcomes(passed=2)


def test_the_name_parallel_stays_free_for_users_parameters_and_fixtures(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parametrize("parallel", [1, 2])
        def test_parameter(parallel):
            assert parallel in (1, 2)

        class TestFixture:
            @pytest.fixture
            def parallel(self):
                return "own"

            def test_it(self, parallel):
                assert parallel == "own"
    """)
    suite.run("-p", "no:benchmark").assert_outcomes(passed=3)


def test_one_of_the_two_parameters_alone_is_refused(suite: Suite) -> None:
    suite.write("def test_it(parallel_workers): pass")
    sentence_of(suite.run(subprocess=False), "takes parallel_workers alone: take the fixture parallel")


def test_getfixturevalue_is_refused_in_one_sentence(suite: Suite) -> None:
    suite.write("""
        def test_it(request):
            request.getfixturevalue("parallel")
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "must take it as an argument (not getfixturevalue*")


def test_unittest_is_refused_in_one_sentence(suite: Suite) -> None:
    suite.write("""
        import unittest

        class TestIt(unittest.TestCase):
            @pytest.mark.parallel_strategies("threads")
            def test_marked(self):
                pass

            def test_plain(self):
                pass

        class TestInjected(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def inject(self, parallel):
                pass

            def test_it(self):
                pass
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "unittest.TestCase methods cannot take the fixture parallel")
    result.stdout.fnmatch_lines(["*test_it cannot use the fixture parallel this way*"])
    result.assert_outcomes(passed=1, errors=2)


def test_a_doctest_is_refused_in_one_sentence(suite: Suite) -> None:
    suite.pytester.maketxtfile(test_doc=">>> getfixture('parallel')\n")
    result = suite.run(subprocess=False)
    result.stdout.fnmatch_lines(["*cannot use the fixture parallel this way*"])
    result.assert_outcomes(failed=1)


def test_hypothesis_is_refused_in_one_sentence(suite: Suite) -> None:
    pytest.importorskip("hypothesis")
    suite.write("""
        from hypothesis import given, strategies as st

        @given(x=st.integers())
        def test_it(parallel, x):
            parallel.map(work, [x])
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "test_it is a @given test, which runs its body many times")
    result.assert_outcomes(errors=1)


def test_an_async_test_is_refused_in_one_sentence(suite: Suite) -> None:
    suite.write("""
        async def test_it(parallel):
            parallel.map(work, [1])
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "test_it is async def*write a plain def")
    result.assert_outcomes(errors=1)


def test_a_second_measurement_is_refused(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_it(parallel):
            parallel.map(work, [1])
            parallel.map(work, [2])
    """)
    result = suite.run("--parallel-rounds=2", subprocess=False)
    sentence_of(result, "a test has one measurement*put both in one parallel.measure")
    result.assert_outcomes(failed=1)


def test_a_mistyped_argument_of_map_is_refused(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_it(parallel):
            parallel.map(work, [1], chunksize=3)
    """)
    result = suite.run(subprocess=False)
    sentence_of(result, "parallel.map takes no argument 'chunksize'*Did you mean 'chunk_size'?")


def test_an_empty_corpus_is_refused(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_it(parallel):
            parallel.map(work, [])
    """)
    sentence_of(suite.run(subprocess=False), "a map of no items")


def test_both_fixtures_benchmark_and_parallel_are_refused(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_it(parallel, benchmark):
            parallel.map(work, [1])
            benchmark(work, 1)
    """)
    result, records = suite.json("--parallel-rounds=2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Fixture can only be used once. Previously it was used in parallel*"])
    assert records == {}


def test_a_test_that_measures_nothing_is_warned_about(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parallel_strategies("threads", workers=2)
        def test_it(parallel):
            assert parallel.workers == 2
    """)
    result = suite.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_it?threads-w2? uses the fixture parallel and measures nothing*"])


def test_users_own_parameters_stay_apart(suite: Suite) -> None:
    suite.write("""
        @pytest.mark.parametrize("size", ["small", "large"])
        @pytest.mark.parallel_strategies("threads", workers=[2])
        def test_it(parallel, size):
            assert parallel.test.endswith(f"test_it[{size}]")
            parallel.map(work, [1])
    """)
    suite.run("--parallel-check", subprocess=False).assert_outcomes(passed=2)


def test_a_strategy_of_a_conftest_is_found_and_a_taken_name_refused(suite: Suite) -> None:
    suite.pytester.makeconftest("""
        from dataclasses import replace
        from pytest_parallelism.registry import load

        def pytest_parallelism_strategies(config):
            return [replace(load()["threads"], name=NAME)]

        NAME = "mine"
    """)
    suite.write("""
        @pytest.mark.parallel_strategies("mine", workers=2)
        def test_it(parallel):
            assert parallel.map(work, [1, 2]) == [work(1), work(2)]
    """)
    suite.run("--parallel-check").assert_outcomes(passed=1)
    conftest = suite.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"mine"', '"threads"'))
    result = suite.run("--parallel-check")
    result.stderr.fnmatch_lines(["*threads*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
