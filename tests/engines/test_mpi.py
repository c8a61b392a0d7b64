"""The strategy mpi: every promise of a strategy, and what is peculiar to MPI."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from pytest_parallelism import clusters
from pytest_parallelism.errors import TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategies.mpi import launcher as launcher_here
from pytest_parallelism.strategy import HasPids, Pool, StrategyOptions

from .conftest import KNOWN, EngineConformance
from .killed import left_after_sigkill

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


class TestMpi(EngineConformance):
    name = "mpi"


def there(workers: int, address: str) -> AbstractContextManager[Pool]:
    options = StrategyOptions(address=address, by_value=(sys.modules[__name__],))
    return KNOWN["mpi"].open(workers, options)


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's own, where the cores are fewer than the ranks, and the user is root."""
    clusters.end_kept()
    for name, value in {**AS_ROOT, "PRTE_MCA_rmaps_default_mapping_policy": ":OVERSUBSCRIBE"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    found = launcher_here()
    assert found is not None
    return shlex.quote(found)


def pid_of(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def end_yourself(_item: int) -> None:
    os._exit(3)


def fail(item: int) -> None:
    raise KeyError(item)


def test_a_launch_of_the_users_own_is_used_as_far_as_workers_are_wanted(launcher: str) -> None:
    with there(1, f"{launcher} -n 3") as pool:
        assert pool.workers == 1
        assert len(set(pool.map(pid_of, [0.0] * 8, chunk_size=1))) == 1


def test_a_launch_with_fewer_workers_than_wanted_says_how_many_it_has(launcher: str) -> None:
    with there(4, f"{launcher} -n 3") as pool:
        assert pool.workers == 2
        pids = pool.map(pid_of, [0.1] * 8, chunk_size=1)
        assert len(set(pids)) == 2
        assert os.getpid() not in pids
        with pytest.raises(KeyError) as caught:
            pool.map(fail, [7])
        assert "in fail" in str(caught.value.__cause__)
    clusters.end_kept()
    assert not any(map(psutil.pid_exists, pids))


def test_a_lost_rank_of_the_users_own_launch_is_named_as_such(launcher: str) -> None:
    with there(2, f"{launcher} -n 3") as pool, pytest.raises(WorkerLost, match="MPI ends all ranks"):
        pool.map(end_yourself, range(4), chunk_size=1)


def test_a_hung_task_on_the_users_own_launch_ends_it(launcher: str) -> None:
    with there(2, f"{launcher} -n 3") as pool:
        pids = set(pool.map(pid_of, [0.1] * 8, chunk_size=1))
        with pytest.raises(TaskTimeout, match="its tasks on MPI were ended"):
            pool.map(pid_of, [600.0], timeout=0.5)
        assert not any(map(psutil.pid_exists, pids))


def test_a_launch_of_one_rank_is_refused(launcher: str) -> None:
    with pytest.raises(UsageError, match="one more than the workers"), there(2, f"{launcher} -n 1"):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("no-such-launcher -n 3", "'no-such-launcher' is not a program here"),
        ("mpiexec 'unclosed", "as a shell reads them"),
        ("", "nothing is given"),
        ("false", "ended with exit code 1"),
        ("ls --no-such-option", "no-such-option"),
    ],
)
def test_a_launcher_that_starts_nothing_is_a_sentence(address: str, said: str) -> None:
    clusters.end_kept()
    with pytest.raises(UsageError, match=said), there(2, address):
        pass


def test_a_rank_that_cannot_import_this_package_is_a_sentence(launcher: str, tmp_path: Path) -> None:
    program = tmp_path / "elsewhere"  # a host whose Python lacks it
    program.write_text(f'#!/bin/sh\nshift\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    program.chmod(0o700)
    with pytest.raises(UsageError, match="No module named"), there(2, str(program)):
        pass


def test_nothing_is_left_of_a_run_that_was_killed(tmp_path: Path) -> None:
    assert left_after_sigkill("mpi", tmp_path) == set()


def test_nobody_listens_on_a_port_for_a_launch_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters.end_kept()
    monkeypatch.setattr(socket, "create_server", lambda *_: pytest.fail("a port"))
    with KNOWN["mpi"].open(2, StrategyOptions()) as pool:
        assert pool.map(abs, [-1]) == [1]


def test_what_is_listened_on_is_loopback_where_the_launcher_allows_it() -> None:
    if Path(launcher_here() or "").name != "mpiexec.gforker":
        pytest.skip("the launchers of Open MPI and of MPICH other than gforker listen on all interfaces")
    with KNOWN["mpi"].open(2, StrategyOptions()) as pool:
        assert isinstance(pool, HasPids)
        for pid in pool.pids():
            for process in (psutil.Process(pid), *psutil.Process(pid).parents()[:1]):
                places = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
                assert set(places) <= {"127.0.0.1", "::1"}


def test_what_is_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert shutil.which("mpiexec") is None
    assert "pip install mpich" in str(KNOWN["mpi"].obstacle(2))
