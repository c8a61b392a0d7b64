"""The strategy ray: every promise of a strategy, and what is Ray's own."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_parallelism import clusters
from pytest_parallelism.errors import ParallelismError, PoolError, UsageError, WorkerLost
from pytest_parallelism.strategies._engine import EnginePool
from pytest_parallelism.strategies._ray_cluster import start_ray
from pytest_parallelism.strategy import StrategyOptions
from pytest_parallelism.workers.site import Site

from .conftest import KNOWN, EngineConformance
from .waiting import answers, free_port, waited

RAY = KNOWN["ray"]
OPTIONS = StrategyOptions(by_value=(sys.modules[__name__],))
TOKEN = "sesame-" + secrets.token_hex(20)
PATIENCE = 60.0
ROOT = Path(__file__).parents[2]


class TestRay(EngineConformance):
    name = "ray"


@contextlib.contextmanager
def opened(workers: int = 2, address: str | None = None) -> Iterator[EnginePool]:
    options = StrategyOptions(by_value=OPTIONS.by_value, address=address)
    with RAY.open(workers, options) as pool:
        assert isinstance(pool, EnginePool)
        yield pool


def pid_of(_item: int) -> int:
    time.sleep(0.002)
    return os.getpid()


def double(item: Any) -> Any:
    return 2 * item


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def negate_in_place(array: Any) -> Any:
    array *= -1
    return array


# ---- the cluster that is started


def test_the_same_processes_serve_all_maps() -> None:
    with opened() as pool:
        seen = {pid for _ in range(5) for pid in pool.map(pid_of, range(40), chunk_size=1)}
        assert seen == set(pool.pids())


def test_a_kept_cluster_is_used_again() -> None:
    with clusters.keeping():
        with opened() as pool:
            first = pool.pids()
        with opened() as pool:
            assert pool.pids() == first
            assert pool.kept_seconds > 0
            assert pool.map(double, [1]) == [2]


@pytest.mark.parametrize("megabytes", [0.001, 0.1, 8])
def test_arrays_arrive_right_and_writable(megabytes: float) -> None:
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(int(megabytes * 1e6) // 8) + number for number in range(3)]
    arrays.append(arrays[0].reshape(-1, 5)[:, ::2])
    with opened() as pool:
        found = pool.map(negate_in_place, arrays)
    for array, answer in zip(arrays, found, strict=True):
        assert answer.flags.writeable
        assert numpy.array_equal(answer, -array)


def test_large_bytes_and_functions_travel() -> None:
    large = secrets.token_bytes(1_000_000)
    with opened() as pool:
        assert pool.map(lambda item: large[:3] + item, [large]) == [large[:3] + large]


def test_it_says_nothing(
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    clusters.end_kept()
    with caplog.at_level(logging.DEBUG), contextlib.suppress(WorkerLost), opened() as pool:
        assert pool.map(double, range(4)) == [0, 2, 4, 6]
        os.kill(pool.pids()[0], signal.SIGKILL)
        pool.map(sleep, [2.0, 2.0, 2.0])
    assert (*capfd.readouterr(), caplog.records, list(recwarn)) == ("", "", [], [])


def test_home_and_hooks_are_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # of a cluster that nobody has asked for
    before = signal.getsignal(signal.SIGTERM), sys.excepthook, dict(os.environ)
    with opened() as pool:
        assert pool.map(double, [1]) == [2]
        assert (signal.getsignal(signal.SIGTERM), sys.excepthook, dict(os.environ)) == before
    assert list(tmp_path.iterdir()) == []


PATHS = """
import psutil
from pytest_parallelism.envelope import pack
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions
with load()["ray"].open(1, StrategyOptions()) as pool:
    assert pool.map(abs, [-1]) == [1]
    print(len(pack(psutil.cpu_count)))
"""


def test_the_users_psutil_is_found_before_that_of_ray() -> None:
    """So that its functions go to the workers of other strategies by name."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", PATHS], capture_output=True, text=True, env=environment, check=True
    ).stdout
    assert int(said) < 100


