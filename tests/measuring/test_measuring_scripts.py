"""`measure` in real scripts and notebooks: start methods, event loops, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pytest_parallelism

PATIENCE = 120.0  # against hanging only
METHODS = ("spawn", "forkserver")


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as a script, or without arguments as a notebook's kernel does: its __main__ has no file."""
    (folder / "script.py").write_text(text)
    paths = [str(Path(pytest_parallelism.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *(["script.py", *arguments] if arguments else ["-"])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        input=None if arguments else text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ThreadPoolExecutor
from pytest_parallelism import measure

with open("imported", "a") as file:
    print("once", file=file)
multiprocessing.set_start_method(sys.argv[1], force=True)


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x


def point(x):
    return Point(x * x)


def work():
    strategies = ["threads", "processes", "process-pool-executor-spawn"]
    found = measure(point, range(6), strategies=strategies, workers=2, rounds=2)
    print(*(entry.status for entry in found.points))
"""
IN_A_THREAD = "with ThreadPoolExecutor(1) as executor:\n    executor.submit(work).result()\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_script_without_a_guard_works_and_imports_no_pytest(tmp_path: Path, method: str) -> None:
    done = run(tmp_path, SCRIPT + 'work()\nprint("pytest" in sys.modules)\n', method)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "measured measured measured\nFalse\n"
    assert (tmp_path / "imported").read_text() == "once\n"


def test_without_a_guard_a_process_that_imports_the_script_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, SCRIPT + IN_A_THREAD, "spawn")
    assert 'put the calls of the script under `if __name__ == "__main__":`' in done.stderr
    assert (done.returncode, done.stdout) == (0, "measured error error\n")


NOTEBOOK = """
import asyncio, os
from pytest_parallelism import measure

base = 3


def plus(x):
    return base + x


async def plus_later(x):
    await asyncio.sleep(0)
    return base + x


async def cell():
    strategies = ["threads", "processes-spawn", "joblib-loky", "asyncio"]
    loop = asyncio.get_running_loop()
    for fn in (plus, plus_later):
        found = measure(fn, range(4), strategies=strategies, workers=2, rounds=2)
        print(*(entry.status for entry in found.points))
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)


asyncio.run(cell())
"""


def test_a_notebook_has_its_functions_in_main_and_runs_in_an_event_loop(tmp_path: Path) -> None:
    done = run(tmp_path, NOTEBOOK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "measured measured measured skipped\nmeasured measured measured measured\n"


def test_the_name_alone_loads_nothing_and_measuring_no_pytest(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys, pytest_parallelism\n"
        "print(sorted({'numpy', 'pytest', 'tqdm', 'psutil'} & sys.modules.keys()))\n"
        "pytest_parallelism.measure(abs, [1, 2], strategies='threads', workers=1, rounds=2)\n"
        "print(sorted({'pytest', '_pytest', 'tqdm', 'jinja2', 'matplotlib'} & sys.modules.keys()))\n",
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


WAITING = """
import os, sys, time
from pathlib import Path
from pytest_parallelism import measure

PARENT = os.getpid()


def wait(item):
    if os.getpid() != PARENT:
        Path(f"{item}-{os.getpid()}").touch()
        time.sleep(60)
    return item


try:
    measure(wait, range(4), strategies=["processes-fork", "threads"], workers=2, show_progress=True)
except KeyboardInterrupt:
    Path("interrupted").touch()
    raise
"""


def test_ctrl_c_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    (tmp_path / "script.py").write_text(WAITING)
    paths = [str(Path(pytest_parallelism.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    script = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
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
    assert [pid for pid in begun(tmp_path) if alive(pid)] == []


def begun(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("*-*")]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
