"""Engines on several hosts: clusters of the user's whose parts run on different ones, seen from a third."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_parallelism import clusters
from pytest_parallelism.addresses import shown
from pytest_parallelism.errors import WorkerLost
from pytest_parallelism.strategy import StrategyOptions

from .conftest import KNOWN, absence
from .hosts import Network, namespace, obstacle, remains
from .waiting import answers, waited

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 12
"""Seconds after which parts of a cluster miss each other here, by default minutes; Dask wants eleven."""
BOUND = 60.0
"""Seconds in which a map without one of its hosts must end: some times that, on a loaded machine."""
ITEMS = range(40)
HEAD, OTHER = 0, 1


class OnHosts:
    """A cluster of one engine, with a worker of one core on each of two hosts and its head on the first."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.head = network.addresses[HEAD]

    @property
    def address(self) -> str:
        """As users give it."""
        raise NotImplementedError

    def start(self) -> None:
        """Returns when all parts have found each other."""
        raise NotImplementedError

    def run(self, host: int, *command: str, ready: str, **variables: str) -> None:
        """Starts a part, and waits until it says that it is ready."""
        folder = str(self.network.site.folder)
        process, log = self.network.start(host, command, TMPDIR=folder, **variables)
        waited(lambda: ready in log.read_text(errors="replace") or process.poll() is not None)
        assert ready in log.read_text(errors="replace"), self.network.said()


