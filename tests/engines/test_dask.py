"""Dask: embedded, and clusters of the user's that were started apart."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_parallelism import clusters
from pytest_parallelism.errors import PoolError, TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategies import _dask_address
from pytest_parallelism.strategies._dask_cluster import DaskCluster
from pytest_parallelism.strategy import HasKept, HasNative, StrategyOptions

from .apart import dask_apart
from .conftest import KNOWN, EngineConformance
from .waiting import waited

np = pytest.importorskip("numpy")

CHECKOUT = Path(__file__).parents[2]
DASK = KNOWN["dask"]
HERE = sys.modules[__name__]
SECRET = "s3cret"
CLASS = "distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)"


def options(address: str | None = None, **more: object) -> StrategyOptions:
    return StrategyOptions(by_value=(HERE,), address=address, **more)  # type: ignore[arg-type]  # as the test says


def double(item: int) -> int:
    return 2 * item


def pid(_item: object) -> int:
    time.sleep(0.05)
    return os.getpid()


class TestDask(EngineConformance):
    name = "dask"


# ---- the embedded cluster


def test_a_kept_cluster_serves_the_next_pool() -> None:
    with clusters.keeping():
        with DASK.open(2, options()) as pool:
            first = set(pool.map(pid, range(8), chunk_size=1))
        with DASK.open(2, options()) as pool:
            assert isinstance(pool, HasKept)
            assert pool.kept_seconds > 0
            assert set(pool.map(pid, range(8), chunk_size=1)) == first


def test_a_kept_cluster_whose_worker_is_still_busy_is_replaced() -> None:
    def fails_or_hangs(item: int) -> None:
        if item:
            time.sleep(60)
        raise ValueError(item)

    with clusters.keeping():
        with DASK.open(2, options()) as pool:
            first = set(pool.map(pid, range(8), chunk_size=1))
            with pytest.raises(ValueError, match="0"):
                pool.map(fails_or_hangs, range(2), chunk_size=1)
        with DASK.open(2, options()) as pool:
            assert not first & set(pool.map(pid, range(8), chunk_size=1))


def test_large_arrays_go_both_ways_and_are_writable() -> None:
    arrays = [np.full((300, 1000), item, dtype=float) for item in range(6)]

    def changed(array: object) -> object:
        array += 1  # type: ignore[operator]  # an array
        return array

    with DASK.open(2, options()) as pool:
        found = pool.map(changed, arrays, chunk_size=1)
        assert [float(array.mean()) for array in found] == [1, 2, 3, 4, 5, 6]
        found[0] += 1
        assert float(arrays[0].sum()) == 0


def test_a_large_function_goes_once_to_each_worker() -> None:
    table = np.arange(1_000_000)
    with DASK.open(2, options()) as pool:
        assert pool.map(lambda item: int(table[item]), range(20), chunk_size=1) == list(range(20))


def test_the_native_client_is_there_and_is_not_the_default_one() -> None:
    with DASK.open(2, options()) as pool:
        assert isinstance(pool, HasNative)
        assert pool.native.gather(pool.native.map(double, range(3))) == [0, 2, 4]
        with pytest.raises(ValueError, match="No clients found"):
            sys.modules["distributed"].default_client()


def test_dask_itself_says_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    def speak(item: int) -> int:
        logging.getLogger("distributed.worker").warning("Dask has something to say")
        logging.getLogger("of a task").warning("said by %d", item)
        return item

    caplog.set_level(logging.DEBUG)
    with DASK.open(2, options()) as pool:
        pool.map(speak, range(2), chunk_size=1)
        with pytest.raises(WorkerLost):
            pool.map(lambda item: os.kill(os.getpid(), signal.SIGKILL), [1])
    assert sorted(caplog.messages) == ["said by 0", "said by 1"]
    assert (capfd.readouterr(), list(recwarn)) == (("", ""), [])


def test_the_environment_and_folders_are_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    configured = repr(dask.config.config)
    level = logging.getLogger("distributed").level
    with DASK.open(2, options()) as pool:
        assert pool.map(lambda _: Path.cwd(), [0]) == [tmp_path]
        assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []
    assert repr(dask.config.config) == configured
    assert logging.getLogger("distributed").level == level


def test_all_ports_are_on_loopback_untouched() -> None:
    psutil = pytest.importorskip("psutil")
    with DASK.open(2, options()) as pool:
        workers = [psutil.Process(one) for one in pool.pids()]  # type: ignore[attr-defined]  # it has them
        processes = [*workers, workers[0].parent(), psutil.Process()]
        listening = [
            one.laddr.ip
            for process in processes
            for one in process.net_connections()
            if one.status == psutil.CONN_LISTEN
        ]
    assert len(listening) >= len(processes) - 1
    assert set(listening) == {"127.0.0.1"}


def test_a_lost_scheduler_is_named_fault() -> None:
    psutil = pytest.importorskip("psutil")
    with DASK.open(2, options()) as pool:
        worker = psutil.Process(pool.pids()[0])  # type: ignore[attr-defined]  # it has them
        scheduler = worker.parent()

        def task(item: int) -> None:
            if not item:
                os.kill(scheduler_pid, signal.SIGKILL)
            time.sleep(30)

        scheduler_pid = scheduler.pid
        with pytest.raises(WorkerLost):
            pool.map(task, range(2), chunk_size=1, timeout=60)
        with pytest.raises(PoolError, match="has ended"):
            pool.map(double, [1])


def test_a_killed_run_leaves_nothing_untouched(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from pytest_parallelism.registry import load\n"
        "from pytest_parallelism.strategy import StrategyOptions\n"
        "with load()['dask'].open(2, StrategyOptions()) as pool:\n"
        "    print(*pool.pids(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    pids = [int(word) for word in run.stdout.split()]
    assert len(pids) == 2
    limit = time.monotonic() + 20
    while time.monotonic() < limit and (list(tmp_path.iterdir()) or any(map(runs, pids))):
        time.sleep(0.05)
    assert (list(tmp_path.iterdir()), [one for one in pids if runs(one)]) == ([], [])


def runs(one: int) -> bool:
    return Path(f"/proc/{one}").exists()


def test_a_worker_that_the_scheduler_has_given_up_is_lost_though_it_lives() -> None:
    async def give_up(dask_scheduler: Any, address: str) -> None:
        await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)

    clusters.end_kept()
    with DASK.open(2, options()) as pool:
        assert isinstance(pool, HasNative)
        given_up, stopped = next(iter(pool.native.run(os.getpid).items()))
        os.kill(stopped, signal.SIGSTOP)  # it hears of nothing
        pool.native.run_on_scheduler(give_up, address=given_up)
        assert waited(lambda: not runs(stopped))  # a map that ends before is right
        with pytest.raises(WorkerLost, match=str(stopped)):
            pool.map(pid, range(4))


def test_an_answer_that_goes_with_its_worker_is_waited_for_again() -> None:
    """Dask tells that it is there, and before we have looked, that it is not."""
    from distributed.client import FutureState

    from pytest_parallelism.strategies._dask_client import Chunk, Courier, _Asked

    async def scene() -> None:
        courier = Courier(None, ["one"], direct=True)
        courier._fetching = True
        future = SimpleNamespace(_state=FutureState("key"))
        asked = _Asked(courier, "key", Chunk(b"", 0), None)
        courier._sent[asked] = future
        watching = asyncio.ensure_future(courier._watch(asked, future))
        await asyncio.sleep(0)
        future._state.finish()
        future._state.lose()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not watching.done()
        assert not asked.done()
        future._state.finish()
        await watching
        assert courier._ready == {asked: future}

    asyncio.run(scene())


# ---- the user's own cluster


class Refusing:
    """A class of clusters that shows what it was given."""

    def __init__(self, token: str) -> None:
        raise ValueError(f"{token} is no token")

    def scale(self) -> None: ...
    def close(self) -> None: ...
    def get_client(self) -> None: ...


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler and three workers that this test has started by Dask's own commands."""
    clusters.end_kept()
    with dask_apart(tmp_path_factory.mktemp("apart"), 3) as address:
        yield address


