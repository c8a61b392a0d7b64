"""Faults of a whole program: each runs in a Python of its own."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..envelope import pack
from ..errors import PoolError
from ..strategy import Isolation, Strategy, StrategyOptions
from . import _harm as harm
from ._matrix import HUNG_SECONDS, Outcome
from ._tasks import as_task, counted
from ._traces import end_session, foreign, in_session, lasting, memory_entries

__all__ = ["ALONE", "full_memory_wrapper", "large_items"]

_POLL_SECONDS = 0.01
_LARGE = 1 << 20
_CALL = (
    "import pickle, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "pickle.load(open(sys.argv[1], 'rb'))()"
)
"""Shells let programs in the background ignore SIGINT, and what these start too."""
_FULL = "mount -t tmpfs -o size=4k full /dev/shm && head -c 4096 /dev/zero > /dev/shm/full"
_NO_GROWTH = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (16, 16)); "
"""No file may grow beyond 16 bytes, those in shared memory included; a semaphore takes 32 (sem_open(3))."""


def interrupted(strategy: Strategy, options: StrategyOptions, folder: Path, grace: float) -> Outcome:
    """Ctrl-C during a map: what a terminal sends to the whole process group."""
    started = folder / "started"
    before = memory_entries()
    program = _program(partial(_map_for_ever, strategy, options, str(started)), folder)
    left = partial(_left, program.pid, folder / "temporary", before)

    def interrupt() -> str:
        begin = time.monotonic()
        os.killpg(program.pid, signal.SIGINT)
        errors = program.communicate(timeout=HUNG_SECONDS)[1]
        times.append(time.monotonic() - begin)
        # With 1 Python ends where it runs code in a string after that, as what Ray does at exit makes it do.
        codes = (-signal.SIGINT, 1) if strategy.isolation is Isolation.REMOTE else (-signal.SIGINT,)
        if program.returncode in codes and errors.rstrip().endswith("KeyboardInterrupt"):
            return "KeyboardInterrupt"
        return _told(program.returncode, errors)

    times: list[float] = []
    try:
        if not _wait(lambda: started.exists() or program.poll() is not None):
            return Outcome("hangs", HUNG_SECONDS, ("hangs before its first task",))
        if program.poll() is not None:
            told = _told(program.returncode, program.communicate()[1])
            return Outcome(told, 0.0, (f"before its first task {told}",))
        said = interrupt()
        wrong = [] if said == "KeyboardInterrupt" else [said]
        wrong += [f"left behind: {name}" for name in sorted(lasting(left, grace))]
        return Outcome(said, times[0], tuple(wrong))
    except subprocess.TimeoutExpired:
        return Outcome("hangs", HUNG_SECONDS, ("hangs after Ctrl-C",))
    finally:
        end_session(program.pid)
        program.communicate()


def full_shared_memory(strategy: Strategy, options: StrategyOptions, folder: Path, _grace: float) -> Outcome:
    """Opening, mapping and closing without a free byte in /dev/shm: it works, or says what is wrong."""
    call = partial(_map_large, strategy, options)
    wrapper = full_memory_wrapper()
    begin = time.monotonic()
    program = _program(call, folder, wrapper, "" if wrapper else _NO_GROWTH)
    try:
        answer, errors = program.communicate(timeout=HUNG_SECONDS)
    except subprocess.TimeoutExpired:
        return Outcome("hangs", HUNG_SECONDS, ("hangs",))
    finally:
        end_session(program.pid)
        program.communicate()
    seconds = time.monotonic() - begin
    if program.returncode:
        told = _told(program.returncode, errors)
        return Outcome(told, seconds, (told,))
    said, _, message = answer.strip().partition(": ")
    wrong = (answer,) if said == "wrong results" or not (said == "works" or message) else ()
    return Outcome(said, seconds, wrong)


def _map_for_ever(strategy: Strategy, options: StrategyOptions, started: str) -> None:
    task: Callable[[Any], Any] = partial(harm.sleep_noted, started)
    if strategy.native_async:
        task = partial(harm.sleep_noted_on_a_loop, started)
    with strategy.open(counted(strategy, 2), options) as pool:
        pool.map(task, range(4), chunk_size=1)


def _map_large(strategy: Strategy, options: StrategyOptions) -> None:
    items = large_items()
    try:
        with strategy.open(counted(strategy, 2), options) as pool:
            sizes = pool.map(as_task(strategy, len), items, chunk_size=1)
    except (PoolError, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}")  # noqa: T201  # the answer to the parent
    else:
        right = sizes == list(map(len, items))
        print("works" if right else f"wrong results: {sizes}")  # noqa: T201  # the same


def large_items() -> list[Any]:
    """Bytes and arrays: what travels through shared memory where anything does."""
    numpy: Any = importlib.import_module("numpy")
    return [b"x" * _LARGE, numpy.ones(_LARGE), numpy.ones(_LARGE), b"y"]


def _program(
    call: Callable[[], object],
    folder: Path,
    wrapper: Sequence[str] = (),
    prelude: str = "",
) -> subprocess.Popen[str]:
    """A Python in a session of its own, with its own folder for temporary files, that calls this."""
    (folder / "temporary").mkdir()
    path = folder / "call"
    path.write_bytes(pack(call))
    return subprocess.Popen(  # noqa: S603  # Python itself
        [*wrapper, sys.executable, "-c", prelude + _CALL, str(path)],
        env={
            **os.environ,
            "TMPDIR": str(folder / "temporary"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@functools.cache
def full_memory_wrapper() -> tuple[str, ...]:
    """A command before a command that gives it a full /dev/shm; empty where this user may not."""
    wrapper = ("unshare", "-Urm", "sh", "-c", f'{_FULL} && exec "$@"', "sh")
    try:
        subprocess.run([*wrapper, "true"], check=True, capture_output=True)  # noqa: S603  # nothing foreign in it
    except (OSError, subprocess.CalledProcessError):
        return ()
    return wrapper


def _told(code: int, errors: str) -> str:
    last = errors.rstrip().rpartition("\n")[2]
    ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"ended by {ended}: {last}" if last else f"ended by {ended}"


def _left(leader: int, temporary: Path, before: set[str]) -> set[str]:
    found = {f"process {pid}" for pid in in_session(leader)}
    found |= {f"file {path.name}" for path in temporary.iterdir()}
    return found | {f"memory {name}" for name in memory_entries() - before if not foreign(name)}


def _wait(condition: Callable[[], object]) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + HUNG_SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


ALONE: Mapping[str, Callable[[Strategy, StrategyOptions, Path, float], Outcome]] = {
    "Ctrl-C": interrupted,
    "full shared memory": full_shared_memory,
}
"""By the name of the fault; the last argument is how many seconds what was killed may take to be gone."""
