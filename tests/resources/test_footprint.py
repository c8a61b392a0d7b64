"""Memory of the parent and its workers, shared pages counted once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_parallelism.resources import memory, reset_peak, thread_count

if TYPE_CHECKING:
    from tests.resources.conftest import Worker

MB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="peaks and shared pages come from /proc")


def peak(pids: tuple[int, ...] = ()) -> int:
    found = memory(pids).peak_bytes
    assert found is not None
    return found


@linux
def test_the_peak_remembers_what_was_freed_until_it_is_reset() -> None:
    reset_peak()
    before = peak()
    block = bytearray(b"x") * (64 * MB)
    del block
    assert peak() - before > 60 * MB
    reset_peak()
    assert peak() - before < 30 * MB


@linux
def test_a_workers_peak_counts_and_is_reset(worker: Worker) -> None:
    before = peak((worker.pid,))
    worker.run("block = bytearray(b'x') * (64 << 20); del block")
    assert peak((worker.pid,)) - before > 60 * MB
    reset_peak([worker.pid])
    assert peak((worker.pid,)) - before < 30 * MB


SHARED = """
import os, signal
from pytest_parallelism.resources import memory
block = bytearray(b"x") * (64 << 20)
alone = memory().peak_bytes
children = []
for _ in range(3):
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        os.write(told, b"x")
        signal.pause()
    os.read(ready, 1)
    children.append(child)
together = memory(children)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(together.peak_bytes - alone, together.per_worker_bytes)
"""


@linux
def test_pages_that_fork_left_shared_count_once() -> None:
    run = subprocess.run([sys.executable, "-c", SHARED], stdout=subprocess.PIPE, text=True, check=True)
    more, unique = map(int, run.stdout.split())
    assert more < 48 * MB
    assert 0 < unique < 16 * MB


def test_a_workers_own_memory_is_its_own(worker: Worker) -> None:
    before = memory([worker.pid]).per_worker_bytes
    worker.run("block = bytearray(b'x') * (32 << 20)")
    after = memory([worker.pid]).per_worker_bytes
    assert before
    assert after
    assert after - before > 30 * MB


def test_without_workers_there_is_no_memory_per_worker(worker: Worker) -> None:
    worker.end()
    assert memory().per_worker_bytes is None
    assert memory([worker.pid]).per_worker_bytes is None


def test_where_proc_does_not_tell_psutil_is_asked(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_parallelism.resources.footprint._from_proc", lambda _pid: None)
    found = memory([worker.pid])
    assert found.per_worker_bytes
    assert peak((worker.pid,)) > found.per_worker_bytes
    worker.end()
    assert memory([worker.pid]).per_worker_bytes is None


def test_resetting_a_process_that_is_gone_is_fine(worker: Worker) -> None:
    worker.end()
    reset_peak([worker.pid])


OWN_THREADS = """
import threading
from pytest_parallelism.resources import thread_count
alone = thread_count()
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(alone, thread_count(), thread_count([]))
"""


def test_threads_of_the_parent_count_where_there_are_no_workers() -> None:
    run = subprocess.run([sys.executable, "-c", OWN_THREADS], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.split() == ["1", "2", "2"]


def test_threads_of_workers_count_without_the_parents(worker: Worker) -> None:
    assert thread_count([worker.pid]) == 1
    worker.run("threading.Thread(target=threading.Event().wait, daemon=True).start()")
    assert thread_count([worker.pid]) == 2
    worker.end()
    assert thread_count([worker.pid]) == 0
