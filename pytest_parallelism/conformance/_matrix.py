"""The faults, and what each must end in, by the isolation of the strategy."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import NotTransferable, TaskExit, TaskFailed, TaskTimeout, WorkerLost
from ..strategy import Isolation, Pool, Strategy
from . import _harm as harm
from ._tasks import APART, OUTSIDE, as_task, double
from ._traces import runs

__all__ = ["FAULTS", "HUNG_SECONDS", "TIMEOUT", "Ends", "Fault", "Outcome", "Stage"]

TIMEOUT = 0.2
"""Seconds that a map with a hung task gets."""
HUNG_SECONDS = 20.0
"""After so long without an answer, something hangs; nothing else is judged by it."""
_DYING_SECONDS = 5.0

RUN_ENDS = "ends the test run: its tasks run in the test's own process"
RUN_HANGS = "hangs the test run: nothing can end such a call in the test's own process"
THREAD_STAYS = "the pool says so when it closes, and stays: an interpreter ends only with its threads"
TASK_STAYS = "ends with Python's warning of an interpreter that still runs, while its task waits in C"
OWN_LIMIT = "not run: the limit on memory would be the test run's own"


@dataclass
class Stage:
    """What the tasks of one opened pool share with the test."""

    folder: Path
    released: list[bool] = field(default_factory=list)
    gate: threading.Lock = field(default_factory=threading.Lock)
    messages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.acquire()

    def started(self) -> list[int]:
        """Processes that tasks started."""
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]

    def lost(self) -> list[int]:
        """Workers that tasks ended."""
        return [int(path.name.removeprefix("lost-")) for path in self.folder.glob("lost-*")]

    def end_own(self) -> None:
        """Ends what tasks left running in this process, or started as its children."""
        self.released.append(True)
        if self.gate.locked():
            self.gate.release()
        for pid in self.started():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


class Outcome(NamedTuple):
    """What came of a fault.

    ``said``: the class of the error, or ``works``. ``seconds``: from the start of the map, less its timeout,
    to the answer. ``wrong``: sentences on what was not as promised, ``left behind: …`` among them.
    ``closing``: seconds to close the pool.
    """

    said: str
    seconds: float
    wrong: tuple[str, ...] = ()
    closing: float = 0.0


class Ends(NamedTuple):
    """How a fault must end: an error and what its message says, or (None) a right result."""

    error: type[BaseException] | None
    says: str = ""
    names_worker: bool = False
    names_thread: bool = False
    shows: str = ""
    """What the error's traceback, with its causes, must show."""
    starves: bool = False
    """What runs there beside the task may fail too: then this map or the next ends in `WorkerLost`."""


