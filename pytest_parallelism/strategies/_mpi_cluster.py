"""An MPI launch as a cluster: a launcher starts rank 0 and its workers, and rank 0 calls us back.

MPI never comes into this process: it cannot be finalized and initialized again, and a lost rank aborts all
that are of its world. What is MPI's ends with the launch.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

from ..envelope import CHUNK, FUNCTION, READY, Rooms
from ..envelope._frames import Frame, Inbox, post, quick
from ..errors import ParallelismError, PoolError, UsageError
from ..workers import runs
from ..workers.site import Site
from ._engine import Answer, EngineCluster, Payload
from ._mpi_server import CLOSE, FAILED, ask_first

__all__ = ["MpiCluster", "start_here", "start_there"]

_AHEAD = 4
"""Chunks that a worker has at once, one of them in work: 4 go 1.1 times faster than 2 (our measurement)."""
_REACH_SECONDS = 10.0
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 0.5
"""For the launcher to say what has happened."""
_KEY_BYTES = 32
_SAID_LINES = 4
_SAID_CHARACTERS = 300

_LOCAL = {
    # Open MPI counts cores, and does not run as root, unless it is told that both are meant.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":OVERSUBSCRIBE",
    # One machine: shared memory, and no other interface than loopback.
    "OMPI_MCA_btl": "^tcp",
    "UCX_NET_DEVICES": "lo",
    "FI_TCP_IFACE": "lo",
    "HYDRA_IFACE": "lo",
}
_MEMORY = ("OMPI_MCA_btl_sm_backing_directory", "OMPI_MCA_btl_vader_backing_directory")
"""Where Open MPI has its shared memory: else it stays in /dev/shm when the ranks are killed."""


def start_here(workers: int, launcher: str, seconds: float) -> MpiCluster:
    """A launch on this machine."""
    return MpiCluster(workers, [launcher, "-n", str(workers + 1)], ours=True, seconds=seconds)


def start_there(workers: int, address: str) -> MpiCluster:
    """A launch by the user's own launcher. Raises `UsageError` where it starts nothing, or no workers."""
    try:
        command = shlex.split(address)
        found = shutil.which(command[0]) if command else None
    except ValueError as exc:
        raise UsageError(f"mpi needs a launcher with its arguments as a shell reads them: {exc}") from None
    if found is None:
        named = f"{command[0]!r} is not a program here" if command else "nothing is given"
        raise UsageError(f"mpi needs a launcher such as 'mpiexec -n 9' or 'srun': {named}")
    cluster = MpiCluster(workers, [found, *command[1:]], ours=False, seconds=_REACH_SECONDS)
    if not cluster.workers:
        cluster.kill()
        raise UsageError(
            f"{command[0]} started one rank, and rank 0 does not work: have it start one more than the "
            f"workers, and see that it is of the MPI that mpi4py uses"
        )
    return cluster


