"""`measure` on clusters, ours and the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_parallelism import measure
from pytest_parallelism.errors import UsageError
from pytest_parallelism.measuring import _measure
from pytest_parallelism.registry import load
from tests.clusters import fake_engine


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_measure, "load", lambda: load([fake_engine.FAKE]))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv(fake_engine.LOG, str(path))
    return path


def double(item: int) -> int:
    return 2 * item


def test_a_cluster_is_started_for_each_worker_count_and_none_stays(log: Path) -> None:
    found = measure(double, range(4), strategies=("fake", "threads"), workers=[1, 2], rounds=1)
    assert [entry.status for entry in found.points] == ["measured"] * 4
    assert log.read_text().split("\n")[:-1] == ["start 1", "end 1", "start 2", "end 2"]


def test_an_address_is_for_its_strategy(address: str, log: Path) -> None:
    found = measure(
        double, range(4), strategies=("fake", "threads"), workers=2, rounds=1, addresses={"fake": address}
    )
    first, second = found.records
    assert first.strategy_info["cluster"] == "the user's own"
    assert "cluster" not in second.strategy_info
    assert log.read_text() == "end 2\n"


def test_a_cluster_of_the_users_has_the_workers_that_it_has(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fake_engine.connect
    monkeypatch.setattr(fake_engine, "connect", lambda _, where: real(3, where))
    found = measure(double, range(4), strategies="fake", workers=2, rounds=1, addresses={"fake": address})
    (record,) = found.records
    assert (record.workers, record.workers_requested) == (3, 2)


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        ({"fakes": "fake://h:1"}, "No strategy is named 'fakes'.*Did you mean 'fake'"),
        ({"threads": "tcp://h:1"}, "threads runs on no cluster that has an address; these do: .*fake"),
        ({"fake": 7}, "addresses must name a strategy and its cluster's address.*, not int"),
        ("fake", "addresses must name a strategy and its cluster's address"),
    ],
)
def test_what_is_wrong_is_one_sentence(addresses: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        measure(double, range(4), strategies="fake", workers=2, rounds=1, addresses=addresses)