Act = Callable[[Stage, Strategy], Callable[[], Any]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which a task, a worker or the machine goes wrong.

    ``outside``, ``thread``, ``inside``: how it must end where tasks run in other processes, in threads of
    this one, or in the caller; ``interpreter``: in other interpreters, by default as in threads; ``remote``:
    on workers of an engine, by default as outside. A sentence where no strategy can survive it.
    """

    name: str
    says: str
    outside: Ends
    thread: Ends | str
    inside: Ends | str
    interpreter: Ends | str | None = None
    remote: Ends | str | None = None
    act: Act | None = None
    timeout: float | None = None
    gentle: bool = False
    """The pool serves on."""
    drive: Callable[[Pool, Strategy, Stage], Any] | None = None

    def ends(self, strategy: Strategy) -> Ends | str:
        """How it must end there, or one sentence why it cannot be survived."""
        if strategy.isolation is Isolation.REMOTE and self.remote is not None:
            return self.remote
        if strategy.isolation in OUTSIDE:
            return self.outside
        if strategy.isolation is Isolation.NONE:
            if self.name == "hangs in Python" and strategy.native_async:
                return self.outside
            return self.inside
        if strategy.isolation is Isolation.INTERPRETER and self.interpreter is not None:
            return self.interpreter
        return self.thread

    def run(self, pool: Pool, strategy: Strategy, stage: Stage) -> Any:
        """The map in which it happens: item 2 of four."""
        if self.drive is not None:
            return self.drive(pool, strategy, stage)
        assert self.act is not None
        task = as_task(strategy, partial(harm.at_two, self.act(stage, strategy)))
        if self.timeout and strategy.native_async and strategy.isolation is Isolation.NONE:
            task = harm.spin_on_a_loop
        return pool.map(task, range(4), chunk_size=1, timeout=self.timeout)


def _plain(act: Callable[[], Any]) -> Act:
    return lambda _stage, _strategy: act


def _noting(act: Callable[..., Any], *more: Any) -> Act:
    return lambda stage, _strategy: partial(act, str(stage.folder), *more)


def _until_released(act: Callable[..., Any]) -> Act:
    def acting(stage: Stage, strategy: Strategy) -> Callable[[], Any]:
        # A list that goes to another process stays empty there.
        return partial(act, () if strategy.isolation in APART else stage.released)

    return acting


def _blocked(stage: Stage, strategy: Strategy) -> Callable[[], Any]:
    if strategy.isolation is Isolation.INTERPRETER:
        return harm.block_briefly
    return harm.wait_in_c if strategy.isolation in OUTSIDE else partial(harm.block, stage.gate)


def _nested(_stage: Stage, strategy: Strategy) -> Callable[[], Any]:
    return partial(harm.open_pool, strategy.isolation in OUTSIDE)


def _killed_between(pool: Pool, strategy: Strategy, stage: Stage) -> Any:
    pid = pool.map(as_task(strategy, harm.own_pid), range(4), chunk_size=1)[0]
    (stage.folder / f"lost-{pid}").touch()
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + _DYING_SECONDS
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.001)
    return pool.map(as_task(strategy, double), range(8), chunk_size=1)


def _all(**how: Any) -> dict[str, Any]:
    return {"outside": how["ends"], "thread": how["ends"], "inside": how["ends"]}


_RESULT = Ends(None)
_LOST = Ends(WorkerLost, "SIGKILL", names_worker=True)
_EXIT_3 = Ends(WorkerLost, "exit code 3", names_worker=True)
_LATE = Ends(TaskTimeout)
# An engine's workers are not our children: only the engine's own log may know how they ended.
_GONE = Ends(WorkerLost, names_worker=True)
_LOSSES: dict[str, Any] = {"remote": _GONE, "thread": RUN_ENDS, "inside": RUN_ENDS}

_GENTLE = (
    Fault(
        name="raises",
        says="a task raises an exception",
        **_all(ends=Ends(LookupError, "item 2 is wrong", shows="raise_own")),
        act=_plain(harm.raise_own),
        gentle=True,
    ),
    Fault(
        name="unpicklable exception",
        says="its exception cannot be pickled",
        outside=Ends(TaskFailed, "UnpicklableError"),
        thread=Ends(harm.UnpicklableError),
        interpreter=Ends(TaskFailed, "UnpicklableError"),
        inside=Ends(harm.UnpicklableError),
        act=_plain(harm.raise_unpicklable),
        gentle=True,
    ),
    Fault(
        name="unrebuildable exception",
        says="its exception cannot be rebuilt in the parent",
        outside=Ends(TaskFailed, "UnrebuildableError|cannot be loaded"),
        thread=Ends(harm.UnrebuildableError),
        inside=Ends(harm.UnrebuildableError),
        act=_plain(harm.raise_unrebuildable),
        gentle=True,
    ),
    Fault(
        name="unpicklable result",
        says="its result cannot be pickled",
        outside=Ends(NotTransferable, "result of item 2"),
        thread=_RESULT,
        interpreter=Ends(NotTransferable, "result of item 2"),
        inside=_RESULT,
        act=_plain(harm.unpicklable_result),
        gentle=True,
    ),
    Fault(
        name="unloadable result",
        says="its result cannot be loaded in the parent",
        outside=Ends(NotTransferable, "cannot be loaded"),
        thread=_RESULT,
        inside=_RESULT,
        act=_plain(harm.UnloadableResult),
        gentle=True,
    ),
    Fault(
        name="sys.exit",
        says="a task calls sys.exit",
        **_all(ends=Ends(TaskExit, "SystemExit")),
        act=_plain(harm.leave_interpreter),
        gentle=True,
    ),
    Fault(
        name="KeyboardInterrupt",
        says="a task raises KeyboardInterrupt",
        **_all(ends=Ends(TaskExit, "KeyboardInterrupt")),
        act=_plain(harm.interrupt),
        gentle=True,
    ),
    Fault(
        name="out of memory",
        says="a worker has no memory left (RLIMIT_AS)",
        outside=Ends(MemoryError),
        remote=Ends(MemoryError, starves=True),
        thread=OWN_LIMIT,
        inside=OWN_LIMIT,
        act=_plain(harm.eat_memory),
        gentle=True,
    ),
)

_LOSING = (
    Fault(
        name="killed in a map",
        says="SIGKILL of a worker during a map",
        outside=_LOST,
        **_LOSSES,
        act=_noting(harm.end_process, True),
    ),
    Fault(
        name="killed between maps",
        says="SIGKILL of a worker between two maps",
        outside=_LOST,
        **_LOSSES,
        drive=_killed_between,
    ),
    Fault(
        name="os._exit",
        says="a task calls os._exit(3)",
        outside=_EXIT_3,
        **_LOSSES,
        act=_noting(harm.end_process, False),
    ),
    Fault(
        name="dies beside a child",
        says="a task forks, and then calls os._exit(3)",
        outside=_EXIT_3,
        **_LOSSES,
        act=_noting(harm.die_beside_a_child),
    ),
)

_HANGING = (
    Fault(
        name="hangs in Python",
        says="a task never ends: while True",
        outside=_LATE,
        thread=_LATE,
        inside=RUN_HANGS,
        act=_until_released(harm.spin),
        timeout=TIMEOUT,
    ),
    Fault(
        name="hangs in C",
        says="a task never ends: a blocking call in C",
        outside=_LATE,
        thread=Ends(TaskTimeout, "were left running", names_thread=True),
        inside=RUN_HANGS,
        act=_blocked,
        timeout=TIMEOUT,
    ),
    Fault(
        name="holds the GIL",
        says="a task never ends: a computation in C that keeps the GIL",
        outside=_LATE,
        thread=RUN_HANGS,
        inside=RUN_HANGS,
        act=_plain(harm.hold_the_gil),
        timeout=TIMEOUT,
    ),
)

_LEAVING = (
    Fault(
        name="forks",
        says="a task forks a child that stays",
        **_all(ends=_RESULT),
        interpreter=Ends(RuntimeError, "fork"),  # Python forbids it there
        act=_noting(harm.fork),
    ),
    Fault(
        name="starts a process",
        says="a task starts a program that stays",
        **_all(ends=_RESULT),
        act=_noting(harm.start_process),
    ),
    Fault(
        name="starts a thread",
        says="a task starts a thread that outlives it",
        **_all(ends=_RESULT),
        interpreter=THREAD_STAYS,
        act=_until_released(harm.start_thread),
    ),
    Fault(name="opens a pool", says="a task opens a pool of its own", **_all(ends=_RESULT), act=_nested),
)

_ALONE = (
    Fault(
        name="Ctrl-C",
        says="SIGINT to the whole process group during a map",
        **_all(ends=Ends(KeyboardInterrupt)),
        interpreter=TASK_STAYS,
    ),
    Fault(
        name="full shared memory",
        says="no byte is free in shared memory",
        **_all(ends=_RESULT),
    ),
)

FAULTS: Mapping[str, Fault] = {
    fault.name: fault for fault in (*_GENTLE, *_LOSING, *_HANGING, *_LEAVING, *_ALONE)
}
"""Every fault by name; those that a pool survives are ``gentle``."""
