"""Celery: on a Redis and a worker of ours, and on ones started apart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_parallelism.errors import PoolError, TaskTimeout, UsageError, WorkerLost
from pytest_parallelism.strategies._redis_server import redis_server
from pytest_parallelism.strategy import StrategyOptions

from .conftest import KNOWN, EngineConformance
from .killed import left_after_sigkill
from .waiting import answers, free_port

PASSWORD = "not-to-be-told"
BY_VALUE = (sys.modules[__name__],)


class TestCelery(EngineConformance):
    name = "celery"


def opened(workers: int, address: str | None = None) -> AbstractContextManager[Any]:
    return KNOWN["celery"].open(workers, StrategyOptions(by_value=BY_VALUE, address=address))


def double(item: Any) -> Any:
    return 2 * item


def sleep_long(folder: str, _item: int) -> None:
    Path(folder, "began").touch()
    time.sleep(600)


def die_at_two(item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def most_at_once(folder: str, item: int) -> int:
    mine = Path(folder, str(item))
    mine.touch()
    time.sleep(0.1)
    found = len(list(Path(folder).iterdir()))
    mine.unlink()
    return found


@contextmanager
def started(command: list[str], log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **variables}, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(there: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not there():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port, program = tmp_path_factory.mktemp("redis"), free_port(), redis_server()
    assert program is not None
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with started([*command, "--requirepass", PASSWORD], folder / "log"):
        until(partial(answers, "127.0.0.1", port))
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def own(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker at which a worker of three processes listens."""
    log = tmp_path_factory.mktemp("worker") / "log"
    options = ["-A", "pytest_parallelism.celery_worker", "-b", broker, "worker", "-c", "3", "-l", "INFO"]
    with started([sys.executable, "-m", "celery", *options], log, C_FORCE_ROOT="1"):
        until(lambda: b"ready." in log.read_bytes())
        yield broker


def keys(address: str) -> set[bytes]:
    from redis import Redis

    with Redis.from_url(address) as client:
        return set(client.keys("pytest-parallelism:*"))


@pytest.mark.parametrize(("asked", "there"), [(1, 1), (2, 2), (8, 3)])
def test_no_more_processes_of_the_users_own_are_used_than_asked_for(
    own: str, asked: int, there: int, tmp_path: Path
) -> None:
    with opened(asked, own) as pool:
        assert pool.workers == there
        seen = pool.map(partial(most_at_once, str(tmp_path)), range(12), chunk_size=1)
        assert max(seen) == there
        assert pool.info()["cluster"] == "the user's own"
        assert PASSWORD not in repr(pool.info())


def test_large_things_travel_and_nothing_stays_in_the_users_redis(own: str) -> None:
    large = os.urandom(1 << 20)
    before = keys(own)  # answers of tasks that outlived the map of another test, which expire
    with opened(2, own) as pool:
        assert pool.map(lambda item: large + item, [b"a", large]) == [large + b"a", large + large]
        assert pool.map(double, [large]) == [large + large]
    assert keys(own) <= before


def test_messages_of_other_apps_are_left_alone(own: str) -> None:
    from redis import Redis

    with Redis.from_url(own) as client:
        client.rpush("celery", b"of another app")
        with opened(1, own) as pool:
            assert pool.map(double, [2]) == [4]
        assert client.lrange("celery", 0, -1) == [b"of another app"]


def test_a_lost_process_of_the_users_own_is_named_and_others_go_on(own: str) -> None:
    with opened(3, own) as pool, pytest.raises(WorkerLost, match=r"lost worker process \d+: SIGKILL"):
        pool.map(die_at_two, range(6), chunk_size=1)
    with opened(3, own) as pool:
        assert pool.map(double, range(6), chunk_size=1) == [0, 2, 4, 6, 8, 10]


