"""Modin on embedded clusters of Ray and Dask, one after another in one process."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism import clusters
from pytest_parallelism.conformance._tasks import meet
from pytest_parallelism.errors import UsageError
from pytest_parallelism.strategy import HasNative, Pool, Strategy, StrategyOptions

from .apart import dask_apart
from .conftest import KNOWN, EngineConformance
from .killed import left_after_sigkill

# What Modin thinks of the operations of a test, and pandas of Modin's own ways, is no part of it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:modin"),
    pytest.mark.filterwarnings("ignore::UserWarning:modin"),
]
NAMES = ("modin-ray", "modin-dask")


class TestModinOnRay(EngineConformance):
    name = "modin-ray"


class TestModinOnDask(EngineConformance):
    name = "modin-dask"

    @pytest.mark.parametrize("workers", [1, 2, 4])
    def test_exactly_that_many_workers_run_at_once(
        self, strategy: Strategy, options: StrategyOptions, workers: int, tmp_path: Path
    ) -> None:
        """In maps of as many items: of more, Dask may begin later ones first."""
        with strategy.open(workers, options) as pool:
            for turn in range(3):
                folder = tmp_path / str(turn)
                folder.mkdir()
                task = functools.partial(meet, str(folder), workers, self.patience)
                seen = pool.map(task, range(workers), chunk_size=1)
                assert all(met for _, _, met in seen)
                assert sorted(pid for pid, _, _ in seen) == sorted(pool.pids())  # type: ignore[attr-defined]  # it has them


@pytest.fixture(autouse=True)
def _installed() -> None:
    for name in NAMES:
        if reason := KNOWN[name].obstacle(1):
            pytest.skip(reason)


def native(pool: Pool) -> Any:
    assert isinstance(pool, HasNative)
    return pool.native


def written(folder: Path) -> str:
    file = folder / "numbers.csv"
    file.write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(300)))
    return str(file)


def operations(frames: Any, file: str) -> list[Any]:
    """Reading, grouping and sorting: each has another way into Modin's engine."""
    frame = frames.read_csv(file)
    grouped = frame.groupby("b")["a"].sum()
    last = frame.sort_values(["b", "a"]).tail(1)
    return [list(grouped), last.to_numpy().tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_native_is_modin_on_the_workers_of_the_pool(name: str) -> None:
    with KNOWN[name].open(2, StrategyOptions()) as pool:
        frames = native(pool)
        assert frames.__name__ == "modin.pandas"
        ran = set(frames.Series(range(64)).map(lambda _: os.getpid()))
        assert ran
        assert ran <= set(pool.pids())  # type: ignore[attr-defined]  # HasPids, as every engine's


def test_engines_and_counts_may_follow_each_other(tmp_path: Path) -> None:
    """Modin keeps what it has put into a cluster; nothing of it may be taken for the next one's."""
    pandas = pytest.importorskip("pandas")
    file = written(tmp_path)
    expected = operations(pandas, file)
    for name, workers in (("modin-ray", 1), ("modin-dask", 2), ("modin-ray", 2), ("modin-dask", 1)):
        clusters.end_kept()
        with KNOWN[name].open(workers, StrategyOptions()) as pool:
            assert operations(native(pool), file) == expected
            assert pool.map(lambda x: x + 1, range(9)) == list(range(1, 10))


@pytest.mark.parametrize("name", NAMES)
def test_modin_and_the_environment_are_left_untouched(name: str) -> None:
    import modin.config as settings

    def now() -> list[Any]:
        numbers = (settings.CpuCount, settings.NPartitions, settings.MinRowPartitionSize)
        return [settings.Engine.get(), *(one.get() for one in numbers)]

    before, variables = now(), dict(os.environ)
    with KNOWN[name].open(1, StrategyOptions()) as pool:
        assert settings.NPartitions.get() == 1  # as Modin itself divides the user's frames
        assert pool.map(len, ["ab"]) == [2]
        assert settings.MinRowPartitionSize.get() == before[-1]
    assert now() == before
    assert dict(os.environ) == variables


@pytest.mark.parametrize("name", NAMES)
def test_what_is_equal_runs_as_often_as_it_is_mapped(name: str, tmp_path: Path) -> None:
    """Dask takes equal calls for one where it is told that they are pure, as Modin tells it."""

    def note(_: int) -> None:
        with (tmp_path / "notes").open("a") as file:
            file.write("x")

    with KNOWN[name].open(2, StrategyOptions()) as pool:
        for _ in range(2):
            pool.map(note, [0] * 5, chunk_size=1)
    assert (tmp_path / "notes").read_text() == "x" * 10


@pytest.mark.parametrize("name", NAMES)
def test_chunks_beyond_the_partitions_keep_their_order(name: str) -> None:
    with KNOWN[name].open(2, StrategyOptions()) as pool:
        assert pool.map(str, range(100), chunk_size=1) == [str(item) for item in range(100)]


@pytest.mark.parametrize("name", NAMES)
def test_arrays_travel(name: str) -> None:
    import numpy as np

    total: Callable[[Any], Any] = lambda array: array * 2  # noqa: E731  # a function of no module
    arrays = [np.arange(100_000) + item for item in range(3)]
    with KNOWN[name].open(1, StrategyOptions()) as pool:
        for found, array in zip(pool.map(total, arrays), arrays, strict=True):
            np.testing.assert_array_equal(found, array * 2)


@pytest.mark.parametrize("name", NAMES)
def test_after_a_killed_run_nothing_is_left(name: str, tmp_path: Path) -> None:
    assert left_after_sigkill(name, tmp_path) == set()


# ---- the user's own cluster


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, started as users do."""
    clusters.end_kept()
    with dask_apart(tmp_path_factory.mktemp("apart"), 2) as address:
        yield address


def test_all_of_the_users_own_cluster_is_used_and_stays(scheduler: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    file = written(tmp_path)
    own = StrategyOptions(by_value=(sys.modules[__name__],), address=scheduler)
    for _ in range(2):
        with KNOWN["modin-dask"].open(1, own) as pool:
            assert pool.workers == 2
            assert pool.map(lambda x: x + 1, range(9)) == list(range(1, 10))
            assert operations(native(pool), file) == operations(pandas, file)


@pytest.mark.parametrize(
    ("name", "address"), [("modin-ray", "127.0.0.1:9"), ("modin-dask", "tcp://127.0.0.1:9")]
)
def test_an_address_where_nobody_is_gives_a_sentence_within_10_seconds(name: str, address: str) -> None:
    begin = time.monotonic()
    with pytest.raises(UsageError, match="reached"), KNOWN[name].open(1, StrategyOptions(address=address)):
        pass
    assert time.monotonic() - begin < 10