@pytest.mark.parametrize("workers", [1, 2])
def test_on_the_users_cluster_so_many_workers_are_used(apart: str, workers: int) -> None:
    with DASK.open(workers, options(apart)) as pool:
        assert pool.workers == workers
        assert len(set(pool.map(pid, range(12), chunk_size=1))) == workers


def test_the_number_that_ran_is_reported(apart: str) -> None:
    with DASK.open(8, options(apart)) as pool:
        assert pool.workers == 3
        assert pool.map(double, range(9)) == [double(item) for item in range(9)]


def test_a_cluster_of_the_users_outlives_the_pool_and_its_faults(apart: str) -> None:
    with DASK.open(2, options(apart)) as pool, pytest.raises(TaskTimeout, match="left running"):
        pool.map(lambda _: time.sleep(3), range(2), chunk_size=1, timeout=0.5)
    with DASK.open(3, options(apart)) as pool:
        assert pool.map(double, range(6), chunk_size=1) == [0, 2, 4, 6, 8, 10]


def test_arrays_go_to_a_users_cluster_and_back(apart: str) -> None:
    with DASK.open(2, options(apart)) as pool:
        found = pool.map(lambda array: -array, [np.ones(1_000_000), np.ones(10)], chunk_size=1)
        found[0] += 1
        assert [float(array.sum()) for array in found] == [0, -10]


