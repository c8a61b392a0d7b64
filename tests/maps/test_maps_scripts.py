"""`parallel_map` in real scripts: what a fresh interpreter, another thread and Ctrl-C do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pytest_parallelism

PATIENCE = 60.0  # against hanging only
SENTENCE = 'put the calls of the script under `if __name__ == "__main__":`'
METHODS = ("spawn", "forkserver")

each_method = pytest.mark.parametrize("method", METHODS)

START = """
import multiprocessing, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_parallelism import parallel_map, threaded_map

with open("imported", "a") as file:
    print(os.getpid(), file=file)
multiprocessing.set_start_method(sys.argv[1], force=True)


class Point:
    def __init__(self, x):
        self.x = x


def point(x):
    return Point(x * x)


def work():
    points = parallel_map(point, range(25), 2)
    assert all(type(point) is Point for point in points)
    print(sum(point.x for point in points))
"""

NO_GUARD = START + "work()\n"
IN_A_THREAD = START + "with ThreadPoolExecutor(1) as executor:\n    executor.submit(work).result()\n"
GUARDED_THREAD = START + (
    'if __name__ == "__main__":\n    with ThreadPoolExecutor(1) as executor:\n'
    "        executor.submit(work).result()\n"
)
JOINED_THREAD = START + "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
# In a worker the thread calls when the script has long been imported.
LATE_THREAD = START + (
    "thread = threading.Timer(0.2, work)\nthread.start()\n"
    "if multiprocessing.parent_process() is None:\n    thread.join()\n"
)
OWN_PROCESS = START + (
    'if __name__ == "__main__":\n    child = multiprocessing.Process(target=work)\n'
    "    child.start()\n    child.join()\n    sys.exit(child.exitcode)\n"
)
OWN_PROCESS_NO_GUARD = START + "work()\nchild = multiprocessing.Process(target=work)\nchild.start()\n"


def environment() -> dict[str, str]:
    paths = [str(Path(pytest_parallelism.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_script(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def imports(folder: Path) -> int:
    return len((folder / "imported").read_text().splitlines())


@each_method
def test_a_script_without_a_guard_works(tmp_path: Path, method: str) -> None:
    done = run_script(tmp_path, NO_GUARD, method)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4900\n", "")
    assert imports(tmp_path) == 1


@each_method
def test_a_guarded_script_works_from_a_thread(tmp_path: Path, method: str) -> None:
    done = run_script(tmp_path, GUARDED_THREAD, method)
    assert (done.returncode, done.stdout) == (0, "4900\n"), done.stderr


@each_method
def test_a_guarded_script_works_in_a_process_of_its_own(tmp_path: Path, method: str) -> None:
    done = run_script(tmp_path, OWN_PROCESS, method)
    assert (done.returncode, done.stdout) == (0, "4900\n"), done.stderr


@each_method
def test_without_a_guard_a_call_from_a_thread_ends_in_a_sentence_about_it(
    tmp_path: Path, method: str
) -> None:
    done = run_script(tmp_path, IN_A_THREAD, method)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pytest_parallelism.errors.UsageError: the worker processes did not start")
    assert SENTENCE in last
    assert (done.returncode, done.stdout) == (1, "")
    # The script, two workers, and from Python 3.15 on a fork server; not their workers too.
    assert imports(tmp_path) <= 4


@each_method
@pytest.mark.parametrize("text", [JOINED_THREAD, LATE_THREAD], ids=["joined", "late"])
def test_a_thread_that_hides_the_refusal_starts_no_processes_without_end(
    tmp_path: Path, method: str, text: str
) -> None:
    done = run_script(tmp_path, text, method)
    assert SENTENCE in done.stderr or done.stdout == "4900\n"  # a late thread may find its worker gone
    assert imports(tmp_path) <= 4


@each_method
def test_a_joined_thread_gets_the_sentence_in_the_parent(tmp_path: Path, method: str) -> None:
    done = run_script(tmp_path, JOINED_THREAD, method)
    assert done.stdout == ""
    assert SENTENCE in done.stderr.splitlines()[-1]


def test_a_process_that_imports_the_script_is_told_about_the_guard(tmp_path: Path) -> None:
    done = run_script(tmp_path, OWN_PROCESS_NO_GUARD, "spawn")
    assert done.stdout == "4900\n"
    assert SENTENCE in done.stderr
    assert imports(tmp_path) == 2


WAITING = """
import os, sys, time
from pathlib import Path
from pytest_parallelism import parallel_map, threaded_map


def wait(item):
    Path(f"{item}-{os.getpid()}").touch()
    end = time.monotonic() + (60 if sys.argv[1] == "parallel_map" else 0.5)
    while time.monotonic() < end:
        time.sleep(0.01)


try:
    globals()[sys.argv[1]](wait, range(100), 2, async_mode=True, handle_errors=True, show_progress=True)
except KeyboardInterrupt:
    Path("interrupted").touch()
    raise
"""


@pytest.mark.parametrize("name", ["parallel_map", "threaded_map"])
def test_ctrl_c_passes_and_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    (tmp_path / "script.py").write_text(WAITING)
    script = subprocess.Popen(
        [sys.executable, "script.py", name],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE
    while len(begun(tmp_path)) < 2 and script.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(script.pid, signal.SIGINT)
    _, said = script.communicate(timeout=PATIENCE)
    assert (tmp_path / "interrupted").exists(), said
    assert script.returncode == -signal.SIGINT
    assert len(begun(tmp_path)) < 10
    assert [pid for pid in begun(tmp_path).values() if alive(pid)] == []


def begun(folder: Path) -> dict[str, int]:
    """Items that have begun, and the process of each."""
    return {item: int(pid) for item, _, pid in (path.name.partition("-") for path in folder.glob("*-*"))}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
