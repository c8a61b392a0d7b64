"""What the tasks of the fault matrix do."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "AGES",
    "UnloadableResult",
    "UnpicklableError",
    "UnrebuildableError",
    "at_two",
    "block",
    "block_briefly",
    "die_beside_a_child",
    "eat_memory",
    "end_process",
    "fork",
    "hold_the_gil",
    "interrupt",
    "leave_interpreter",
    "open_pool",
    "own_pid",
    "raise_own",
    "raise_unpicklable",
    "raise_unrebuildable",
    "sleep_noted",
    "sleep_noted_on_a_loop",
    "spin",
    "spin_on_a_loop",
    "start_process",
    "start_thread",
    "unpicklable_result",
    "wait_in_c",
]

AGES = 10.0**6
"""Seconds that no test lives to see."""
_ROOM_BYTES = 64 << 20
_SLICE_SECONDS = 0.25


def at_two(act: Callable[[], Any], item: int) -> Any:
    """Acts for item 2 only."""
    return act() if item == 2 else item


class UnpicklableError(Exception):
    """Cannot be sent: it keeps a lock."""

    def __init__(self) -> None:
        super().__init__("keeps a lock")
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        """Fails, as pickling a lock does."""
        raise TypeError("cannot pickle a lock")


def _refuse(home: int) -> Any:
    if os.getpid() != home:
        raise ValueError("cannot be rebuilt outside of its process")
    return UnrebuildableError()


class UnrebuildableError(Exception):
    """Can be rebuilt in the process that made it, and in no other."""

    def __init__(self) -> None:
        super().__init__("stays at home")

    def __reduce__(self) -> Any:
        """A function that refuses elsewhere."""
        return _refuse, (os.getpid(),)


class UnloadableResult:
    """A result that only its own process can load."""

    def __reduce__(self) -> Any:
        """A function that refuses elsewhere."""
        return _refuse, (os.getpid(),)


def raise_own() -> None:
    """An exception of the task's own."""
    raise LookupError("item 2 is wrong")


def raise_unpicklable() -> None:
    """An exception that cannot be sent."""
    raise UnpicklableError


def raise_unrebuildable() -> None:
    """An exception that the parent cannot load."""
    raise UnrebuildableError


def unpicklable_result() -> Any:
    """A lock."""
    return threading.Lock()


def leave_interpreter() -> None:
    """``sys.exit``."""
    sys.exit(3)


def interrupt() -> None:
    """A KeyboardInterrupt that is not the user's."""
    raise KeyboardInterrupt


def note(folder: str, pid: int) -> None:
    """Says which process to look for."""
    Path(folder, str(pid)).touch()


def end_process(folder: str, by_signal: bool) -> None:
    """SIGKILL, or ``os._exit(3)``."""
    Path(folder, f"lost-{os.getpid()}").touch()
    if by_signal:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def spin(released: Sequence[bool]) -> None:
    """A loop in Python; in this process it ends when ``released`` is no more empty."""
    while not released:
        pass


async def spin_on_a_loop(item: int) -> int:
    """The same, as a coroutine that lets others run."""
    while item == 2:
        await asyncio.sleep(0)
    return item


def wait_in_c() -> None:
    """Reads from a pipe that nobody writes to."""
    os.read(os.pipe()[0], 1)


def block(gate: threading.Lock) -> None:
    """Waits for a lock, in C."""
    gate.acquire()
    gate.release()


def block_briefly() -> None:
    """Waits in C, and then in Python, where it can be ended; nobody could release it from outside."""
    time.sleep(1.5)
    spin(())


def hold_the_gil() -> None:
    """A regular expression that takes about 2**60 steps, in C and without a pause for other threads."""
    re.match(r"(a*)*b", "a" * 60)


def own_pid(_item: int) -> int:
    """Which process runs it."""
    return os.getpid()


def fork(folder: str) -> str:
    """A child that sleeps, and keeps open what its parent had open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of the other threads
        pid = os.fork()
    if pid == 0:
        time.sleep(AGES)
        os._exit(0)
    note(folder, pid)
    return "forked"


def die_beside_a_child(folder: str) -> None:
    """Forks, and then dies: the child keeps the pipes of the dead worker open."""
    fork(folder)
    end_process(folder, False)


def start_process(folder: str) -> str:
    """Another program, not waited for."""
    code = f"import time; time.sleep({AGES})"
    program = subprocess.Popen([sys.executable, "-S", "-c", code])  # noqa: S603  # Python itself
    note(folder, program.pid)
    program.returncode = 0  # or Python would complain that nobody waits for it
    return "started"


def open_pool(processes: bool) -> int:
    """A pool within the pool: of processes in a process, of threads in a thread."""
    import multiprocessing
    from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

    fork_context = functools.partial(multiprocessing.get_context, "fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as in `fork`
        pool: Executor = (
            ProcessPoolExecutor(1, mp_context=fork_context()) if processes else ThreadPoolExecutor(1)
        )
        with pool:
            return pool.submit(abs, -7).result()


def start_thread(released: Sequence[bool]) -> str:
    """A thread that is no daemon, and that outlives its task."""
    threading.Thread(target=_linger, args=(released,), name="of-a-task").start()
    return "started"


def _linger(released: Sequence[bool]) -> None:
    while not released:
        time.sleep(0.005)


def eat_memory() -> None:
    """Takes memory until there is none; the limit stays, 64 MiB above what the worker has now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    eaten = []
    while True:
        eaten.append(bytearray(1 << 20))


def sleep_noted(started: str, _item: int) -> None:
    """Says that it runs, and sleeps.

    In slices: where it runs in the main thread, Ctrl-C may come just before a sleep, and is seen after it.
    """
    Path(started).touch()
    while True:
        time.sleep(_SLICE_SECONDS)


async def sleep_noted_on_a_loop(started: str, _item: int) -> None:
    """The same, as a coroutine."""
    Path(started).touch()
    while True:
        await asyncio.sleep(_SLICE_SECONDS)
