"""What every process of an MPI launch runs for the strategy ``mpi``: rank 0 calls us, the others work for it.

Rank 0 has an executor of mpi4py.futures on as many of the other ranks as are wanted, gives it the chunks that
come over a socket, and sends their answers back. It reads on its standard input whom to call.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import pickle
import re
import secrets
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ..envelope import CHUNK, FUNCTION, READY, Rooms, run_there
from ..envelope._frames import ANSWER, Frame, Inbox, post, quick

__all__ = ["CLOSE", "FAILED", "answer_first", "ask_first"]

CLOSE, FAILED = 8, 9
"""Kinds of frames, beside those of the envelope: everything is done; a chunk's answer did not come back."""
_CALL_SECONDS = 3.0
_IDLE_SECONDS = 0.05
_BYTES = 32


def ask_first(line: socket.socket, key: bytes) -> bool:
    """Whether who has called knows the key; it is shown that we do, too."""
    ours = secrets.token_bytes(_BYTES)
    line.sendall(ours)
    theirs, proof = _read(line, _BYTES), _read(line, _BYTES)
    if not hmac.compare_digest(proof, _proof(key, b"rank", ours)):
        return False
    line.sendall(_proof(key, b"test", theirs))
    return True


def answer_first(line: socket.socket, key: bytes) -> bool:
    """The other side of `ask_first`."""
    theirs, ours = _read(line, _BYTES), secrets.token_bytes(_BYTES)
    line.sendall(ours + _proof(key, b"rank", theirs))
    return hmac.compare_digest(_read(line, _BYTES), _proof(key, b"test", ours))


def _proof(key: bytes, side: bytes, challenge: bytes) -> bytes:
    return hmac.digest(key, side + challenge, "sha256")


def _read(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = line.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _main(wanted: int) -> None:
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # some launchers end ranks by it: no error of a task's
    world = MPI.COMM_WORLD
    rank = world.Get_rank()
    used = rank <= wanted
    part = world.Split(0 if used else 1, rank)
    _forget_memory()
    if used:
        pids = part.gather(os.getpid())
        with MPICommExecutor(part, root=0) as executor:
            if executor is not None:
                vendor, version = MPI.get_vendor()
                about = f"{vendor} {'.'.join(map(str, version))}"
                _Relay(_called(), executor, partial(_abort, world)).serve(pids, about)
    ended = world.Ibarrier()  # ranks beyond those that are wanted sleep meanwhile: MPI itself would spin
    while not ended.Test():
        time.sleep(_IDLE_SECONDS)


def _forget_memory() -> None:
    """Removes the names of the shared memory that MPICH's ranks have all mapped by now.

    MPICH does so at the end only, which a rank that is killed does not come to.
    """
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text()
        for path in set(re.findall(r"/dev/shm/mpich_\S+", maps)):  # noqa: S108  # MPICH's own place
            Path(path).unlink()


def _abort(world: Any) -> NoReturn:
    """Nobody is there any more: ends all ranks."""
    world.Abort(1)
    os._exit(1)


def _called() -> socket.socket:
    """The line to whoever has launched us."""
    told = json.loads(sys.stdin.readline())
    key = bytes.fromhex(told["key"])
    failures = []
    for address in told["addresses"]:
        try:
            line = _reached(address)
            if answer_first(line, key):
                line.settimeout(None)
                return quick(line)
            failures.append(f"{address}: somebody else answers")
        except (OSError, EOFError) as exc:
            failures.append(f"{address}: {exc}")
    raise ConnectionError(f"rank 0 does not reach the test run: {'; '.join(failures)}")


def _reached(address: Any) -> socket.socket:
    """A line to a socket in a folder, or to ``[host, port]``."""
    if not isinstance(address, str):
        return socket.create_connection(tuple(address), timeout=_CALL_SECONDS)
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(_CALL_SECONDS)
    line.connect(address)
    return line


class _Relay:
    """Chunks from a line to an executor, answers from there to the line."""

    def __init__(self, line: socket.socket, executor: Executor, abandon: Any) -> None:
        self._line = line
        self._executor = executor
        self._abandon = abandon
        self._writing = threading.Lock()

    def serve(self, pids: list[int], about: str) -> None:
        """Tells what the launch consists of; returns when the other side says that it is done."""
        inbox = Inbox(self._line, Rooms())
        function = b""
        try:
            self._post(READY, 0, [pickle.dumps((pids, about))])
            while True:
                for frame in inbox.receive():
                    if frame.kind == CLOSE:
                        return
                    if frame.kind == FUNCTION:
                        function = bytes(frame.body)
                    else:
                        self._submit(function, frame)
        except (OSError, EOFError):
            self._abandon()

    def _submit(self, function: bytes, frame: Frame) -> None:
        assert frame.kind == CHUNK
        body = pickle.PickleBuffer(frame.body) if isinstance(frame.body, memoryview) else frame.body
        future = self._executor.submit(work, function, body, frame.start)
        future.add_done_callback(partial(self._answer, frame.tag))

    def _answer(self, tag: int, future: Future[Any]) -> None:
        error = future.exception()
        try:
            if error is None:
                self._post(ANSWER, tag, future.result())
            else:
                self._post(FAILED, tag, [f"{type(error).__name__}: {error}".encode()])
        except OSError:
            self._abandon()

    def _post(self, kind: int, tag: int, body: Any) -> None:
        with self._writing:
            post(self._line, kind, tag, 0, body)


def work(function: bytes, payload: Any, start: int) -> list[bytes]:
    """A chunk, in a worker. ``function``: the preparation and the packed function, pickled."""
    prepare, packed = pickle.loads(function)
    return [*run_there(prepare, packed, payload, start)]  # Parts themselves would take pickle 4 µs more


if __name__ == "__main__":
    from pytest_parallelism.strategies import _mpi_server  # its functions must have a name that workers know

    _mpi_server._main(int(sys.argv[1]))
