"""A worker process: what it loads, what limits it, and how it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_parallelism import envelope
from pytest_parallelism.errors import WorkersMissing
from pytest_parallelism.strategies._methods import start_methods

HEAVY = ("asyncio", "cloudpickle", "inspect", "joblib", "logging", "numpy", "opcode", "psutil", "pytest")


def test_a_worker_imports_nothing_heavy(in_python: Callable[[str], str]) -> None:
    code = (
        "import sys, typing, warnings;"
        # With which typing calls Python's compiler.
        "typing.ForwardRef = type('ForwardRef', (), {'__init__': lambda *_, **__: sys.exit('compiled')});"
        "from pytest_parallelism.envelope import _frames, _meeting, _serve, _shipping, start_worker, run;"
        "from pytest_parallelism.envelope._settings import Inherited, WorkerSettings;"
        "start_worker(None, False, WorkerSettings(0, {}, (), Inherited()));"
        "run(b'cbuiltins\\nabs\\n.', [-1]);"
        f"sys.__stdout__.write(str([name for name in {HEAVY} if name in sys.modules]))"
    )
    assert in_python(code).strip() == "[]"


def test_all_that_the_envelope_offers_is_there() -> None:
    assert sorted(envelope.__all__) == dir(envelope)
    assert all(getattr(envelope, name) is not None for name in envelope.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = envelope.nothing


def test_what_it_offers_outlives_that_its_modules_are_forgotten(in_python: Callable[[str], str]) -> None:
    code = (
        "import pickle, sys; from pytest_parallelism import envelope; before = set(sys.modules);"
        "envelope.serve; [sys.modules.pop(name) for name in sys.modules.keys() - before];"  # as pytester does
        "print(pickle.loads(pickle.dumps(envelope.serve)) is envelope.serve)"
    )
    assert in_python(code).strip() == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread waits, which needs the GIL")
@pytest.mark.parametrize("method", start_methods())
@pytest.mark.parametrize("tied", [False, True])
def test_a_worker_ends_with_its_parent_even_while_a_task_keeps_the_gil(method: str, tied: bool) -> None:
    if tied and method == "forkserver":
        pytest.skip("the server starts it, which outlives us")
    code = (
        "import multiprocessing, sys, time\n"
        "from pytest_parallelism.envelope import start_worker\n"
        "if __name__ == '__main__':\n"
        f"    pool = multiprocessing.get_context({method!r}).Pool(1, start_worker, (None, {tied}))\n"
        "    print(pool.apply(eval, (\"__import__('os').getpid()\",)), flush=True)\n"
        "    pool.apply_async(eval, ('sum(range(10**15))',))\n"
        "    sys.stdin.read()\n"
    )
    root = Path(envelope.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        while worker.cpu_times().user < 0.1:  # raises once it is gone
            time.sleep(0.01)
        parent.kill()
    limit = time.monotonic() + 30
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_native_threads_are_limited_unless_the_user_said_otherwise(in_python: Callable[[str], str]) -> None:
    code = (
        "import os; os.environ['MKL_NUM_THREADS'] = '7'; import numpy;"
        "from pytest_parallelism.envelope import start_worker, run, pack, enclose, unpack;"
        "from threadpoolctl import threadpool_info;"
        "start_worker(1); unpack(run(pack(abs), enclose([1])));"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS'],"
        "      {lib['num_threads'] for lib in threadpool_info()})"
    )
    printed = in_python(code)
    variables, libraries = printed.split()[:2], printed.split(maxsplit=2)[2].strip()
    assert variables == ["1", "7"]
    # threadpoolctl before 3.5 does not know the BLAS of new numpy wheels, and sees none.
    assert libraries in ("{1}", "set()")


def test_workers_that_run_in_the_parent_are_found_out() -> None:
    with pytest.raises(WorkersMissing, match="ran in the parent"):
        envelope.rendezvous(lambda fn, tickets: [fn(t) for t in tickets], 1, timeout=1)


def test_workers_that_do_not_run_at_once_are_counted() -> None:
    def one_after_another(fn: Callable[[int], Any], tickets: Any) -> list[Any]:
        found: list[Any] = []
        for ticket in tickets:
            thread = threading.Thread(target=lambda ticket=ticket: found.append(fn(ticket)))
            thread.start()
            thread.join()
        return found

    with pytest.raises(WorkersMissing, match=r"only \d of 2 threads ran at once within 0.01 s"):
        envelope.rendezvous(one_after_another, 2, timeout=0.01, noun="threads", processes=False)
