"""Bytes, and user and system time: arithmetic on known snapshots, and real processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_parallelism.resources import Meter, Snapshot, counters, meter
from pytest_parallelism.resources.counters import Counters, ProcSource, PsutilSource

if TYPE_CHECKING:
    from tests.resources.conftest import Worker

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def moment(io: dict[str, dict[int, int]] | None = None, **figures: Any) -> Snapshot:
    """Bytes of processes, user and other ticks of workers, own ``modes``, ``shipped``."""
    own = meter._Own(0.0, 0.0, 0, 0, figures.get("modes"))
    found = Counters(
        cpu={},
        delays=None,
        voluntary={},
        involuntary={},
        user=figures.get("user", {}),
        ticked=figures.get("ticked", {}),
        io=io,
    )
    return Snapshot(begun=own, workers=found, ended=own, shipped=figures.get("shipped"))


def test_user_and_system_time_are_told_apart() -> None:
    earlier = moment(modes=(1.0, 0.5), user={7: 1.0}, ticked={7: 3.0})
    usage = earlier.until(moment(modes=(1.25, 0.5), user={7: 1.5}, ticked={7: 5.0}))
    assert (usage.user_seconds, usage.system_seconds) == (0.75, 1.5)


def test_a_tick_between_the_two_clocks_makes_no_negative_time() -> None:
    earlier = moment(modes=(0.0, 0.0), user={7: 1.0}, ticked={7: 1.25})
    assert earlier.until(moment(modes=(0.0, 0.0), user={7: 1.5}, ticked={7: 1.5})).system_seconds == 0


def test_where_the_system_does_not_tell_them_apart_they_are_unknown() -> None:
    usage = moment().until(moment())
    assert (usage.user_seconds, usage.system_seconds) == (None, None)


def test_bytes_are_summed_by_their_kind() -> None:
    earlier = moment({name: {1: 100, 7: 10} for name in counters.IO})
    growth = zip(counters.IO, (1, 2, 3, 4), strict=True)
    usage = earlier.until(moment({name: {1: 100 + more, 7: 10 + more} for name, more in growth}))
    assert (usage.read_bytes, usage.written_bytes, usage.read_chars, usage.written_chars) == (2, 4, 6, 8)


def test_bytes_of_a_reaped_worker_count_without_what_it_had_before() -> None:
    # The kernel adds all that a reaped process read to what its parent has read.
    earlier, later = moment({"rchar": {1: 100, 7: 50}}), moment({"rchar": {1: 100 + 50 + 5}})
    assert earlier.until(later).read_chars == 5


def test_a_worker_that_another_process_reaps_makes_no_negative_bytes() -> None:
    assert moment({"rchar": {1: 100, 7: 50}}).until(moment({"rchar": {1: 105}})).read_chars == 0


@pytest.mark.parametrize("known", [None, {"read_bytes": {1: 5}}])
def test_bytes_that_one_snapshot_does_not_know_are_unknown(known: dict[str, dict[int, int]] | None) -> None:
    usage = moment(known).until(moment({name: {1: 5} for name in counters.IO}))
    assert usage.read_bytes == (None if known is None else 0)
    assert usage.read_chars is None


def test_bytes_shipped_are_the_growth_of_the_counters() -> None:
    sent = iter([(100, 10), (130, 14)])
    with Meter(shipped=lambda: next(sent)) as own:
        usage = own.snapshot().until(own.snapshot())
    assert (usage.shipped_out_bytes, usage.shipped_in_bytes) == (30, 4)


def test_without_a_counter_bytes_shipped_are_unknown() -> None:
    with Meter() as own:
        usage = own.snapshot().until(own.snapshot())
    assert (usage.shipped_out_bytes, usage.shipped_in_bytes) == (None, None)


@pytest.mark.usefixtures("any_source")
@pytest.mark.skipif(sys.platform == "win32", reason="its parent's times are not told apart there")
def test_time_in_the_system_is_found_in_workers(worker: Worker) -> None:
    with Meter(lambda: [worker.pid]) as everything:
        before = everything.snapshot()
        worker.run("import os; end = time.process_time() + 0.3")
        worker.run("while time.process_time() < end: os.urandom(1 << 20)")
        asking = before.until(everything.snapshot())
        before = everything.snapshot()
        worker.run("for _ in range(100): sum(range(100_000))")
        computing = before.until(everything.snapshot())
    assert asking.system_seconds is not None
    assert asking.user_seconds is not None
    assert computing.user_seconds is not None
    assert asking.system_seconds > asking.user_seconds
    assert computing.system_seconds is not None
    assert computing.user_seconds > computing.system_seconds


@pytest.mark.usefixtures("any_source")
@linux
def test_bytes_that_workers_read_and_write_count(worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(bytes(1 << 20))
    with Meter(lambda: [worker.pid]) as everything:
        before = everything.snapshot()
        worker.run(f"data = open({str(file)!r}, 'rb').read(); open({str(file)!r}, 'wb').write(data)")
        usage = before.until(everything.snapshot())
    assert usage.read_chars is not None
    assert usage.written_chars is not None
    assert 1 << 20 <= usage.read_chars < (1 << 20) + 50_000
    assert 1 << 20 <= usage.written_chars < (1 << 20) + 50_000
    assert usage.read_bytes is not None
    assert usage.written_bytes is not None


@linux
def test_what_the_meter_reads_itself_is_none_of_the_workloads(worker: Worker) -> None:
    with Meter(lambda: [worker.pid]) as everything:
        everything.snapshot()
        before = everything.snapshot()
        assert before.until(everything.snapshot()).read_chars == 0


@linux
def test_bytes_that_may_not_be_read_are_unknown_and_the_rest_is_there(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(counters._Whole, "read", refuse)
    monkeypatch.setattr(psutil.Process, "io_counters", refuse)
    for reader in (ProcSource(), PsutilSource()):
        found = reader.read([worker.pid])
        assert found.io is None
        assert found.voluntary


def test_a_system_without_counters_of_bytes_leaves_them_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "io_counters", raising=False)
    assert PsutilSource().read([]).io is None