class MpiCluster(EngineCluster):
    """Rank 0 and its workers; on another machine too, they are a launch of ours, and end when we say so."""

    name = "MPI"

    def __init__(self, workers: int, command: Sequence[str], *, ours: bool, seconds: float) -> None:
        super().__init__(workers)
        self.ours = ours
        self._command = command
        self._site = Site()
        self._log = self._site.folder / "log"
        self._waiting: deque[tuple[Future[Answer], bytes, Payload, int]] = deque()
        self._sent: dict[int, Future[Answer]] = {}
        self._number = 0
        self._function = b""
        self._functions: tuple[bytes, bytes] = (b"", b"")
        self._lock = threading.Lock()
        self._ended: str | None = None
        self._closing = self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._line = self._launched(time.monotonic() + seconds)
            self._inbox = Inbox(self._line, Rooms())
            self._pids, self._about = self._greeting(workers)
            self.workers = len(self._pids) - 1
            self._site.remember()  # ranks that the launcher will not have waited for are ours then
        except BaseException:
            self._site.end()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True, name="mpi-answers")
        self._reader.start()

    def submit(self, prepare: bytes, function: bytes, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`; what the workers have no room for waits here, where it can be cancelled."""
        future: Future[Answer] = Future()
        with self._lock:
            if self._functions != (prepare, function):
                self._functions = prepare, function
                self._packed = pickle.dumps(self._functions)
            self._waiting.append((future, self._packed, payload, start))
            failure = self._flush()
        if failure:
            self._fail(failure)
        return future

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        return str(exc) if isinstance(exc, BrokenExecutor) else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:  # noqa: ARG002  # MPI ends all ranks or none
        """See `EngineCluster`."""
        self.kill()
        return True

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return self._ended is None and not self._sent

    def close(self) -> None:
        """Has rank 0 end the launch in order, and ends what is left of it."""
        self._closing = True
        with contextlib.suppress(OSError), self._lock:
            post(self._line, CLOSE, 0, 0, ())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._launch.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """See `clusters.Cluster`."""
        if self._killed:
            return
        self._killed = self._closing = True
        if not self.ours:
            self._launch.terminate()  # a launcher ends its ranks on other machines when it is asked to
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launch.wait(_END_SECONDS)
        self._site.end()
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._line.close()
        self._launch.wait()

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """The MPI that runs."""
        return {"mpi": self._about}

    @property
    def _launch(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _launched(self, end: float) -> socket.socket:
        """The line to rank 0."""
        key = secrets.token_bytes(_KEY_BYTES)
        listener, addresses = self._listening()
        with listener:
            told = {"addresses": addresses, "key": key.hex()}
            with self._site.starting(**self._variables()), self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  # MPI's launcher, or the user's own
                    [*self._command, sys.executable, "-m", _mpi_server_name(), str(self.workers)],
                    stdin=subprocess.PIPE,
                    stdout=log,  # MPICH's launcher tells there what went wrong
                    stderr=log,
                    start_new_session=True,
                )
            with contextlib.suppress(OSError), self._launch.stdin as stdin:  # type: ignore[union-attr]  # a pipe
                stdin.write(json.dumps(told).encode() + b"\n")
            return self._called(listener, key, end)

    def _listening(self) -> tuple[socket.socket, list[Any]]:
        """What rank 0 calls, and how it does.

        In our folder where it is on this machine: that takes 10 µs less a message than loopback (our
        measurement).
        """
        if self.ours:
            listener = socket.socket(socket.AF_UNIX)
            path = str(self._site.folder / "line")
            listener.bind(path)
            listener.listen()
            return listener, [path]
        listener = socket.create_server(("", 0))
        port = listener.getsockname()[1]
        return listener, [(host, port) for host in ("127.0.0.1", socket.gethostname(), *_addresses())]

    def _variables(self) -> Mapping[str, str]:
        folder = str(self._site.folder)
        if not self.ours:
            return {"SLURM_KILL_BAD_EXIT": "1"}  # or srun waits for the ranks that a lost one has left
        return {**_LOCAL, "TMPDIR": folder, **dict.fromkeys(_MEMORY, folder)}

    def _called(self, listener: socket.socket, key: bytes, end: float) -> socket.socket:
        listener.settimeout(_LOOK_SECONDS)
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError, EOFError):
                line, _ = listener.accept()
                line.settimeout(_REACH_SECONDS)
                if ask_first(line, key):
                    line.settimeout(None)
                    return quick(line)
                line.close()
            if self._launch.poll() is not None:
                raise self._refusal(f"ended with exit code {self._launch.returncode}")
        raise self._refusal("has not started its ranks in time")

    def _refusal(self, what: str) -> ParallelismError:
        error = PoolError if self.ours else UsageError
        return error(f"the MPI launcher {Path(self._command[0]).name} {what}{self._said()}")

    def _greeting(self, wanted: int) -> tuple[list[int], str]:
        """Process ids of rank 0 and the workers, and the MPI that runs them."""
        while not (frames := self._inbox.receive()):
            pass
        assert frames[0].kind == READY
        pids, about = pickle.loads(frames[0].body)
        if self.ours and len(pids) != wanted + 1:
            raise PoolError(
                f"the MPI launcher {self._command[0]} gave {len(pids) - 1} workers instead of {wanted}: "
                f"is it of the MPI that mpi4py uses, {about}?"
            )
        return pids, about

    def _flush(self) -> str | None:
        """Sends what workers have room for, called with the lock; what went wrong."""
        if self._ended is not None:
            return self._ended
        try:
            while self._waiting and len(self._sent) < _AHEAD * self.workers:
                future, function, payload, start = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                self._number += 1
                self._sent[self._number] = future
                if function is not self._function:
                    self._function = function
                    post(self._line, FUNCTION, 0, 0, [function])
                post(self._line, CHUNK, self._number, start, payload)
        except OSError:
            return self._end()
        return None

    def _read(self) -> None:
        """Answers, as they come; a thread."""
        ready = select.poll()
        ready.register(self._line, select.POLLIN)
        try:
            while True:
                if ready.poll(_LOOK_SECONDS * 1000):
                    for frame in self._inbox.receive():
                        self._answer(frame)
                elif self.ours and not self._closing and not all(map(runs, self._pids)):
                    raise EOFError  # the launcher does not see it while what the worker had started lives
        except (OSError, EOFError):
            self._fail(self._end())

    def _answer(self, frame: Frame) -> None:
        with self._lock:
            future = self._sent.pop(frame.tag)
            failure = self._flush()
        if frame.kind == FAILED:
            future.set_exception(BrokenExecutor(bytes(frame.body).decode()))
        else:
            future.set_result(frame.body)
        if failure:
            self._fail(failure)

    def _end(self) -> str:
        """What happened, once the line has ended."""
        if self._ended is None and not self._closing:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launch.wait(_GRACE_SECONDS)
        self._ended = self._ended or f"MPI ends all ranks when one is lost{self._said()}"
        return self._ended

    def _fail(self, said: str) -> None:
        with self._lock:
            futures = [*self._sent.values(), *(entry[0] for entry in self._waiting)]
            self._sent.clear()
            self._waiting.clear()
        for future in futures:
            if not future.done():
                future.set_exception(BrokenExecutor(said))

    def _said(self) -> str:
        """What the launcher wrote, in a few words; a Python error before anything else."""
        with contextlib.suppress(OSError):
            text = self._log.read_text(errors="replace")
            lines = [words for line in text.splitlines() if (words := line.strip("=- \t"))]
            errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
            if lines:
                return ": " + "; ".join(errors[-1:] or lines[:_SAID_LINES])[:_SAID_CHARACTERS]
        return ""


def _mpi_server_name() -> str:
    return f"{__package__}._mpi_server"


def _addresses() -> list[str]:
    """Addresses of this machine that others may reach it at."""
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET, socket.SOCK_STREAM)
        return sorted({str(entry[4][0]) for entry in found})
    return []