@pytest.mark.parametrize("listening", [False, True])
def test_an_address_where_no_dask_is_gives_a_sentence_within_10_seconds(listening: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listening:
            silent.listen()
        begun = time.monotonic()
        with (
            pytest.raises(UsageError, match="Dask"),
            DASK.open(2, options(f"tcp://127.0.0.1:{port(silent)}")),
        ):
            pass
        assert time.monotonic() - begun < 10


def port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("somewhere", "needs an address such as tcp://host:8786"),
        ("http://host:80", "not one of http://"),
        (f"os.system('{SECRET}')", "os.system is not a class of Dask clusters"),
        (f"no_such_module.Cluster(token='{SECRET}')", "cannot be imported"),
        (f"distributed.LocalCluster(print('{SECRET}'))", "must be literals"),
        (f"distributed.LocalCluster(**{{'n_workers': '{SECRET}'}})", "one by one"),
        (f"LocalCluster(token='{SECRET}')", "a class with its module"),
        (f"{__name__}.Refusing(token='{SECRET}')", "could not be made: ValueError: … is no token"),
    ],
)
def test_a_wrong_address_is_told_without_its_secrets(
    address: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=said) as caught, DASK.open(1, options(address)):
        pass
    assert SECRET not in f"{caught.value} {caught.getrepr(style='long')}"
    assert SECRET not in "".join(capfd.readouterr())


def test_a_class_is_read_with_its_arguments() -> None:
    maker = _dask_address.maker(f"dask_jobqueue.SLURMCluster(cores=1, memory='2GB', extra=['{SECRET}', -1])")
    assert maker is not None
    assert (maker.module, maker.name) == ("dask_jobqueue", "SLURMCluster")
    assert maker.keywords == {"cores": 1, "memory": "2GB", "extra": [SECRET, -1]}
    assert SECRET not in f"{maker} {maker!r}"


def test_a_cluster_class_of_dask_serves_and_is_closed(tmp_path: Path) -> None:
    code = f"""
import os, time
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import StrategyOptions

def pid(_item):
    time.sleep(0.05)
    return os.getpid()

if __name__ == "__main__":
    with load()["dask"].open(2, StrategyOptions(address={CLASS!r})) as pool:
        print(pool.workers, pool.info()["dask_cluster"], *set(pool.map(pid, range(12), chunk_size=1)))
"""
    (script := tmp_path / "measuring.py").write_text(code)
    run = subprocess.run(  # LocalCluster changes the environment, and starts helpers that stay
        [sys.executable, "-W", "ignore", str(script)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    count, name, *pids = run.stdout.split()
    assert (count, name, len(pids), run.stderr) == ("2", "distributed.LocalCluster", 2, "")
    assert not any(runs(int(one)) for one in pids)


def test_a_cluster_for_modin_starts_with_one_call() -> None:
    cluster = DaskCluster.embedded(1)
    try:
        assert cluster.native.submit(double, 4).result() == 8
    finally:
        cluster.close()
