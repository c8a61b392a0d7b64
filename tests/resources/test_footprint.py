"""Memory of the parent and its workers, shared pages counted once."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_parallelism.resources import descendants, helpers, memory, reset_peak, thread_count

if TYPE_CHECKING:
    from tests.resources.conftest import Worker

MB = 1 << 20
# Not from an allocator: that of a Python without a GIL keeps what was freed for a while.
TAKES_AND_GIVES_BACK = (
    "import mmap; block = mmap.mmap(-1, 64 << 20);"
    " [block.write(bytes(1 << 20)) for _ in range(64)]; block.close()"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="peaks and shared pages come from /proc")


def peak(pids: tuple[int, ...] = ()) -> int:
    found = memory(pids).peak_bytes
    assert found is not None
    return found


@linux
def test_the_peak_remembers_what_was_freed_until_it_is_reset() -> None:
    reset_peak()
    before = peak()
    with mmap.mmap(-1, 64 * MB) as block:  # the heap may have as much that is free and resident
        for _ in range(64):
            block.write(bytes(MB))
    assert peak() - before > 60 * MB
    reset_peak()
    assert peak() - before < 30 * MB


@linux
def test_a_workers_peak_counts_and_is_reset(worker: Worker) -> None:
    before = peak((worker.pid,))
    worker.run(TAKES_AND_GIVES_BACK)
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


def test_a_workers_proportional_share_is_no_less_than_what_is_its_own(worker: Worker) -> None:
    found = memory([worker.pid])
    assert found.per_worker_bytes
    assert found.per_worker_pss_bytes
    assert found.per_worker_pss_bytes >= found.per_worker_bytes


@linux
def test_a_workers_own_memory_is_that_of_its_peak(worker: Worker) -> None:
    worker.run(TAKES_AND_GIVES_BACK)
    found = memory([worker.pid])
    assert found.per_worker_bytes
    assert found.per_worker_pss_bytes
    assert min(found.per_worker_bytes, found.per_worker_pss_bytes) > 64 * MB
    reset_peak([worker.pid])
    assert (memory([worker.pid]).per_worker_bytes or 0) < 32 * MB


HELPERS = """
import subprocess, sys
from multiprocessing import resource_tracker
from pytest_parallelism.resources import descendants, helpers
def start():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
resource_tracker.ensure_running()
tracker = resource_tracker._resource_tracker._pid
the_users = start()
before = descendants()
worker, manager = start(), start()
found = set(helpers([worker.pid], before))
print(found == {tracker, manager.pid}, helpers([], before))
for child in (the_users, worker, manager):
    child.communicate(b"\\n")
"""


def test_helpers_are_what_came_with_the_pool_and_pythons_trackers() -> None:
    run = subprocess.run([sys.executable, "-c", HELPERS], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.strip() == "True []"


FORK_SERVER = """
import multiprocessing, os
from pytest_parallelism.resources import descendants, helpers
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    def start():
        ours, theirs = context.Pipe()
        child = context.Process(target=theirs.__class__.recv, args=(theirs,))
        child.start()
        return child, ours
    earlier, to_earlier = start()
    before = descendants()
    worker, to_worker = start()
    from multiprocessing.forkserver import _forkserver
    found = helpers([worker.pid], before)
    print(_forkserver._forkserver_pid in found, earlier.pid in found)
    for child, pipe in ((earlier, to_earlier), (worker, to_worker)):
        pipe.send(None)
        child.join()
"""


@linux
def test_the_fork_server_of_the_workers_is_a_helper_and_its_other_children_are_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(FORK_SERVER)
    run = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.strip() == "True False"


def test_helpers_stand_on_their_own(start_worker: Callable[[], Worker]) -> None:
    worker, helper = start_worker(), start_worker()
    helper.run("block = bytearray(b'x') * (64 << 20)")
    found = memory([worker.pid], [helper.pid])
    assert found.helpers_bytes
    assert found.peak_bytes
    assert found.helpers_bytes > 60 * MB
    assert found.peak_bytes - peak((worker.pid,)) < 30 * MB
    helper.end()
    assert memory([worker.pid], [helper.pid]).helpers_bytes == 0


def test_a_process_that_ends_while_psutil_looks_raises_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = descendants()
    assert worker.pid in {process.pid for process in found}
    worker.end()
    monkeypatch.setattr("pytest_parallelism.resources.footprint.descendants", lambda: found)
    ended = set(helpers([worker.pid + 1], found))
    assert worker.pid not in ended
    monkeypatch.setattr("psutil.Process.children", refuse)
    assert descendants() == set()


def refuse(*_args: object, **_options: object) -> None:
    raise psutil.NoSuchProcess(1)


@linux
def test_a_worker_that_ended_and_was_not_reaped_has_no_memory() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert memory([ended.pid]).per_worker_bytes is None
    ended.wait()
