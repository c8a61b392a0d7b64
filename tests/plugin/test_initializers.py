"""What an initializer of a test file sets as globals belongs to the worker that called it."""

from __future__ import annotations

import pytest

from .conftest import Suite

STRATEGIES = (
    "processes-fork",
    "processes-spawn",
    "process-pool-executor-forkserver",
    "multiprocessing-pool-fork",
    "processes-threads",
    "processes-queue",
    "joblib-loky",
    "threads",
)

CONNECTS = f"""
    import os
    import sqlite3
    import threading

    CONNECTION = None
    HOME = 0
    strategies = pytest.mark.parallel_strategies({", ".join(map(repr, STRATEGIES))}, workers=2)


    def settle():
        global HOME
        HOME = os.getpid()


    def connect(path):
        global CONNECTION
        # Threads share it here, which a statement in a cache does not bear.
        CONNECTION = sqlite3.connect(path, check_same_thread=False, cached_statements=0)
        settle()


    def doubled(item):
        assert os.getpid() == HOME
        return CONNECTION.execute("select 2 * ?", (item,)).fetchone()[0]
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_each_worker_has_a_connection_of_its_own(suite: Suite, mode: str) -> None:
    suite.write(
        CONNECTS
        + """
    @strategies
    def test_query(parallel, tmp_path):
        how = {"initializer": connect, "initargs": (str(tmp_path / "numbers.db"),)}
        assert parallel.map(doubled, range(8), **how) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert HOME == os.getpid()
    """
    )
    suite.run("--parallel-check", f"--import-mode={mode}").assert_outcomes(passed=len(STRATEGIES))


def test_an_initializer_that_cannot_be_sent_is_named(suite: Suite) -> None:
    suite.write("""
        import threading

        @pytest.mark.parallel_strategies("processes-spawn", "multiprocessing-pool-spawn", workers=1)
        def test_it(parallel):
            lock = threading.Lock()

            def begin():
                return lock

            parallel.map(work, range(3), initializer=begin)
    """)
    result = suite.run("--parallel-check")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*NotTransferable: *begin cannot be sent to a worker*"] * 2)
    result.stdout.no_fnmatch_line("*_meet_in_folder cannot*")
    result.stdout.no_fnmatch_line("*_Prepare cannot*")
