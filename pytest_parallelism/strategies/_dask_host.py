"""A Dask cluster as a program: a scheduler, and workers that are forked once Dask is imported.

Dask's own LocalCluster has its scheduler in the caller, whose interpreter lock and environment are not its
own then: Dask sets variables such as OMP_NUM_THREADS there, and what is measured beside it would see them.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["START", "main"]

START = "import sys; del sys.path[0]; from pytest_parallelism.strategies._dask_host import main; main()"
"""Runs `main` in a fresh interpreter; the working directory, the first of its path, hides no module."""
_LOOPBACK = "127.0.0.1"
_DASHBOARD = {"dashboard": False, "dashboard_address": f"{_LOOPBACK}:0"}  # None listens on all interfaces
_POLL_SECONDS = 0.005


def main() -> None:
    """Runs ``workers`` workers with scratch files in ``folder``, its arguments, until standard input ends.

    Prints the address of the scheduler once all of them are there.
    """
    workers, folder = int(sys.argv[1]), sys.argv[2]
    import dask
    import distributed  # noqa: F401  # before the fork: it takes half a second

    from . import _dask_client  # noqa: F401  # the same

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 0,  # a lost worker is an error, which no retry may hide
            # It takes the interpreter lock from tasks every 10 ms, for a dashboard that there is not.
            "distributed.worker.profile.enabled": False,
            "temporary-directory": folder,
        }
    )
    # Workers exist before the scheduler's loop and threads do, which no fork would bear.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    told, processes = [], []
    for name in range(workers):
        there, here = context.Pipe(duplex=False)
        process = context.Process(target=_worker, args=(there, name, folder))
        process.start()
        told.append(here)
        processes.append(process)
    if sys.platform != "win32":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a lost worker is gone at once, and never a zombie
    asyncio.run(_schedule(told, processes))


async def _schedule(told: Sequence[Connection], processes: Sequence[BaseProcess]) -> None:
    from distributed import Scheduler

    scheduler: Any = Scheduler(host=_LOOPBACK, port=0, security=_security(), protocol="tcp", **_DASHBOARD)
    async with scheduler:
        scheduler.add_plugin(_ending(processes))
        for connection in told:
            connection.send(scheduler.address)
        while len(scheduler.workers) < len(told):  # Dask has no event for it
            await asyncio.sleep(_POLL_SECONDS)
        sys.stdout.write(f"{scheduler.address}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _ending(processes: Sequence[BaseProcess]) -> Any:
    """What kills a worker that the scheduler has given up, so that it is known as lost.

    One that had no memory for a message may run on for ever, and Dask its tasks elsewhere, as if nothing was.
    """
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Ending(SchedulerPlugin):  # type: ignore[misc]  # Dask has no type information
        def __init__(self) -> None:
            self.known: dict[str, BaseProcess] = {}

        def add_worker(self, scheduler: Any, worker: str) -> None:
            self.known[worker] = processes[scheduler.workers[worker].name]

        def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:  # noqa: ARG002  # Dask gives it
            process = self.known[worker]
            if not wait([process.sentinel], 0):  # a number that is free again may be another's
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    return Ending()


def _worker(told: Connection, name: int, folder: str) -> None:
    with contextlib.suppress(EOFError):
        asyncio.run(_work(told.recv(), name, folder))


async def _work(address: str, name: int, folder: str) -> None:
    from distributed import Worker

    worker: Any = Worker(
        address,
        name=name,
        nthreads=1,
        host=_LOOPBACK,
        local_directory=folder,
        memory_limit=0,
        security=_security(),
        protocol="tcp",
        **_DASHBOARD,
    )
    async with worker:
        await worker.finished()


def _security() -> Any:
    from distributed import Security

    return Security(require_encryption=False)
