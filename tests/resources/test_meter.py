"""What processes use between two moments: arithmetic on known snapshots, and real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_parallelism.resources import Meter, Snapshot, counters, meter
from pytest_parallelism.resources.counters import Counters, ProcSource, PsutilSource, source

if TYPE_CHECKING:
    from tests.resources.conftest import Worker

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def snapshot(
    cpu: dict[int, float] | None = None,
    delays: dict[tuple[int, int], int] | None = None,
    own: tuple[float, float, int, int] = (0.0, 0.0, 0, 0),
    switches: dict[tuple[int, int], int] | None = None,
) -> Snapshot:
    moment = meter._Own(*own)
    workers = Counters(
        cpu=cpu or {}, delays=delays, voluntary=switches or {}, involuntary=dict(switches or {})
    )
    return Snapshot(begun=moment, workers=workers, ended=moment)


def test_usage_sums_parent_children_and_workers() -> None:
    earlier = snapshot({7: 1.0}, {(1, 1): 5, (7, 7): 10}, (2.0, 1.0, 3, 4), {(7, 7): 100})
    later = snapshot({7: 1.5}, {(1, 1): 7, (7, 7): 20}, (2.25, 1.125, 5, 5), {(7, 7): 110})
    usage = earlier.until(later)
    assert usage.cpu_seconds == 0.875
    assert usage.delay_seconds == pytest.approx(12e-9)
    assert (usage.voluntary_switches, usage.involuntary_switches) == (12, 11)


def test_a_new_worker_and_a_new_thread_count_from_zero() -> None:
    usage = snapshot({}, {(1, 1): 5}).until(snapshot({9: 0.5}, {(1, 1): 5, (1, 2): 3, (9, 9): 4}))
    assert usage.cpu_seconds == 0.5
    assert usage.delay_seconds == pytest.approx(7e-9)


def test_a_reaped_worker_counts_without_what_it_used_before() -> None:
    usage = snapshot({9: 0.5}, own=(0.0, 1.0, 0, 0)).until(snapshot({}, own=(0.0, 1.75, 0, 0)))
    assert usage.cpu_seconds == 0.25


def test_a_worker_that_another_process_reaps_takes_nothing_away() -> None:
    assert snapshot({9: 0.5}).until(snapshot({}, own=(0.125, 0.0, 0, 0))).cpu_seconds == 0.125


def test_an_id_taken_anew_counts_from_zero() -> None:
    assert snapshot({9: 5.0}).until(snapshot({9: 0.25})).cpu_seconds == 0.25


def test_an_unknown_delay_makes_the_whole_unknown() -> None:
    assert snapshot({}, None).until(snapshot({}, {(1, 1): 5})).delay_seconds is None


def test_a_snapshot_does_not_count_its_own_cost() -> None:
    early = meter._Own(1.0, 0.0, 0, 0)
    late = meter._Own(3.0, 0.0, 0, 0)
    nothing = Counters(cpu={}, delays=None, voluntary={}, involuntary={})
    first = Snapshot(begun=early, workers=nothing, ended=late)
    second = Snapshot(begun=meter._Own(3.5, 0.0, 0, 0), workers=nothing, ended=meter._Own(9.0, 0.0, 0, 0))
    assert first.until(second).cpu_seconds == 0.5


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.usefixtures("any_source")
def test_the_workers_cpu_time_counts(worker: Worker) -> None:
    with Meter(lambda: [worker.pid]) as everything, Meter() as parent_only:
        before, before_alone = everything.snapshot(), parent_only.snapshot()
        worker.run("burn(0.1)")
        used = before.until(everything.snapshot()).cpu_seconds
        used_alone = before_alone.until(parent_only.snapshot()).cpu_seconds
    assert used - used_alone > 0.08


@pytest.mark.usefixtures("any_source")
def test_the_workers_switches_count(worker: Worker) -> None:
    with Meter(lambda: [worker.pid]) as everything:
        before = switches(everything.snapshot())
        for _ in range(20):
            worker.run("time.sleep(0.001)")
        # Each sleep is a switch; a wait for the next line need not be one, where that has come already.
        assert switches(everything.snapshot()) - before >= 20


def switches(found: Snapshot) -> int:
    return sum(found.workers.voluntary.values()) + sum(found.workers.involuntary.values())


def test_an_ended_threads_cpu_time_counts() -> None:
    with Meter() as own:
        before = own.snapshot()
        thread = threading.Thread(target=burn, args=(0.05,))
        thread.start()
        thread.join()
        assert before.until(own.snapshot()).cpu_seconds >= 0.05


@pytest.mark.usefixtures("any_source")
def test_a_worker_that_ends_between_snapshots_counts_once(worker: Worker) -> None:
    worker.run("burn(0.5)")
    with Meter(lambda: [worker.pid]) as everything:
        before = everything.snapshot()
        worker.run("burn(0.1)")
        worker.end()
        assert 0.08 < before.until(everything.snapshot()).cpu_seconds < 0.5


@pytest.mark.usefixtures("any_source")
def test_a_worker_that_is_gone_is_left_out(worker: Worker) -> None:
    worker.end()
    with Meter(lambda: [worker.pid]) as everything:
        assert not everything.snapshot().workers.cpu


@linux
def test_waiting_for_a_core_is_seen(worker: Worker, start_worker: Callable[[], Worker]) -> None:
    rival = start_worker()
    with Meter(lambda: [worker.pid, rival.pid]) as both:
        for one in (worker, rival):
            one.run(f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}])")
        before = both.snapshot()
        runs = [threading.Thread(target=one.run, args=("burn(0.1)",)) for one in (worker, rival)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        delay = before.until(both.snapshot()).delay_seconds
    # 0.2 s of CPU on one core: whoever is second waits while the first runs.
    assert delay is None if before.workers.delays is None else delay and delay > 0.02


@linux
def test_threads_that_come_and_go_are_noticed() -> None:
    own = os.getpid()
    reader = ProcSource()
    with parked_thread() as first:
        assert (own, first) in (reader.read([]).delays or {})
    # The number of threads is the same again, but it is another thread.
    with parked_thread() as second:
        found = reader.read([]).delays or {}
        assert (own, second) in found
        assert first == second or (own, first) not in found
    reader.close()


@contextmanager
def parked_thread() -> Iterator[int]:
    """The id of a thread that is gone, also for the kernel, on leaving."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    assert thread.native_id
    try:
        yield thread.native_id
    finally:
        leave.set()
        thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        time.sleep(0)