class DaskOnHosts(OnHosts):
    @property
    def address(self) -> str:
        return f"tcp://{self.head}:8786"

    def start(self) -> None:
        patience = {
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{PATIENCE}s",
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{PATIENCE}s",
        }
        scheduler = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host")
        self.run(HEAD, *scheduler, self.head, ready="Scheduler at:", **patience)
        worker = (sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--no-dashboard")
        for host, address in enumerate(self.network.addresses):
            own = ("--no-nanny", "--nthreads", "1", "--host", address)
            self.run(host, *worker, *own, ready="Registered to:", **patience)


class RayOnHosts(OnHosts):
    token = secrets.token_hex(32)

    @property
    def address(self) -> str:
        return f"ray://:{self.token}@{self.head}:10001"

    def start(self) -> None:
        self.node(
            HEAD, "--head", "--port=6379", "--ray-client-server-port=10001", "--include-dashboard=false"
        )
        self.node(OTHER, f"--address={self.head}:6379")
        assert waited(lambda: answers(self.head, 10001)), self.network.said()

    def node(self, host: int, *arguments: str) -> None:
        self.run(
            host,
            *(sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"),
            *("--num-cpus=1", "--num-gpus=0", f"--object-store-memory={100 << 20}"),
            f"--node-ip-address={self.network.addresses[host]}",
            *(f"--temp-dir={self.network.site.folder}", *arguments),
            ready="Ray runtime started",
            GRPC_ENABLE_FORK_SUPPORT="0",  # with it, what a head forks for a client now and then fails
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=self.token,
            RAY_USAGE_STATS_ENABLED="0",
            RAY_health_check_initial_delay_ms="1000",
            RAY_health_check_period_ms="1000",
            RAY_health_check_timeout_ms="1000",
            RAY_health_check_failure_threshold=str(PATIENCE),
            RAY_grpc_client_keepalive_time_ms=str(1000 * PATIENCE),
            RAY_grpc_client_keepalive_timeout_ms=str(1000 * PATIENCE),
            SPT_NOENV="1",  # when workers name themselves, they keep their environment, and so our mark
        )


class SparkOnHosts(OnHosts):
    @property
    def address(self) -> str:
        return f"spark://{self.head}:7077"

    def start(self) -> None:
        import pyspark

        program = str(Path(pyspark.__file__).with_name("bin") / "spark-class")
        variables = {"SPARK_DAEMON_JAVA_OPTS": f"-XX:-UsePerfData -Dspark.worker.timeout={PATIENCE}"}
        master = (program, "org.apache.spark.deploy.master.Master", "--port", "7077", "--host", self.head)
        self.run(HEAD, *master, ready="ALIVE", SPARK_LOCAL_IP=self.head, **variables)
        worker = (program, "org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g")
        for host, address in enumerate(self.network.addresses):
            own = ("--host", address, "--work-dir", str(self.network.site.folder), self.address)
            ready = "Successfully registered"
            self.run(host, *worker, *own, ready=ready, SPARK_LOCAL_IP=address, **variables)


ENGINES = {"dask": DaskOnHosts, "ray": RayOnHosts, "spark": SparkOnHosts}


@pytest.fixture
def network() -> Iterator[Network]:
    """Two hosts."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    with Network(2) as found:
        yield found
    assert found.left() == set()


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    """The name of one that can run here."""
    name = str(request.param)
    reason = absence([KNOWN[name]])
    if reason:
        pytest.skip(reason)
    return name


@pytest.fixture
def patient(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process connects with misses others as soon as the parts on the hosts do."""
    if engine == "spark":
        (tmp_path / "spark-defaults.conf").write_text(
            f"spark.network.timeout {PATIENCE}s\n"
            f"spark.network.timeoutInterval {PATIENCE // 4}s\n"
            f"spark.executor.heartbeatInterval {PATIENCE // 4}s\n"
        )
        monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    if engine == "dask":
        import dask
        import distributed  # noqa: F401  # it adds its own to the configuration, which is then changed

        with dask.config.set({"distributed.comm.timeouts.tcp": f"{PATIENCE}s"}):
            yield
    else:
        yield


@pytest.fixture
def cluster(engine: str, patient: None, network: Network) -> Iterator[OnHosts]:
    """Of that engine, on these hosts."""
    found = ENGINES[engine](network)
    found.start()
    yield found
    clusters.end_kept()


def on(cluster: OnHosts) -> StrategyOptions:
    here = (sys.modules[__name__], sys.modules[namespace.__module__])
    return StrategyOptions(by_value=here, address=cluster.address, start_timeout=120.0)


def marking(folder: Path, seconds: float) -> Callable[[int], int]:
    """A task that tells by a file on which host it runs."""

    def task(item: int) -> int:
        (folder / str(namespace())).touch()
        time.sleep(seconds)
        return item * item

    return task


def seen(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where tasks leave the names of their hosts."""
    found = tmp_path / "seen"
    found.mkdir()
    return found


def test_a_map_runs_on_both_hosts(engine: str, cluster: OnHosts, folder: Path) -> None:
    with KNOWN[engine].open(2, on(cluster)) as pool:
        assert pool.workers == 2
        found = pool.map(marking(folder, 0.1), ITEMS, chunk_size=1)
        assert found == [item * item for item in ITEMS]
        with pytest.raises(ZeroDivisionError):
            pool.map(lambda item: 1 // item, [1, 0], chunk_size=1)
    assert seen(folder) == set(cluster.network.namespaces[1:])


SUITE = """
import os, pathlib, time
import pytest

def task(item):
    pathlib.Path({folder!r}, str(os.stat("/proc/self/ns/net").st_ino)).touch()
    time.sleep(0.1)
    return item * item

@pytest.mark.parallel_strategies({engine!r}, workers=2)
def test_squares(parallel):
    assert parallel.map(task, range(8), chunk_size=1) == [item * item for item in range(8)]
"""


def test_it_is_measured_through_the_plugin(
    engine: str, cluster: OnHosts, folder: Path, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(SUITE.format(folder=str(folder), engine=engine))
    told = pytester.path / "told.json"
    result = pytester.runpytest_subprocess(
        "--parallel-rounds=1", f"--benchmark-json={told}", f"--parallel-address={engine}={cluster.address}"
    )
    result.assert_outcomes(passed=1)
    (record,) = [entry["extra_info"]["parallelism"] for entry in json.loads(told.read_text())["benchmarks"]]
    assert (record["strategy"], record["workers"]) == (engine, 2)
    assert record["strategy_info"]["address"] == shown(cluster.address)
    assert set(cluster.network.namespaces[1:]) <= seen(folder)


@pytest.mark.parametrize("host", [HEAD, OTHER], ids=["the-head", "the-other"])
def test_a_host_that_is_cut_off_is_a_named_fault(
    engine: str, host: int, cluster: OnHosts, folder: Path
) -> None:
    """Or its tasks run elsewhere; in either case it ends, and so does closing the pool."""

    def cut() -> float:
        assert waited(lambda: len(seen(folder)) == 2)
        cluster.network.cut(host)
        return time.monotonic()

    found: list[int] | WorkerLost
    with ThreadPoolExecutor(1) as apart:
        try:
            with KNOWN[engine].open(2, on(cluster)) as pool:
                moment = apart.submit(cut)
                found = pool.map(marking(folder, 0.5), ITEMS, chunk_size=1, timeout=BOUND)
        except WorkerLost as exc:
            found = exc
        seconds = time.monotonic() - moment.result()
    assert isinstance(found, WorkerLost) or found == [item * item for item in ITEMS]
    assert seconds < BOUND


def test_nothing_is_left_where_a_test_fails(network: Network) -> None:
    with suppress(ZeroDivisionError), Network(1) as other:
        other.start(0, ["sleep", "600"])
        assert other.left()
        raise ZeroDivisionError
    assert other.left() == set()
    assert network.left() != set()


KILLED = """
import json, os, signal
from tests.engines.hosts import Network
network = Network(1)
network.start(0, ["sleep", "600"])
print(json.dumps([network.link, network.namespaces, str(network.site.folder)]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_of_a_test_run_that_is_killed(network: Network) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((*sys.path, str(CHECKOUT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert waited(lambda: not remains(*json.loads(run.stdout)))
