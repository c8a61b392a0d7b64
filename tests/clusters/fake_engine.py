"""A small engine for tests of what lies between engines and pytest: real processes, reached by sockets."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

from pytest_parallelism.errors import UsageError
from pytest_parallelism.strategies._addresses import located, reached
from pytest_parallelism.strategies._engine import Answer, EngineCluster, Payload, open_on
from pytest_parallelism.strategy import Isolation, Pool, Strategy, StrategyOptions
from pytest_parallelism.workers.site import Site

HOST = Path(__file__).with_name("fake_host.py")
LOG = "FAKE_ENGINE_LOG"
"""The variable with the file that starts and ends are noted in."""
USER, PASSWORD = "somebody", "hunter2-secret"
_Task = tuple["Future[Answer]", tuple[Any, ...]]


class BrokenLink(Exception):
    """The engine's own error: a worker does not answer any more."""


def note(line: str) -> None:
    """Into the log, if there is one."""
    if path := os.environ.get(LOG):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def host(password: str, variables: Mapping[str, str] | None = None) -> tuple[subprocess.Popen[str], int]:
    """The program of a cluster, and its port."""
    process = subprocess.Popen(
        [sys.executable, str(HOST), password],
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as told:
        return process, int(told.readline())


class FakeCluster(EngineCluster):
    """Each worker has a connection, and a thread that feeds it."""

    name = "Fake"

    def __init__(self, workers: int, port: int, password: str, site: Site | None) -> None:
        super().__init__(workers)
        self.ours = site is not None
        self.stopped: list[Future[Answer]] = []
        self.closed = False
        self._site = site
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._links: list[Any] = []
        self.pids: list[int] = []
        for _ in range(workers):
            link = Client(("127.0.0.1", port), authkey=password.encode())
            self._links.append(link)
            self.pids.append(link.recv())
        self._threads = [threading.Thread(target=self._feed, args=(link,)) for link in self._links]
        for thread in self._threads:
            thread.start()

    def _feed(self, link: Any) -> None:
        while (task := self._tasks.get()) is not None:
            future, arguments = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                link.send(arguments)
                future.set_result(link.recv())
            except (EOFError, OSError) as exc:
                future.set_exception(BrokenLink(f"no answer ({type(exc).__name__})"))
                return

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        future: Future[Answer] = Future()
        self._tasks.put((future, (prepare, function, list(payload), start)))
        return future

    def lost(self, exc: BaseException) -> str | None:
        return str(exc) if isinstance(exc, BrokenLink) else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        self.stopped += futures
        return False

    def usable(self) -> bool:
        return not self.closed and all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        note(f"end {self.workers}")
        self.closed = True
        if self._site is not None:
            self._site.end()
        for link in self._links:
            # The worker may have gone; otherwise it wakes the thread that waits for an answer.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(link.fileno())) as shut:
                shut.shutdown(socket.SHUT_RDWR)
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        while not self._tasks.empty():
            if (task := self._tasks.get()) is not None:
                task[0].cancel()
                task[0].set_running_or_notify_cancel()
        for link in self._links:
            link.close()

    @property
    def native(self) -> Any:
        return self


def start_here(workers: int) -> FakeCluster:
    """A cluster of ours."""
    site = Site()
    try:
        process, port = host("own", site.variables)
        process.returncode = 0  # the site reaps it
        note(f"start {workers}")
        return FakeCluster(workers, port, "own", site)
    except BaseException:
        site.end()
        raise


def connect(workers: int, address: str) -> FakeCluster:
    """The user's own."""
    parts = located(address, engine="Fake", like="fake://user:password@host:port")
    assert parts.hostname
    assert parts.port
    reached(parts.hostname, parts.port, engine="Fake")
    try:
        return FakeCluster(workers, parts.port, parts.password or "", None)
    except AuthenticationError as exc:
        raise UsageError(f"{address} refuses its password") from exc  # engines do write such things


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    address = options.address
    start: Callable[[], FakeCluster]
    start = (lambda: connect(workers, address)) if address else (lambda: start_here(workers))
    return open_on(workers, options, start, engine="fake")


FAKE = Strategy(
    name="fake",
    open=_open,
    isolation=Isolation.REMOTE,
    group="distributed",
    dear=True,
    connects="fake://user:password@host:port",
    noun="processes",
)