@linux
@pytest.mark.parametrize("limit", [0, 256])
def test_descriptors_are_bounded_and_closed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(counters, "KEPT_OPEN", limit)
    at_first = open_files()
    with Meter(lambda: [worker.pid]) as both:
        both.snapshot()
        kept = open_files() - at_first
        assert both.snapshot().workers.voluntary.keys() == {(worker.pid, worker.pid)}
        assert open_files() == at_first + kept
    assert bool(kept) == bool(limit)
    assert open_files() == at_first


@linux
def test_the_files_of_workers_that_are_gone_are_closed(start_worker: Callable[[], Worker]) -> None:
    kept = []
    with Meter(lambda: [now.pid]) as one:
        for _ in range(3):
            now = start_worker()
            one.snapshot()
            now.end()
            one.snapshot()
            kept.append(open_files())
    assert kept[0] == kept[1] == kept[2]


def open_files() -> int:
    """Descriptors of /proc files, without the one that looks."""
    links = list(Path("/proc/self/fd").iterdir())
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return sum(target.startswith("/proc/") and not target.endswith("/fd") for target in targets)


FORKED = """
import os, time
from pytest_parallelism.resources import Meter
meter = Meter()
before = meter.snapshot()
child = os.fork()
if not child:
    while time.process_time() < 0.5: pass
    meter.snapshot()
    meter.close()
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
unreaped = before.until(meter.snapshot()).cpu_seconds
os.waitpid(child, 0)
reaped = before.until(meter.snapshot()).cpu_seconds
print(unreaped < 0.4, reaped > 0.4)
"""


@linux
def test_a_fork_of_the_parent_disturbs_nothing_and_counts_when_it_is_reaped() -> None:
    assert python(FORKED) == "True True"


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


@linux
@pytest.mark.parametrize(
    ("text", "kept"),
    [("0 0 0\n", False), ("", False), ("garbage", False), (None, False), ("0 47951 1\n", True)],
)
def test_a_kernel_without_delays_is_recognised(tmp_path: Path, text: str | None, kept: bool) -> None:
    schedstat = tmp_path / "schedstat"
    if text is not None:
        schedstat.write_text(text)
    assert counters._delays_are_kept(schedstat) is kept


@linux
def test_without_delays_the_rest_is_still_there(worker: Worker) -> None:
    found = ProcSource(with_delays=False).read([worker.pid])
    assert found.delays is None
    assert found.cpu[worker.pid] > 0
    assert found.voluntary


@linux
def test_an_unreadable_file_makes_the_delay_unknown(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(counters._Tasks, "read", refuse)
    found = ProcSource().read([worker.pid])
    assert found.delays is None
    assert found.cpu[worker.pid] > 0


def test_without_cpu_clocks_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "clock_gettime", raising=False)
    assert isinstance(source(), PsutilSource)


def test_a_run_that_measures_nothing_loads_nothing() -> None:
    loaded = "import sys, pytest_parallelism.resources; print({'psutil', 'threadpoolctl'} & set(sys.modules))"
    assert python(loaded) == "set()"


@pytest.mark.usefixtures("any_source")
def test_the_workers_may_be_others_each_time(start_worker: Callable[[], Worker]) -> None:
    first, second = start_worker(), start_worker()
    now = [first.pid]
    with Meter(lambda: now) as everything:
        before = everything.snapshot()
        second.run("burn(0.1)")
        first.end()
        now[:] = [second.pid, first.pid]
        between = everything.snapshot()
        assert before.until(between).cpu_seconds > 0.08
        now[:] = []
        assert between.until(everything.snapshot()).cpu_seconds < 0.08


@linux
def test_a_worker_that_ends_while_it_is_read_raises_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = counters._cpu_times

    def ends(pid: int) -> tuple[float, float, float]:
        found = clocks(pid)
        worker.end()
        return found

    with Meter(lambda: [worker.pid]) as everything:
        everything.snapshot()
        monkeypatch.setattr(counters, "_cpu_times", ends)
        found = everything.snapshot().workers
    assert worker.pid in found.cpu
    assert not found.voluntary
    assert found.io is not None
    assert worker.pid not in found.io["rchar"]


def test_a_worker_that_ends_while_psutil_reads_it_raises_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(process: psutil.Process) -> None:
        worker.end()
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(psutil.Process, "num_ctx_switches", ends)
    assert not PsutilSource().read([worker.pid]).cpu
