"""Pools on clusters of engines: ours and the user's own, kept and lost, shared and refused."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_parallelism import clusters
from pytest_parallelism.errors import PoolError, TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategy import Pool, StrategyOptions
from pytest_parallelism.workers.site import Site
from tests.clusters import fake_engine
from tests.clusters.fake_engine import FAKE, PASSWORD

HERE: ModuleType = sys.modules[__name__]
OWN = StrategyOptions(by_value=(HERE,))
PATIENCE = 20.0


def own_pid(_item: int) -> int:
    return os.getpid()


def hang(item: int) -> int:
    time.sleep(PATIENCE * (item == 0))
    return item


def die(_item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def opened(workers: int = 2, **options: Any) -> AbstractContextManager[Any]:
    return FAKE.open(workers, StrategyOptions(by_value=(HERE,), **options))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Starts and ends of clusters so far."""
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv(fake_engine.LOG, str(path))
    return lambda: path.read_text().splitlines()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def test_a_kept_cluster_is_started_once_and_its_start_is_told(log: Callable[[], list[str]]) -> None:
    with clusters.keeping():
        with opened() as pool:
            assert pool.kept_seconds == 0
            first = set(pool.map(own_pid, range(4), chunk_size=1))
        with opened() as pool:
            assert pool.kept_seconds > 0
            assert set(pool.pids()) == first
        assert log() == ["start 2"]
    assert log() == ["start 2", "end 2"]


def test_without_keeping_a_cluster_ends_with_its_pool(log: Callable[[], list[str]]) -> None:
    for _ in range(2):
        with opened():
            pass
    assert log() == ["start 2", "end 2"] * 2


def test_one_cluster_is_alive_at_a_time(log: Callable[[], list[str]]) -> None:
    with clusters.keeping():
        for workers in (1, 2, 1):
            with opened(workers):
                pass
    assert log() == ["start 1", "end 1", "start 2", "end 2", "start 1", "end 1"]


def test_another_cluster_while_one_is_in_use_is_refused(log: Callable[[], list[str]]) -> None:
    with opened(2), pytest.raises(PoolError, match="another cluster is in use"), opened(1):
        pass
    assert log() == ["start 2", "end 2"]


def test_two_pools_share_a_cluster_whose_start_is_told_to_the_second_only() -> None:
    calls: list[int] = []
    with opened() as first, opened() as second:
        assert first.kept_seconds == 0
        assert second.kept_seconds > 0
        for _ in range(3):
            calls += first.map(own_pid, [0]) + second.map(own_pid, [0])
    assert set(calls) <= set(first.pids()) == set(second.pids())


def test_a_cluster_whose_pool_met_a_fault_is_not_kept(log: Callable[[], list[str]]) -> None:
    with clusters.keeping():
        with opened() as pool, pytest.raises(WorkerLost):
            pool.map(die, range(4), chunk_size=1)
        with opened() as pool:
            assert pool.kept_seconds == 0
    assert log() == ["start 2", "end 2"] * 2


def test_a_cluster_whose_tasks_left_a_process_is_not_kept(log: Callable[[], list[str]]) -> None:
    with clusters.keeping():
        with opened(1) as pool:
            (child,) = pool.map(lambda _: os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "100"), [0])
            assert runs(child)
        assert log() == ["start 1", "end 1"]
    assert not runs(child)


def test_a_kept_cluster_finds_modules_on_paths_that_were_added_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "added_since.py").write_text("def thrice(item):\n    return 3 * item\n")
    with clusters.keeping():
        with opened(1):
            pass
        monkeypatch.syspath_prepend(tmp_path)
        added = importlib.import_module("added_since")
        with opened(1) as pool:
            assert pool.kept_seconds > 0
            assert pool.map(added.thrice, [2]) == [6]


def test_a_worker_lost_between_maps_is_named() -> None:
    with opened() as pool:
        pid = pool.pids()[0]
        os.kill(pid, signal.SIGKILL)
        while runs(pid):
            time.sleep(0.001)
        with pytest.raises(WorkerLost, match=f"worker process {pid} ended between two maps"):
            pool.map(own_pid, range(4))
        with pytest.raises(PoolError, match="this pool has ended"):
            pool.map(own_pid, range(4))


def test_another_thread_hears_of_a_pool_that_has_ended() -> None:
    said: list[BaseException] = []

    def map_aside(pool: Pool) -> None:
        try:
            pool.map(hang, [0, 0], chunk_size=1)
        except PoolError as exc:
            said.append(exc)

    with opened() as pool:
        aside = threading.Thread(target=map_aside, args=(pool,))
        aside.start()
        with pytest.raises(TaskTimeout, match="its Fake cluster was ended"):
            pool.map(hang, [0, 0], chunk_size=1, timeout=0.5)
        aside.join(PATIENCE)
        assert len(said) == 1


def test_an_opening_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sites: list[Any] = []
    real = Site.__init__

    def noted(site: Any) -> None:
        real(site)
        sites.append(site)

    def stumble(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Site, "__init__", noted)
    monkeypatch.setattr(fake_engine, "FakeCluster", stumble)
    with pytest.raises(KeyboardInterrupt), opened():
        pass
    (site,) = sites
    assert not site.folder.exists()
    assert site.pids() == []
    monkeypatch.undo()
    with opened(1) as pool:
        assert pool.map(own_pid, [0]) == list(pool.pids())


