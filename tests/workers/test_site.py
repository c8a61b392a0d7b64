"""What a cluster consists of on this machine, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_parallelism.workers import _guard
from pytest_parallelism.workers.site import MARK, Site

# The child of the second has neither the mark nor a living parent of it; of the third, a session of its own.
KINDS = {
    "a child": "sleep 100 & echo $! >> pids; wait",
    "without its environment": "env -i /bin/sleep 100 & echo $! >> pids; wait",
    "a daemon": "setsid sleep 100 & echo $! >> pids",
}


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def started(site: Site, kind: str, folder: Path) -> list[int]:
    """Processes of a site: a shell, and what it starts."""
    with site.starting():
        shell = subprocess.Popen(["sh", "-c", KINDS[kind]], cwd=folder, start_new_session=True)
    pids = folder / "pids"
    until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    shell.returncode = 0  # the site reaps it
    return [int(pids.read_text())]


@pytest.mark.parametrize("kind", KINDS)
def test_its_end_ends_all_that_it_started(site: Site, kind: str, tmp_path: Path) -> None:
    (site.folder / "file").touch()
    pids = started(site, kind, tmp_path)
    assert set(pids) <= set(site.pids())
    site.end()
    assert not any(map(runs, pids))
    assert site.pids() == []
    assert not site.folder.exists()


def test_a_process_is_seen_while_it_becomes_another_program(site: Site, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.write_text('[ "$1" = 0 ] || exec sh "$0" $(($1 - 1))\n')
    with site.starting():
        process = subprocess.Popen(["sh", again, "500"])
    looks = 0
    while process.poll() is None:
        assert site.pids() or process.poll() is not None
        looks += 1
    assert looks


def test_it_is_seen_though_it_becomes_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look finds it in the midst of the next, five times."""
    looks = 0

    def read(path: str) -> bytes:
        nonlocal looks
        name = Path(path).name
        looks += name == "environ"
        if name == "environ":
            return b"A=1\0" if looks > 5 else b""
        return b"sh\0" if name == "cmdline" else b"1 (sh) S" + b" 0" * 41 + b" 9" * 5 + b" 4000 4004"

    monkeypatch.setattr(_guard, "_read", read)
    assert _guard._environment("1", patient=True) == b"A=1\0"


def test_other_sites_and_processes_stay(site: Site, tmp_path: Path) -> None:
    other = Site()
    (pid,) = started(other, "a child", tmp_path)
    assert pid not in site.pids()
    site.end()
    assert runs(pid)
    other.end()
    assert not runs(pid)


def test_a_cluster_in_a_task_of_another_ends_with_that_one(site: Site, tmp_path: Path) -> None:
    with site.starting():
        inner = Site()
        (pid,) = started(inner, "a daemon", tmp_path)
    assert pid in site.pids()
    site.end()
    assert not runs(pid)
    inner.end()


def test_the_environment_is_ours_again_afterwards(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "before")
    with site.starting(SOMETHING="else", MORE="1"):
        assert site.mark in os.environ[MARK]
        assert os.environ["SOMETHING"] == "else"
    assert os.environ["SOMETHING"] == "before"
    assert MARK not in os.environ
    assert "MORE" not in os.environ


KILLED = """
import subprocess, sys, time
from pathlib import Path
from pytest_parallelism.workers.site import Site
site = Site()
with site.starting():
    child = subprocess.Popen(["sleep", "100"], start_new_session=True)
    if sys.argv[2] == "forked":
        import os
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
Path(sys.argv[1]).write_text(f"{child.pid} {site.folder}\\n")
time.sleep(100)
"""


@pytest.mark.parametrize("also", ["alone", "forked"])
def test_the_guard_ends_it_once_we_are_killed(tmp_path: Path, also: str) -> None:
    told = tmp_path / "told"
    program = subprocess.Popen([sys.executable, "-c", KILLED, str(told), also])
    until(lambda: told.exists() and told.read_text().endswith("\n"))
    pid, folder = told.read_text().split()
    assert runs(int(pid))
    program.send_signal(signal.SIGKILL)
    program.wait()
    until(lambda: not runs(int(pid)))
    until(lambda: not Path(folder).exists())


@pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")
def test_where_there_is_no_proc_the_same_processes_are_told(site: Site, tmp_path: Path) -> None:
    started(site, "a child", tmp_path)
    wanted = site.mark.encode()
    here, there = (
        {pid: parent for pid, parent, marks in told() if wanted in marks}
        for told in (_guard._listed, _guard._told)
    )
    assert here == there
    assert len(here) == 2