def test_it_listens_on_the_loopback_interface_only() -> None:
    with opened() as pool:
        assert pool.map(double, [1]) == [2]
        me = psutil.Process()
        listening = [
            one.laddr.ip
            for process in (me, *me.children(recursive=True))
            for one in process.net_connections("inet")
            if one.status == psutil.CONN_LISTEN
        ]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}


def test_a_long_temporary_folder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    clusters.end_kept()
    with opened(1) as pool:
        assert pool.map(double, [1]) == [2]


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_lost_part_of_the_cluster_is_named(name: str) -> None:
    with opened() as pool:
        (part,) = [child for child in psutil.Process().children() if child.name() == name]
        part.kill()
        with pytest.raises(WorkerLost, match=name):
            pool.map(sleep, [PATIENCE] * 3, timeout=PATIENCE)


def test_one_connection_at_a_time_is_said() -> None:
    with opened() as pool:
        assert pool.native.is_initialized()
        with pytest.raises(PoolError, match=r"ray\.shutdown"):
            start_ray(1)


KILLED = """
import sys, time
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions
from pytest_parallelism.workers.site import Site
with load()["ray"].open(2, StrategyOptions()) as pool:
    node = pool.native._private.worker._global_node
    print(node.get_session_dir_path(), *pool.pids(), flush=True)
    pool.map(time.sleep, [600, 600])
"""


def test_after_a_killed_run_nothing_is_left() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as run:
        assert run.stdout is not None
        session, *pids = run.stdout.readline().split()
        family = [run.pid, *(child.pid for child in psutil.Process(run.pid).children(recursive=True))]
        assert set(map(int, pids)) < set(family)
        run.kill()
    end = time.monotonic() + PATIENCE
    while (Path(session).parent.exists() or any(map(psutil.pid_exists, family))) and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(session).parent.exists()
    assert not [pid for pid in family if psutil.pid_exists(pid)]


LEFT = """
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions
opening = load()["ray"].open(1, StrategyOptions())
pool = opening.__enter__()
print(pool.native._private.worker._global_node.get_session_dir_path(), *pool.pids(), flush=True)
raise LookupError("left")
"""


def test_a_program_that_leaves_the_cluster_open_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEFT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=2 * PATIENCE,
    )
    session, *pids = ended.stdout.split()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "LookupError: left"
    assert not Path(session).parent.exists()
    assert not [pid for pid in pids if psutil.pid_exists(int(pid))]


