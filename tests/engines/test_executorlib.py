"""The strategy executorlib: every promise of a strategy, and what is peculiar to it."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from pytest_parallelism import clusters
from pytest_parallelism.errors import TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategies._executorlib_cluster import ExecutorlibCluster
from pytest_parallelism.strategy import HasNative, HasPids, Pool, StrategyOptions

from .conftest import KNOWN, EngineConformance
from .killed import left_after_sigkill
from .waiting import waited

SRUN = """#!/bin/sh
while :; do  # without the options
    case "$1" in
        -*=*) shift ;;
        -*) shift 2 ;;
        *) exec "$@" ;;
    esac
done
"""
"""What Slurm's srun does with one task on this machine."""


class TestExecutorlib(EngineConformance):
    name = "executorlib"


def there(workers: int, address: str) -> AbstractContextManager[Pool]:
    clusters.end_kept()
    options = StrategyOptions(address=address, by_value=(sys.modules[__name__],))
    return KNOWN["executorlib"].open(workers, options)


def here(workers: int) -> AbstractContextManager[Pool]:
    return KNOWN["executorlib"].open(workers, StrategyOptions(by_value=(sys.modules[__name__],)))


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in: it shows how srun is called, and nothing of Slurm itself."""
    program = tmp_path / "srun"
    program.write_text(SRUN)
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return program


def pid_of(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def end_yourself(_item: int) -> None:
    os._exit(3)


def test_workers_listen_nowhere_and_we_on_loopback() -> None:
    with here(2) as pool:
        assert isinstance(pool, HasPids)
        for pid in (os.getpid(), *pool.pids()):
            connections = psutil.Process(pid).net_connections()
            assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} <= {"127.0.0.1"}


def test_the_environment_and_executorlib_itself_are_untouched() -> None:
    from executorlib.standalone.interactive.communication import SocketInterface

    clusters.end_kept()
    stock, before = SocketInterface.bind_to_random_port, dict(os.environ)
    with here(1):
        assert dict(os.environ) == before
        assert SocketInterface.bind_to_random_port is stock


def test_the_native_executor_runs_what_it_is_given() -> None:
    with here(2) as pool:
        assert isinstance(pool, HasNative)
        assert isinstance(pool, HasPids)
        assert list(pool.native.map(abs, [-1, -2])) == [1, 2]
        assert pool.native.submit(os.getpid).result() in pool.pids()


def test_nothing_is_left_of_a_run_that_was_killed(tmp_path: Path) -> None:
    assert left_after_sigkill("executorlib", tmp_path) == set()


@pytest.mark.parametrize("started", [0, 1, 2])
def test_nothing_is_left_of_a_start_that_was_interrupted(
    started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of executorlib would keep Python from ending."""

    def interrupted(self: ExecutorlibCluster, *_: object) -> None:
        assert waited(lambda: len(self._processes) >= started)
        raise KeyboardInterrupt

    clusters.end_kept()
    before = set(threading.enumerate())
    with monkeypatch.context() as patched:
        patched.setattr(ExecutorlibCluster, "_wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            here(2).__enter__()
    assert set(threading.enumerate()) <= before
    with here(2) as pool:
        assert pool.map(abs, [-1]) == [1]


def test_another_address_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="needs the address 'slurm'"), there(2, "tcp://somewhere:1"):
        pass


def test_an_allocation_without_srun_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="srun, not found here"), there(2, "slurm"):
        pass


def test_an_srun_that_fails_is_a_sentence(srun: Path) -> None:
    srun.write_text("#!/bin/sh\nexit 7\n")
    with pytest.raises(UsageError, match="exit code 7"), there(2, "slurm"):
        pass


def test_workers_of_an_allocation_run_at_once_and_end_with_the_pool(srun: Path) -> None:
    with there(2, "slurm") as pool:
        pids = pool.map(pid_of, [0.1] * 8, chunk_size=1)
        assert len(set(pids)) == 2
        with pytest.raises(WorkerLost, match="exit code 3"):
            pool.map(end_yourself, [0])
    assert not any(map(psutil.pid_exists, pids))


def test_a_hung_task_in_an_allocation_ends_our_workers(srun: Path) -> None:
    with there(2, "slurm") as pool:
        pids = set(pool.map(pid_of, [0.1] * 8, chunk_size=1))
        with pytest.raises(TaskTimeout, match="its tasks on executorlib were ended"):
            pool.map(pid_of, [600.0], timeout=0.5)
        assert not any(map(psutil.pid_exists, pids))
