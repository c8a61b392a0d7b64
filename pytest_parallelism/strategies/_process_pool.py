"""A pool of processes: concurrent.futures.ProcessPoolExecutor."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, InvalidStateError, ProcessPoolExecutor
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

from ..envelope import rendezvous, start_worker, worker_settings
from ..envelope._performing import Answer, perform
from ..envelope._shipping import Shipping, open_answer
from ..strategy import StrategyOptions
from ..workers import Aside, Started, end, hidden_main, lost, quiet_fork
from ._chunks import Deadline
from ._executors import ExecutorPool, Send
from ._watch import Watch, let_go, sender_ended, tied

__all__ = ["ProcessesPool"]

_STUCK_SECONDS = 0.5
_CLOSE_SECONDS = 0.5
_END_SECONDS = 5.0


class _Executor(ProcessPoolExecutor):
    """The executor of Python before 3.12, whose thread died of a lost worker where a future was cancelled."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        future.__class__ = _Failing
        return future


class _Failing(Future[Any]):
    """Can be told an error also when it was cancelled."""

    def set_exception(self, exception: BaseException | None) -> None:
        with contextlib.suppress(InvalidStateError):
            super().set_exception(exception)


class ProcessesPool(ExecutorPool):
    """A ProcessPoolExecutor that is fed functions by value.

    A timeout kills the workers, and so does a lost one; then the pool has ended. What stays after `close`
    is Python's own: its resource tracker, and its fork server where one was needed.
    """

    _may_leave = False
    _killing: ClassVar[Mapping[str, bool]] = {"cancel_futures": True}

    def __init__(self, workers: int, method: str, options: StrategyOptions) -> None:
        super().__init__(workers)
        self._method = method
        self._options = options
        self._shipping = Shipping(options.by_value)
        self._started = Started()
        self._processes: Sequence[BaseProcess] = ()
        self._watch: Watch | None = None
        self._shutting: Aside | None = None
        self._executor = self._made((options.native_threads, tied(method), worker_settings()))
        self._queues: Any = self._executor._call_queue, self._executor._result_queue

    def _made(self, initargs: tuple[Any, ...]) -> Any:
        context = multiprocessing.get_context(self._method)
        make = ProcessPoolExecutor if sys.version_info >= (3, 12) else _Executor
        return make(self.workers, context, start_worker, initargs)

    def pids(self) -> Sequence[int]:
        """See `HasPids`."""
        return [process.pid for process in self._processes if process.pid]

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"start_method": self._method}

    def usable(self) -> None:
        """See `ExecutorPool`; the executor itself notices a lost worker a moment later."""
        super().usable()
        if self._watch is not None and self._watch.fallen():
            self.settle()
            raise self.translate(BrokenExecutor())

    def sender(self, fn: Callable[[Any], Any]) -> Send:
        """See `Sending`."""
        task, submit = self._shipping.shipment(fn).task, self._executor.submit
        return lambda start, chunk: submit(perform, *task(start, chunk))

    def open_answer(self, answer: Answer) -> list[Any]:
        """See `Sending`."""
        return open_answer(answer)

    def translate(self, exc: BaseException) -> BaseException:
        """See `Sending`."""
        if not isinstance(exc, BrokenExecutor):
            return exc
        error = lost(self._processes or self._started.processes())
        self.ended = str(error)
        return error

    def settle(self) -> None:
        """See `ExecutorPool`; reading a fork server's exit code beside the executor spoils it."""
        self._shut()

    def expire(self, deadline: Deadline) -> BaseException:
        """See `ExecutorPool`."""
        pids = ", ".join(map(str, self.pids()))
        error = deadline.error(f"its worker processes were killed ({pids})")
        self.ended = str(error)
        self.kill()
        return error

    def start(self) -> None:
        """Starts the processes and proves that they run at once."""
        options = self._options
        with hidden_main() if self._method != "fork" else quiet_fork():
            seen = rendezvous(
                self._meet,
                self.workers,
                timeout=options.start_timeout,
                noun="processes",
                initializer=options.initializer,
            )
        pids = {worker.pid for worker in seen}
        self._processes = [process for process in self._started.processes() if process.pid in pids]
        let_go = self._leave_to_workers if self._may_leave else None
        self._watch = Watch(self._processes, let_go=let_go, may_leave=self._may_leave)
        if not self._may_leave:  # and no worker comes later
            self._leave_to_workers()

    def close(self) -> None:
        """Lets the workers end; kills them where a failed map left one busy."""
        if self.ended or self.busy() or not self._shut(_CLOSE_SECONDS):
            self.kill()
        else:
            end(self._processes)  # what tasks left behind
            self._clear()

    def kill(self) -> None:
        """Kills the workers and what they started."""
        end(self._processes or self._started.processes())
        self._shut(**self._killing)
        self._clear()

    def _shut(self, seconds: float = _END_SECONDS, **how: bool) -> bool:
        """Ends the executor, whose shutdown must not run twice at once; whether it has ended in time."""
        if self._watch is not None:
            self._watch.stop()
        self._shutting = self._shutting or Aside(partial(self._executor.shutdown, wait=True, **how))
        if not self._shutting.ended(_STUCK_SECONDS):
            self._leave_to_workers()
        return self._shutting.ended(seconds)

    def _leave_to_workers(self) -> None:
        """Lets go of our copies of their ends of the pipes.

        The threads of the executor then find the end of a pipe when the workers have ended, whatever these
        have left: items that nobody takes, half an answer.
        """
        if self._queues is not None:
            calls, answers = self._queues
            let_go(calls._reader)
            let_go(answers._writer)

    def _clear(self) -> None:
        if self._watch is not None:
            self._watch.join()
        if self._queues is not None:
            sender_ended(self._queues[0])
        # Processes hold their queues, whose semaphores stay as long.
        self._watch, self._processes, self._queues = None, (), None
        self._shipping.close()

    def _meet(self, fn: Callable[[int], Any], tickets: Sequence[int]) -> list[Any]:
        seconds = self._options.start_timeout
        return self.map(fn, tickets, chunk_size=1, timeout=2 * seconds)