# ---- the user's own


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of the head and the client server of a cluster with three CPUs, started as users do."""
    pytest.importorskip("grpc", reason="ray[client] is not installed")
    site = Site()
    head, client = free_port(), free_port()
    command = ["start", "--head", "--block", "--num-cpus=3", "--num-gpus=0", "--include-dashboard=false"]
    command += ["--node-ip-address=127.0.0.1", f"--port={head}", f"--ray-client-server-port={client}"]
    command += [f"--temp-dir={site.folder}"]
    variables = {
        "GRPC_ENABLE_FORK_SUPPORT": "0",  # with it, what a head forks for a client now and then fails
        "SPT_NOENV": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    said = site.folder / "log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *command],
            env={**os.environ, **site.variables, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        waited(lambda: process.poll() is not None or "Ray runtime started" in said.read_text())
        assert process.poll() is None, said.read_text()
        assert waited(lambda: answers("127.0.0.1", client)), said.read_text()
        yield head, client
        assert process.poll() is None, "it was ended by us"
    finally:
        site.end()
        process.wait()


@pytest.fixture(params=["ray", "head"])
def address(request: pytest.FixtureRequest, ports: tuple[int, int]) -> str:
    port = dict(zip(("head", "ray"), ports, strict=True))[request.param]
    return f"{request.param}://:{TOKEN}@127.0.0.1:{port}"


def test_the_users_own_cluster_serves_and_stays(address: str) -> None:
    numpy = pytest.importorskip("numpy")
    for workers, found in ((2, 2), (8, 3)):
        with opened(workers, address) as pool:
            assert pool.workers == found
            assert pool.map(double, range(100)) == [2 * item for item in range(100)]
            (answer,) = pool.map(negate_in_place, [numpy.arange(100_000)])
            assert answer.flags.writeable
            assert numpy.array_equal(answer, -numpy.arange(100_000))
            with pytest.raises(ZeroDivisionError):
                pool.map(lambda item: 1 // item, [1, 0])
            assert TOKEN not in str(pool.info())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ConnectionAbortedError])
def test_a_connection_that_was_given_up_can_be_made_again(
    error: type[BaseException], ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util.client.worker import Worker

    def fail(self: Any, *_: Any) -> None:
        raise error

    where = f"ray://:{TOKEN}@127.0.0.1:{ports[1]}"
    clusters.end_kept()
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "_server_init", fail)
        with pytest.raises((KeyboardInterrupt, PoolError)):
            opened(1, where).__enter__()
    with opened(1, where) as pool:
        assert pool.map(double, [2]) == [4]
    with opened(1) as pool:  # of our own, for which Ray must not think that it is a client
        assert pool.map(double, [2]) == [4]


UNLUCKY = "Initialization failure from server:\nTraceback:\nRuntimeError: Starting Ray client server failed."


@pytest.mark.parametrize(("failures", "tries"), [(1, 2), (9, 3)])
def test_a_head_whose_child_has_failed_is_asked_again(
    failures: int, tries: int, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util.client.worker import Worker

    asked = []
    connected = Worker._server_init

    def fail(self: Any, *arguments: Any) -> Any:
        asked.append(self)
        if len(asked) <= failures:
            raise ConnectionAbortedError(UNLUCKY)
        return connected(self, *arguments)

    clusters.end_kept()
    monkeypatch.setattr(Worker, "_server_init", fail)
    with contextlib.ExitStack() as stack:
        if failures >= tries:
            stack.enter_context(pytest.raises(PoolError, match=r"server: .* failed\.$"))
        pool = stack.enter_context(opened(1, f"ray://:{TOKEN}@127.0.0.1:{ports[1]}"))
        assert pool.map(double, [2]) == [4]
    assert len(asked) == tries


def test_no_more_than_n_tasks_run_there(address: str, tmp_path: Path) -> None:
    def note(item: int) -> int:
        (tmp_path / str(item)).touch()
        present = len(list(tmp_path.iterdir()))
        time.sleep(0.05)
        (tmp_path / str(item)).unlink()
        return present

    with opened(2, address) as pool:
        assert max(pool.map(note, range(20), chunk_size=1)) <= 2


def test_a_wrong_token_is_refused_without_showing_it(ports: tuple[int, int]) -> None:
    for scheme, port in zip(("head", "ray"), ports, strict=True):
        wrong = secrets.token_hex(20)
        with pytest.raises(UsageError, match="RAY_AUTH_TOKEN") as caught:
            opened(1, f"{scheme}://:{wrong}@127.0.0.1:{port}").__enter__()
        assert wrong not in str(caught.value)


@pytest.mark.parametrize("form", ["ray://127.0.0.1:{}", "127.0.0.1:{}"])
@pytest.mark.parametrize("listening", [False, True])
def test_an_unreachable_address_is_said_within_10_seconds(form: str, listening: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:  # but it never says a word
            server.listen()
        begin = time.monotonic()
        with pytest.raises(ParallelismError, match=r"reached|what listens at"):
            opened(1, form.format(server.getsockname()[1])).__enter__()
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize("wrong", ["ray://", "http://host:80", "host:port"])
def test_a_wrong_address_is_said(wrong: str) -> None:
    with pytest.raises(UsageError, match="such as"):
        opened(1, wrong).__enter__()
