"""Workers of a fork server, which is started once and keeps the surroundings of its start."""

from __future__ import annotations

import multiprocessing

import pytest

from .conftest import Suite


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="needs a fork server")
def test_workers_have_the_environment_and_streams_of_the_test_and_not_of_the_server(suite: Suite) -> None:
    suite.write("""
import os
import pytest

HERE = os.getpid()


def writes(item):
    if os.getpid() != HERE:
        os.write(1, b"out ")
        os.write(2, b"err ")
    return sorted(name for name in os.environ if name.startswith("OWN_"))


@pytest.mark.parallel_strategies(
    "processes-forkserver", "process-pool-executor-forkserver", "multiprocessing-pool-forkserver", workers=1
)
@pytest.mark.parametrize("name", ["OWN_A", "OWN_B"])
def test_it(parallel, capfd, monkeypatch, name):
    monkeypatch.setenv(name, "set")
    assert parallel.map(writes, [1]) == [[name]]
    assert tuple(capfd.readouterr()) == ("out ", "err ")
""")
    suite.run("--parallel-check", "-W", "error").assert_outcomes(passed=6)
