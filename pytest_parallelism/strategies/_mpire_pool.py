"""A pool of processes: mpire.WorkerPool.

mpire's own map cannot keep our promises: it raises "Worker-0 died unexpectedly" without saying how, looks for
that every 100 ms only, and ends a pool by processes that empty its queues. So its workers run our tasks as
they run its own, over its queues, and what is in the parent is ours: it takes no lock that a worker can die
with, and pipes have one end here, so that whoever reads or writes one is woken when the workers have ended.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing.queues import Queue
from typing import Any

from ..envelope import rendezvous, worker_settings
from ..envelope._performing import perform, start_pool_worker
from ..strategy import StrategyOptions
from ..workers import bounded, end, hidden_main, quiet_fork
from ._multiprocessing_pool import MultiprocessingPool
from ._watch import Watch, tied

__all__ = ["MpirePool"]

_AHEAD = 2
"""Tasks that a worker has at once: as in mpire, whose ``max_tasks_active`` is twice the workers."""
_JOIN_SECONDS = 1.0

_Task = tuple[Any, ...]


class MpirePool(MultiprocessingPool):
    """A WorkerPool of mpire's that is fed functions by value, by mpire's default start method.

    A timeout kills the workers, and so does a lost one; then the pool has ended.
    """

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        from mpire.context import DEFAULT_START_METHOD

        super().__init__(workers, DEFAULT_START_METHOD, options)
        self._waiting: deque[Iterator[_Task]] = deque()
        self._doing = [0] * workers
        self._giving = threading.Lock()

    def send(self, tasks: Iterable[_Task]) -> None:
        """See `MultiprocessingPool.send`; each worker has its own queue, so tasks wait here."""
        with self._giving:
            self._waiting.append(iter(tasks))
            self._give()

    def start(self) -> None:
        """Starts the processes and proves that they run at once."""
        options, method = self._options, self._method
        with hidden_main() if method != "fork" else quiet_fork():
            self._pool = self._made()
            self._pool._start_workers()
            _keep_our_ends(self._pool._worker_comms)
            self._watch = Watch(self._pool._workers, self.fail)
            rendezvous(
                self._meet,
                self.workers,
                timeout=options.start_timeout,
                noun="processes",
                initializer=options.initializer,
            )

    def _made(self) -> Any:
        from mpire.params import WorkerMapParams
        from mpire.pool import WorkerPool

        begin = partial(_begin, self._options.native_threads, tied(self._method), worker_settings())
        pool: Any = WorkerPool(self.workers, start_method=self._method)
        pool.map_params = WorkerMapParams(_numbered, begin)
        pool._results_handler = self._listen
        # Threads that look every 100 ms for what we do not use, or notice sooner.
        pool._restart_handler = pool._timeout_handler = pool._unexpected_death_handler = _nothing
        return pool

    def _give(self) -> None:
        """The next tasks to workers that have room, the idlest first; called with the lock."""
        while self._waiting:
            worker = min(range(self.workers), key=self._doing.__getitem__)
            if self._doing[worker] >= _AHEAD:
                return
            task = next(self._waiting[0], None)
            if task is None:
                self._waiting.popleft()
                continue
            number, _, _, arguments, _ = task
            self._doing[worker] += 1
            _put(self._pool._worker_comms._task_queues[worker], (number, (arguments,)))

    def _listen(self) -> None:
        """mpire's thread for results."""
        pool = self._pool
        queue = pool._worker_comms._results_queue
        # Before a worker ends it waits until its answers are counted here, and nobody else counts them.
        received = pool._worker_comms._results_received.get_obj()
        while True:
            try:
                worker, answers = queue.get()
            except (EOFError, OSError):
                return  # all workers have ended
            received[worker] += 1
            for number, good, answer in answers:
                if good:  # else mpire ends the workers: they are watched
                    self._came(pool, worker, number, *answer)

    def _came(self, pool: Any, worker: int, number: int, start: int, answer: Any) -> None:
        with self._giving:
            self._doing[worker] -= 1
            self._give()
        job = pool._cache.get(number)
        if job is not None:
            job._set(start, (True, answer))

    def _end(self, *, kill: bool) -> None:
        with self._giving:
            self._waiting.clear()
            pool, self._pool = self._pool, None
        watch, self._watch = self._watch, None  # processes hold their queues, whose semaphores stay as long
        if pool is not None:
            pool._cache.clear()
            if watch is not None:
                watch.stop()
                if not kill:
                    _dismiss(pool)
                    watch.join()
            _ended(pool)
            if watch is not None:
                watch.join()
        self._shipping.close()


def _begin(*initargs: Any) -> None:
    """In a worker: mpire's own handlers would turn signals into errors of whatever runs."""
    for name in ("SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):  # not on Windows
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    start_pool_worker(*initargs)


def _numbered(folder: str, slot: int, function: bytes | str, start: int, payload: Any) -> tuple[int, Any]:
    """`perform`, whose answer says which chunk it is for."""
    return start, perform(folder, slot, function, start, payload)


def _nothing() -> None:
    """A thread that has nothing to do."""


def _put(queue: Any, message: Any) -> None:
    """JoinableQueue.put without its lock, which makes `join` notice: a worker that was killed may hold it."""
    queue._unfinished_tasks.release()
    Queue.put(queue, message)


def _keep_our_ends(comms: Any) -> None:
    comms._results_queue._writer.close()
    for queue in comms._task_queues:
        queue._reader.close()
        queue._ignore_epipe = True  # its thread ends quietly, as that of concurrent.futures does


def _dismiss(pool: Any) -> None:
    """Tells the workers to end."""
    from mpire.comms import POISON_PILL

    for queue in pool._worker_comms._task_queues:
        _put(queue, POISON_PILL)


def _ended(pool: Any) -> None:
    """Ends the workers that have not ended, what tasks left behind, and what mpire keeps for them here."""
    comms = pool._worker_comms
    end(process for process in pool._workers if process is not None)
    for queue in comms._task_queues:
        queue.close()
        bounded(queue.join_thread, _JOIN_SECONDS)
        queue._writer.close()
    if pool._results_handler_thread is not None:
        comms._results_queue._writer.close()  # it is closed, unless the start was interrupted
        pool._results_handler_thread.join(_JOIN_SECONDS)
        comms._results_queue._reader.close()
