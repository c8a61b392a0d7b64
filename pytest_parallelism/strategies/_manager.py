"""Queues that a multiprocessing manager holds, a process of its own that all others talk to."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Client, Connection
from multiprocessing.context import BaseContext
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from typing import Any

from ..envelope import Bare, Frame, Parts
from ..envelope._queues import Managed, Queues
from ..envelope._shipping import as_they_are, open_answer
from ..errors import PoolError, WorkerLost
from ..strategy import StrategyOptions
from ..workers import Job, fate
from ._crew_pool import Enclosing
from ._queues import Desk, QueueCrew, QueuePool

__all__ = ["ManagerPool"]

_GONE = (EOFError, OSError)
_PENDING = 8
"""Calls sent before the first is answered: the manager need not wait for us between two of them."""
_GONE_SECONDS = 0.5


class ManagerPool(QueuePool):
    """Its manager unpickles and pickles all that goes through: what any pickle carries goes as it is."""

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__(workers, method, options, ManagerCrew)

    def enclosing(self, *, lasting: bool) -> Enclosing:  # noqa: ARG002  # it keeps nothing
        """See `CrewPool`."""
        return _AsTheyAre(self._options.by_value)

    def open_answer(self, answer: Any) -> list[Any]:
        """See `Sending`."""
        return open_answer(answer)


class _AsTheyAre(Enclosing):
    def __call__(self, items: Sequence[Any], start: int) -> Parts:
        """See `Enclosing`."""
        return as_they_are(items, self.by_value, start)


class ManagerCrew(QueueCrew):
    """Processes whose queues a manager holds; it is watched and ended as they are."""

    _manager: SyncManager | None = None

    def desk(self, slots: int, context: BaseContext) -> Desk:
        """See `QueueCrew`."""
        setup, _, timeout = self._how
        # An abstract name leaves no file when the manager is killed (unix(7)); who calls must know the key.
        name = f"\0parallelism-{os.getpid()}-{secrets.token_hex(8)}" if sys.platform == "linux" else None
        manager: Any = SyncManager(name, ctx=context)
        self._manager = manager
        late = threading.Timer(timeout, lambda: manager._process.kill())
        late.start()
        try:
            manager.start(setup)
        except EOFError:
            raise PoolError(f"the manager did not start within {timeout:g} s") from None
        finally:
            late.cancel()
            late.join()
            if process := getattr(manager, "_process", None):
                self.watch(process)
        return ManagerDesk(slots, manager)

    def lost(self, ended: Sequence[BaseProcess]) -> WorkerLost:
        """See `QueueCrew`; without the manager, the workers end too."""
        process = getattr(self._manager, "_process", None)
        if process is not None:
            if len(ended) > 1:
                process.join(_GONE_SECONDS)
            if process.exitcode is not None:
                return WorkerLost(f"the manager process {process.pid} {fate(process.exitcode)}")
        return super().lost([one for one in ended if one is not process])

    def kill(self) -> None:
        """See `QueueCrew`."""
        super().kill()
        if self._manager is not None:
            manager: Any = self._manager
            self._manager = None
            if hasattr(manager, "shutdown"):  # it has none before it was started
                manager.shutdown()


class ManagerDesk(Desk):
    """Two queues of a manager, with a connection for what we put and one for what we get."""

    def __init__(self, slots: int, manager: Any) -> None:
        super().__init__(slots)
        self._queues: tuple[Any, Any] | None = (manager.Queue(), manager.Queue())
        self._putting: _Calls | None = None
        self._getting: _Calls | None = None

    def fileno(self) -> int:
        """See `Desk`."""
        assert self._getting is not None
        return self._getting.connection.fileno()

    def queues(self) -> Queues:
        """See `Desk`."""
        assert self._queues is not None
        return Managed(*self._queues)

    def meet(self) -> None:
        """See `Desk`: after the workers were forked, which need not inherit our connections."""
        assert self._queues is not None
        chunks, answers = self._queues
        self._putting, self._getting = _Calls(chunks, "put"), _Calls(answers, "get")
        for _ in range(_PENDING):
            self._getting.ask()

    def put(self, tag: int, job: Job) -> None:
        """See `Desk`."""
        payload = job.payload.items if isinstance(job.payload, Bare) else b"".join(job.payload)
        self._put((tag, job.start, job.blob, payload))

    def receive(self) -> list[Frame]:
        """See `Desk`."""
        assert self._getting is not None
        try:
            kind, tag, body = self._getting.answer()
            self._getting.ask()
        except _GONE:
            self.closed = True
            return []
        return [Frame(kind, tag, 0, body)]

    def finish(self) -> None:
        """See `Desk`."""
        for _ in range(self.slots):
            self._put(None)

    def close(self) -> None:
        """See `Desk`."""
        self._queues = None
        for calls in (self._putting, self._getting):
            if calls is not None:
                calls.connection.close()

    def _put(self, what: Any) -> None:
        assert self._putting is not None
        with contextlib.suppress(*_GONE):  # its end is noticed
            self._putting.ask(what)
            if self._putting.pending > _PENDING:
                self._putting.answer()


class _Calls:
    """A connection to a manager for one method of one object; what is sent is answered in that order.

    A proxy does the same with one call after another (multiprocessing.managers.BaseProxy).
    """

    def __init__(self, proxy: Any, method: str) -> None:
        self.connection: Connection = Client(proxy._token.address, authkey=proxy._authkey)
        self._ident, self._method = proxy._token.id, method
        self.pending = 0
        self._call(None, "accept_connection", threading.current_thread().name)
        self.answer()

    def ask(self, *args: Any) -> None:
        """Sends a call. Raises EOFError or OSError when the manager has ended."""
        self._call(self._ident, self._method, *args)

    def answer(self) -> Any:
        """What the oldest call gave, or raises what it raised, EOFError or OSError."""
        kind, result = self.connection.recv()
        self.pending -= 1
        if kind != "#RETURN":
            raise PoolError(f"the manager cannot {self._method}: {result}")
        return result

    def _call(self, ident: str | None, method: str, *args: Any) -> None:
        self.connection.send((ident, method, args, {}))
        self.pending += 1