class TestInitializers:
    def test_each_worker_of_ours_calls_it_while_it_opens(self, tmp_path: Path) -> None:
        def note() -> None:
            (tmp_path / str(os.getpid())).touch()

        with clusters.keeping():
            for _ in range(2):
                with opened(initializer=note) as pool:
                    assert {int(path.name) for path in tmp_path.iterdir()} == set(pool.pids())
                for path in tmp_path.iterdir():
                    path.unlink()

    def test_those_of_the_users_own_call_it_before_their_first_task(
        self, tmp_path: Path, address: str
    ) -> None:
        def note() -> None:
            with (tmp_path / str(os.getpid())).open("a") as file:
                file.write("x")

        def noted(_item: int) -> str:
            return (tmp_path / str(os.getpid())).read_text()

        with opened(initializer=note, address=address) as pool:
            assert set(pool.map(noted, range(20), chunk_size=1)) == {"x"}

    @pytest.mark.parametrize("own", [True, False])
    def test_what_it_raises_ends_the_opening(self, address: str, own: bool) -> None:
        def fail() -> None:
            raise LookupError("no table")

        with (
            pytest.raises(LookupError, match="no table"),
            opened(initializer=fail, address=None if own else address),
        ):
            pass


class TestTheUsersOwn:
    def test_it_runs_what_is_sent_and_says_where_it_is(self, address: str) -> None:
        with opened(address=address) as pool:
            found = pool.map(own_pid, range(8), chunk_size=1)
            assert set(found) <= set(pool.cluster.pids)
            assert os.getpid() not in found
            assert pool.pids() == ()
            port = address.rpartition(":")[2]
            assert pool.info() == {"cluster": "the user's own", "address": f"fake://127.0.0.1:{port}"}

    def test_what_stands_in_a_checkout_goes_by_value(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "homemade"
        package.mkdir()
        (package / "__init__.py").write_text(
            "from .inner import Thing\n\ndef made(size):\n    return Thing(size)\n"
        )
        thing = "class Thing:\n    def __init__(self, size):\n        self.size = json.loads(str(size))\n"
        (package / "inner.py").write_text("import json\n\n" + thing)
        monkeypatch.syspath_prepend(tmp_path)
        homemade = importlib.import_module("homemade")
        with opened(address=address) as pool:
            found = pool.map(homemade.made, [1, 2])
            assert [type(thing) for thing in found] == [homemade.Thing] * 2
            assert pool.map(lambda thing: thing.size + 1, found) == [2, 3]

    def test_what_runs_too_long_is_given_to_the_engine_to_end(self, address: str) -> None:
        with opened(address=address) as pool:
            with pytest.raises(TaskTimeout, match="Fake cannot end a task that runs: it was left running"):
                pool.map(hang, [0, 0, 1, 2], chunk_size=1, timeout=0.5)
            assert len(pool.cluster.stopped) == 2
            assert pool.busy()
            assert all(runs(pid) for pid in pool.cluster.pids)

    def test_an_expired_map_leaves_the_tasks_of_others_alone(self, address: str) -> None:
        with opened(4, address=address) as pool:
            other = pool.executor.submit(hang, 0)
            with pytest.raises(TaskTimeout):
                pool.map(hang, [0], timeout=0.5)
            assert len(pool.cluster.stopped) == 1
            assert not other.done()

    def test_a_lost_worker_ends_the_pool(self, address: str) -> None:
        with opened(address=address) as pool:
            with pytest.raises(WorkerLost, match="no answer"):
                pool.map(die, range(2), chunk_size=1)
            with pytest.raises(PoolError, match="has ended"):
                pool.map(own_pid, [0])

    def test_nobody_there_is_one_sentence(self) -> None:
        with (
            pytest.raises(UsageError, match=r"Fake cannot be reached at 127.0.0.1:1 \("),
            opened(address=f"fake://{fake_engine.USER}:{PASSWORD}@127.0.0.1:1"),
        ):
            pass

    def test_an_engines_error_shows_no_password(self, address: str) -> None:
        secret = PASSWORD[::-1]
        wrong = address.replace(PASSWORD, secret)
        with pytest.raises(UsageError, match="refuses its password") as caught, opened(address=wrong):
            pass
        assert secret not in str(caught.getrepr(funcargs=True, style="long"))
        assert fake_engine.USER not in str(caught.value)

    def test_workers_of_another_python_are_named(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        from pytest_parallelism.strategies import _engine

        here = os.getpid()
        monkeypatch.setattr(_engine, "interpreter", lambda _: (3, 10) if os.getpid() == here else (2, 7))
        with (
            pytest.raises(UsageError, match=r"run Python 2\.7, and functions travel as bytecode"),
            opened(address=address),
        ):
            pass


def test_a_cluster_whose_end_is_interrupted_is_killed() -> None:
    ended = []

    class Interrupted:
        def usable(self) -> bool:
            return True

        def close(self) -> None:
            ended.append("close")
            raise KeyboardInterrupt

        def kill(self) -> None:
            ended.append("kill")

    with pytest.raises(KeyboardInterrupt), clusters.lease("interrupted", Interrupted):
        pass
    assert ended == ["close", "kill"]
    with opened() as pool:
        assert pool.map(abs, [-1]) == [1]
