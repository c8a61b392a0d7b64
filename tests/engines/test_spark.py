"""Spark: the promises, and what is its own."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import pytest_parallelism
from pytest_parallelism import clusters
from pytest_parallelism.errors import PoolError, TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategies import _spark_watch
from pytest_parallelism.strategy import StrategyOptions

from .conftest import KNOWN, EngineConformance
from .waiting import waited

SPARK = KNOWN["spark"]
HERE = StrategyOptions(by_value=(sys.modules[__name__],))
CHECKOUT = Path(pytest_parallelism.__file__).parents[1]
SECONDS = 120.0
"""What a loaded machine may take for what is waited for."""

PROGRAM = """
import os, sys
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions

def told(item):
    return item + 1

with load()["spark"].open(2, StrategyOptions()) as pool:
    assert pool.map(told, range(4)) == [1, 2, 3, 4]
    assert pool.native.range(5).count() == 5
    if len(sys.argv) > 1:
        print("open", flush=True)
        sys.stdin.read()
"""


class TestSpark(EngineConformance):
    name = "spark"


def partition(_item: object) -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return int(context.partitionId())


def test_chunks_are_shared_out_to_partitions_by_their_bytes() -> None:
    with SPARK.open(2, HERE) as pool:
        assert pool.map(partition, [b"1", b"2", bytes(100_000), b"3"], chunk_size=1) == [1, 1, 0, 1]
        assert sorted(pool.map(partition, range(20))) == [0] * 10 + [1] * 10


def own_pid(_item: object) -> int:
    return os.getpid()


def fail_at_one(item: int) -> int:
    if item == 1:
        raise LookupError("item 1 is wrong")
    return item


def die(item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_second_cluster_in_one_process_works_as_the_first_nothing_is_left() -> None:
    for _ in range(2):
        with SPARK.open(1, HERE) as pool:
            assert pool.map(fail_at_one, [5, 6]) == [5, 6]
            assert pool.native.sql("select 1 + 1 as two").collect()[0].two == 2  # type: ignore[attr-defined]  # a session


def test_a_start_that_takes_too_long_is_ended_nothing_is_left() -> None:
    before = psutil.Process().children(recursive=True)
    with pytest.raises(PoolError, match=r"Spark did not start within 0\.2 s"):
        opened_once(StrategyOptions(start_timeout=0.2))
    assert set(psutil.Process().children(recursive=True)) <= set(before)
    opened_once(HERE)


def test_no_thread_outlives_a_pool_nothing_is_left() -> None:
    before = set(threading.enumerate())
    opened_once(HERE)
    assert set(threading.enumerate()) <= before


def test_all_chunks_of_a_map_are_one_job() -> None:
    with SPARK.open(2, HERE) as pool:
        tracker = pool.native.sparkContext.statusTracker()  # type: ignore[attr-defined]  # a session
        group = pool.cluster._group  # type: ignore[attr-defined]  # what tells our jobs
        before = len(tracker.getJobIdsForGroup(group))
        assert pool.map(abs, range(6), chunk_size=2) == list(range(6))
        assert len(tracker.getJobIdsForGroup(group)) == before + 1


def test_workers_that_wait_long_are_the_same_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark ends workers that did nothing for a minute; looked at is that they had something to do."""
    from pytest_parallelism.strategies import _spark_cluster

    monkeypatch.setattr(_spark_cluster, "_IDLE_SECONDS", 0.1)
    with SPARK.open(2, HERE) as pool:
        tracker = pool.native.sparkContext.statusTracker()  # type: ignore[attr-defined]  # a session
        before = len(tracker.getJobIdsForGroup(None))
        assert waited(lambda: len(tracker.getJobIdsForGroup(None)) > before)
        assert set(pool.map(own_pid, range(2), chunk_size=1)) <= set(pool.pids())  # type: ignore[attr-defined]  # has pids


def test_a_lost_jvm_is_named_nothing_is_left() -> None:
    with SPARK.open(2, HERE) as pool:
        jvm = pool.cluster._driver._gateway.proc  # type: ignore[attr-defined]  # nobody else is to be killed

        def end_it() -> None:
            psutil.Process(jvm.pid).kill()

        threading.Timer(0.5, end_it).start()
        with pytest.raises(WorkerLost, match="JVM ended"):
            pool.map(time.sleep, [SECONDS, SECONDS], chunk_size=1)
        with pytest.raises(PoolError, match="has ended"):
            pool.map(abs, [1])


