"""executorlib with block allocation as a cluster: a process for each worker, which lasts, and ZeroMQ between.

Its executor puts the task of a lost worker back, for another one to be lost with, and looks for that once a
second; its sockets listen on all interfaces; its workers are in the terminal's process group. So processes
are started and watched by us, and sockets told where to listen. Queues, threads and workers are its own.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import PoolError, UsageError
from ..workers import bounded, fate
from ..workers.site import Site
from ._engine import Answer, EngineCluster, Payload, run_by
from ._executors import Outer

__all__ = ["ExecutorlibCluster", "start_here", "start_in_allocation"]

_REACH_SECONDS = 10.0
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.05


def start_here(workers: int, seconds: float) -> ExecutorlibCluster:
    """Workers on this machine."""
    from executorlib.standalone.interactive.spawner import MpiExecSpawner

    return ExecutorlibCluster(workers, MpiExecSpawner, ours=True, seconds=seconds)


def start_in_allocation(workers: int, address: str) -> ExecutorlibCluster:
    """Workers wherever srun starts them. Raises `UsageError` where it starts none."""
    from executorlib.task_scheduler.interactive.spawner_slurm import SrunSpawner

    if address != "slurm":
        raise UsageError("executorlib needs the address 'slurm', for workers in your Slurm allocation")
    if shutil.which("srun") is None:
        raise UsageError("executorlib=slurm needs srun, not found here: run pytest inside of an allocation")
    cluster = ExecutorlibCluster(workers, SrunSpawner, ours=False, seconds=_REACH_SECONDS)
    try:
        for future in [cluster.native.submit(os.getpid) for _ in range(workers)]:
            cluster.met(future, _REACH_SECONDS)
    except BaseException:
        cluster.kill()
        raise
    return cluster


class ExecutorlibCluster(EngineCluster):
    """Its block allocation, on processes of ours."""

    name = "executorlib"
    pickles = True

    def __init__(self, workers: int, spawner: Any, *, ours: bool, seconds: float) -> None:
        from executorlib.executor.base import BaseExecutor
        from executorlib.task_scheduler.interactive.blockallocation import BlockAllocationTaskScheduler

        super().__init__(workers)
        self.ours = ours
        self._site = Site()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sent: set[Outer] = set()
        self._lock = threading.Lock()
        self._ended: str | None = None
        self._killed = False
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True, name="executorlib-watch")
        # Made before it is begun: what has begun when that is interrupted has to be ended.
        self._scheduler: Any = BlockAllocationTaskScheduler.__new__(BlockAllocationTaskScheduler)
        try:
            with _listening("127.0.0.1" if ours else "*", seconds):
                self._scheduler.__init__(
                    max_workers=workers,
                    executor_kwargs={"hostname_localhost": ours},
                    spawner=_started_by_us(spawner, self._processes, self._site, self._closing),
                )
                self._threads, self._queue = list(self._scheduler._process), self._scheduler._future_queue
                self._wait_for(workers, seconds)
            self._native: Any = BaseExecutor(self._scheduler)
        except BaseException:
            self._abandon()
            raise
        self._watch.start()

    def submit(self, prepare: bytes, function: bytes, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`."""
        run, items = run_by(payload)
        inner = self._native.submit(run, prepare, function, items, start)
        outer = Outer(inner)
        with self._lock:
            self._sent.add(outer)
        inner.add_done_callback(lambda _: self._came(outer, inner))
        if self._ended:
            self._fail()
        return outer

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        return str(exc) if isinstance(exc, BrokenExecutor) else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:  # noqa: ARG002  # which process runs which is not told
        """See `EngineCluster`; all processes are ours, wherever srun runs them."""
        self.kill()
        return True

    def met(self, future: Future[Any], seconds: float) -> None:
        """Waits for a first answer. Raises `UsageError` where none comes."""
        end = time.monotonic() + seconds
        while not (self._ended or future.done() or time.monotonic() > end):
            time.sleep(_LOOK_SECONDS)
        if self._ended or not future.done() or future.exception():
            reason = self._ended or f"no worker answered within {seconds:g} s"
            raise UsageError(f"executorlib=slurm: {reason}. Does 'srun python' work here?")

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return self._ended is None and not self._sent

    def close(self) -> None:
        """See `EngineCluster`."""
        if self._ended is None:
            self._closing.set()
            bounded(self._native.shutdown, _END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """See `clusters.Cluster`."""
        if self._killed:
            return
        self._killed = True
        self._closing.set()
        self._ended = self._ended or "the pool was closed"
        if not self.ours:
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                bounded(process.wait, _END_SECONDS)
        self._empty()
        self._site.end()
        for process in self._processes:
            process.wait()
        self._native.shutdown(wait=False)
        self._join()
        if self._watch.ident is not None:
            self._watch.join()

    @property
    def native(self) -> Any:
        """executorlib's executor."""
        return self._native

    def _came(self, outer: Outer, inner: Future[Any]) -> None:
        with self._lock:
            if outer not in self._sent:
                return  # it was lost
            self._sent.discard(outer)
        if inner.cancelled():
            return
        outer.set_running_or_notify_cancel()
        error = inner.exception()
        if error is None:
            outer.set_result(inner.result())
        else:
            outer.set_exception(BrokenExecutor(f"executorlib failed with {type(error).__name__}: {error}"))

    def _look(self) -> None:
        """Waits for the end of a process that nobody has ended; a thread."""
        while not self._closing.wait(_LOOK_SECONDS):
            for process in self._processes:
                if process.poll() is not None and not self._closing.is_set():
                    self._ended = f"worker process {process.pid} {fate(process.returncode)}"
                    self._fail()
                    return

    def _fail(self) -> None:
        with self._lock:
            sent, self._sent = self._sent, set()
        for outer in sent:
            outer.set_running_or_notify_cancel()
            outer.set_exception(BrokenExecutor(self._ended))

    def _empty(self) -> None:
        """Takes what waits: a thread whose worker is gone fails the tasks, and breaks on a cancelled one."""
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
                self._queue.task_done()

    def _abandon(self) -> None:
        """Ends what has begun of a cluster that does not come about: its threads would keep Python alive."""
        self._closing.set()
        self._site.end()  # first: a thread waits for a process that has not called it yet
        begun = vars(self._scheduler)
        self._threads = [thread for thread in begun.get("_process") or () if thread.ident is not None]
        if self._threads:
            self._scheduler.shutdown(wait=False)
        for event in begun.get("_bootup_events", ()):  # each waits until the one before it has started
            event.set()
        self._join()

    def _join(self) -> None:
        for thread in self._threads:  # each looks once a second whether its process is there
            thread.join(_END_SECONDS)

    def _wait_for(self, workers: int, seconds: float) -> None:
        """Until all have been started: each listens before."""
        end = time.monotonic() + seconds
        while len(self._processes) < workers:
            if time.monotonic() > end or not all(thread.is_alive() for thread in self._threads):
                raise PoolError(f"executorlib started {len(self._processes)} of {workers} workers")
            time.sleep(_LOOK_SECONDS)


def _started_by_us(
    base: Any, processes: list[subprocess.Popen[bytes]], site: Site, closing: threading.Event
) -> Any:
    class Spawner(base):  # type: ignore[misc]  # a class of executorlib's, which is imported only here
        """Starts a worker quietly, in a session of its own."""

        def bootup(self, command_lst: list[str], **_stopping: Any) -> bool:
            if closing.is_set():
                return False
            self._process = subprocess.Popen(  # noqa: S603  # executorlib's own worker
                self.generate_command(command_lst=command_lst),
                env={**os.environ, **site.variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            processes.append(self._process)
            return bool(self.poll())

    return Spawner


@contextmanager
def _listening(host: str, seconds: float) -> Iterator[None]:
    """Meanwhile executorlib's sockets listen there, and wait neither for ever nor for who is gone."""
    from executorlib.standalone.interactive.communication import SocketInterface

    def bind(self: Any) -> int:
        self._socket.linger = 0
        self._socket.sndtimeo = int(seconds * 1000)
        return int(self._socket.bind_to_random_port(f"tcp://{host}"))

    stock = SocketInterface.bind_to_random_port
    SocketInterface.bind_to_random_port = bind
    try:
        yield
    finally:
        SocketInterface.bind_to_random_port = stock