def test_a_hung_task_ends_on_the_users_own_and_others_go_on(own: str, tmp_path: Path) -> None:
    with opened(1, own) as pool:
        with pytest.raises(TaskTimeout, match="tasks on Celery were ended"):
            pool.map(partial(sleep_long, str(tmp_path)), [1], timeout=3)
        assert (tmp_path / "began").exists()
        assert pool.map(double, range(3)) == [0, 2, 4]
    with opened(3, own) as pool:
        assert pool.map(double, range(6), chunk_size=1) == [0, 2, 4, 6, 8, 10]


def test_a_broker_without_workers_says_how_to_start_one(broker: str) -> None:
    alone = broker.removesuffix("0") + "1"  # another database, and so another broker
    with (
        pytest.raises(
            UsageError, match=r"start one with celery -A pytest_parallelism\.celery_worker"
        ) as caught,
        opened(1, alone),
    ):
        pass
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://:{password}@127.0.0.1:{closed}", "cannot be reached at 127.0.0.1"),
        ("redis://:{password}x@127.0.0.1:{port}", "cannot use the Redis at redis://127.0.0.1"),
        ("amqp://me:{password}@127.0.0.1:{port}", "answers of Celery's tasks need a Redis, and amqp is none"),
        ("{password}", "needs an address such as redis://host:6379/0"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_its_password(broker: str, address: str, said: str) -> None:
    port = broker.rpartition(":")[2].removesuffix("/0")
    address = address.format(password=PASSWORD, port=port, closed=free_port())
    with pytest.raises(UsageError, match=said) as caught, opened(1, address):
        pass
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None or PASSWORD not in str(caught.value.__cause__)


def test_a_broker_and_a_redis_for_answers_may_be_two(own: str, tmp_path: Path) -> None:
    """As with RabbitMQ, which gives no Redis."""
    aside = own.removesuffix("0") + "2"
    options = ["-A", "pytest_parallelism.celery_worker", "-b", aside, "--result-backend", own]
    log = tmp_path / "log"
    command = [sys.executable, "-m", "celery", *options, "worker", "-c", "1", "-l", "INFO"]
    with started(command, log, C_FORCE_ROOT="1"):
        until(lambda: b"ready." in log.read_bytes())
        with opened(1, f"{aside},{own}") as pool:
            assert pool.map(double, [3]) == [6]


@pytest.mark.parametrize("victim", ["redis-server", "python"])
def test_a_broker_or_a_worker_of_ours_that_ends_is_named(victim: str, tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with opened(1) as pool:
        (worker,) = pool.pids()
        if victim == "python":
            process = psutil.Process(psutil.Process(worker).ppid())
        else:
            ours = psutil.Process().children(recursive=True)
            (process,) = (one for one in ours if one.pid not in before and one.name() == victim)
        futures = [pool.executor.submit(partial(sleep_long, str(tmp_path)), item) for item in range(3)]
        until((tmp_path / "began").exists)
        process.kill()
        for future in futures:
            with pytest.raises(WorkerLost, match=r"lost its broker|ended"):
                future.result(60)
        with pytest.raises(PoolError):
            pool.map(double, [1])


def test_celerys_own_variables_do_not_reach_our_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = f"redis://127.0.0.1:{free_port()}"
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(name, closed)
    with opened(1) as pool:
        assert pool.map(double, [2]) == [4]


def test_a_socket_with_a_long_path_is_found(tmp_path: Path) -> None:
    from pytest_parallelism.strategies._redis_server import start_redis
    from pytest_parallelism.workers.site import Site

    site = Site()
    outer = site.folder
    try:
        site.folder = outer / ("long" * 30)
        site.folder.mkdir()
        process, path = start_redis(site)
        assert len(path) < 100
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"PING\r\n")
            assert client.recv(16) == b"+PONG\r\n"
    finally:
        site.folder = outer
        site.end()
        process.wait()


def test_the_worker_module_imports_nothing_of_celery_until_its_app_is_wanted() -> None:
    code = "import sys, pytest_parallelism.celery_worker as it; print('celery' in sys.modules, it.app.main)"
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split() == ["False", "pytest_parallelism"]


def test_nothing_is_left_after_a_sigkill_of_the_run(tmp_path: Path) -> None:
    assert left_after_sigkill("celery", tmp_path) == set()