def program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A Python with a home, a folder for temporary files and a working folder of its own."""
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir()
    variables = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        cwd=folder / "work",
        env={**os.environ, **variables, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def files(folder: Path) -> list[Path]:
    return [path for name in ("home", "temporary", "work") for path in (folder / name).iterdir()]


def test_a_program_says_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    """In its home, its working folder, and the one for temporary files."""
    process = program(tmp_path)
    assert process.communicate(timeout=2 * SECONDS) == ("", "")
    assert process.returncode == 0
    assert files(tmp_path) == []


def test_a_killed_program_leaves_nothing(tmp_path: Path) -> None:
    process = program(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    ours = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    assert len(ours) >= 4  # the guard, the JVM, the daemon of Python workers, a worker
    process.kill()
    process.communicate()
    assert waited(lambda: not any(map(psutil.pid_exists, ours)))
    assert waited(lambda: not files(tmp_path))


def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "none is in JAVA_HOME: install Java 17" in str(SPARK.obstacle(2))
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch(mode=0o755)
    (tmp_path / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="1.8.0_392"\n')
    assert "needs Java 17, and finds 8" in str(SPARK.obstacle(2))
    (tmp_path / "release").write_text('JAVA_VERSION="21.0.1"\n')
    assert SPARK.obstacle(2) is None
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "none is on PATH: install Java 17" in str(SPARK.obstacle(2))


class Standalone:
    """A master and a worker of two cores on the loopback interface, as users start them."""

    def __init__(self, folder: Path, path: Path, *, worker: bool = True) -> None:
        self._folder = folder
        self._path = path
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.address = f"spark://127.0.0.1:{self.port}"
        port = str(self.port)
        self._start("master.Master", "alive", "--host", "127.0.0.1", "--port", port, "--webui-port", "0")
        if not worker:
            return
        options = ("--host", "127.0.0.1", "--cores", "2", "--memory", "1g", "--webui-port", "0")
        self._start("worker.Worker", "registered", *options, "--work-dir", str(folder), self.address)

    def _start(self, name: str, ready: str, *arguments: str) -> None:
        import pyspark

        log = self._folder / name
        with log.open("wb") as file:
            self._processes.append(
                subprocess.Popen(
                    [
                        str(Path(pyspark.__file__).with_name("bin") / "spark-class"),
                        f"org.apache.spark.deploy.{name}",
                        *arguments,
                    ],
                    env={
                        **os.environ,
                        "PYTHONPATH": str(self._path),
                        "SPARK_LOCAL_IP": "127.0.0.1",
                        "SPARK_DAEMON_JAVA_OPTS": "-XX:-UsePerfData",
                    },
                    cwd=self._folder,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            )
        assert waited(lambda: ready in log.read_text().lower()), log.read_text()

    def runs(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    def end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()  # a worker ends its executors
        for process in self._processes:
            process.wait()


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    cluster = Standalone(tmp_path_factory.mktemp("spark"), CHECKOUT)
    yield cluster
    clusters.end_kept()
    assert cluster.runs(), "what is not ours was ended"
    cluster.end()


def at(address: str, **more: Any) -> StrategyOptions:
    return StrategyOptions(by_value=(sys.modules[__name__],), address=address, **more)


def opened_once(options: StrategyOptions) -> None:
    with SPARK.open(1, options):
        pass


def test_an_executor_is_told_that_answered_and_does_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = {"one:1": True, "other:1": True, "never:1": False}
    listed, told = list(answering), list[str]()
    looks = itertools.count()
    monkeypatch.setattr(_spark_watch, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(_spark_watch, "_answers", lambda one: next(looks) >= 0 and answering[one])
    watch = _spark_watch.Watch(lambda: listed, told.append)
    assert waited(lambda: next(looks) > 20)
    assert told == []
    answering["other:1"] = False
    listed.remove("other:1")  # Spark may forget it, and still wait for its tasks
    assert waited(lambda: told)
    watch.close()
    assert told == ["other:1"]


class TestOwnCluster:
    def test_maps_run_there(self, standalone: Standalone) -> None:
        with SPARK.open(2, at(standalone.address)) as pool:
            assert pool.workers == 2
            assert pool.map(functools.partial(pow, 2), range(10), chunk_size=1) == [2**n for n in range(10)]
            with pytest.raises(LookupError, match="item 1 is wrong"):
                pool.map(fail_at_one, range(4))
            pids = set(pool.map(own_pid, range(8), chunk_size=1))
            assert 1 <= len(pids) <= 2
            assert os.getpid() not in pids

    def test_fewer_cores_are_used_and_told(self, standalone: Standalone) -> None:
        with SPARK.open(1, at(standalone.address)) as pool:
            assert pool.workers == 1
            assert len(set(pool.map(own_pid, range(4), chunk_size=1))) == 1
        with SPARK.open(4, at(standalone.address)) as pool:
            assert pool.workers == 2

    def test_the_users_configuration_holds_and_what_spark_refuses_is_said(
        self, standalone: Standalone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
        given = tmp_path / "spark-defaults.conf"
        clusters.end_kept()
        given.write_text("spark.driver.host localhost\n")
        with SPARK.open(1, at(standalone.address)) as pool:
            native: Any = pool.native  # type: ignore[attr-defined]  # it has one
            assert native.sparkContext.getConf().get("spark.driver.host") == "localhost"
        clusters.end_kept()
        given.write_text("spark.executor.memory 1\n")
        with pytest.raises(PoolError, match=r"(?s)Spark did not start: .*Executor memory 1 must be at least"):
            opened_once(at(standalone.address))

    def test_a_hung_task_is_ended_and_the_cluster_serves_on(self, standalone: Standalone) -> None:
        with SPARK.open(2, at(standalone.address)) as pool:
            before = set(pool.map(own_pid, range(4), chunk_size=1))
            with pytest.raises(TaskTimeout, match="its tasks on Spark were ended"):
                pool.map(time.sleep, [SECONDS, SECONDS], chunk_size=1, timeout=1)
            assert pool.map(abs, range(4)) == [0, 1, 2, 3]
            assert waited(lambda: not any(map(psutil.pid_exists, before)))

    def test_a_lost_worker_is_told(self, standalone: Standalone) -> None:
        with (
            SPARK.open(2, at(standalone.address)) as pool,
            pytest.raises(WorkerLost, match="Python worker exited"),
        ):
            pool.map(die, range(2), chunk_size=1)

    def test_without_this_package_there_it_says_what_to_install(self, tmp_path: Path) -> None:
        package = tmp_path / "path" / "pytest_parallelism"
        package.mkdir(parents=True)
        missing = "No module named 'pytest_parallelism'"
        (package / "__init__.py").write_text(f'raise ModuleNotFoundError("{missing}")\n')
        cluster = Standalone(tmp_path, tmp_path / "path")
        try:
            with pytest.raises(UsageError, match="need pytest-parallelism: install it there"):
                opened_once(at(cluster.address))
        finally:
            cluster.end()

    def test_where_nobody_listens_it_says_so(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(UsageError, match=f"Spark cannot be reached at 127.0.0.1:{port}"):
            opened_once(at(f"spark://127.0.0.1:{port}"))
        assert time.monotonic() - begin < 10

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "HTTP"])
    def test_what_is_no_master_is_refused(self, said: bytes) -> None:
        def answer() -> None:
            connection, _ = server.accept()  # to see whether anybody listens
            connection.close()
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)
                assert connection.recv(100)
                connection.recv(100)  # until the other end hangs up

        with socket.create_server(("127.0.0.1", 0)) as server:
            other = threading.Thread(target=answer)
            other.start()
            port = server.getsockname()[1]
            begin = time.monotonic()
            with pytest.raises(UsageError, match=f"what listens at 127.0.0.1:{port} is no Spark master"):
                opened_once(at(f"spark://127.0.0.1:{port}"))
            assert time.monotonic() - begin < 10
            other.join()

    def test_a_master_without_workers_is_not_waited_for_long(self, tmp_path: Path) -> None:
        cluster = Standalone(tmp_path, CHECKOUT, worker=False)
        try:
            with pytest.raises(UsageError, match="gave this application no core within 30 s"):
                opened_once(at(cluster.address, start_timeout=30.0))
        finally:
            cluster.end()

    @pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:7077", "spark://:7077"])
    def test_another_address_is_refused(self, address: str) -> None:
        with pytest.raises(UsageError, match="Spark needs an address such as spark://host:7077"):
            opened_once(at(address))
