"""How much of its time a workload holds the GIL, asked by a thread that knocks.

The kernel tells when a thread waits for a core, and nobody tells when it waits for the GIL: on a loaded
machine the two cannot be told apart from outside (threads on two cores beside two foreign processes are
runnable 1.6 to 2.2 at a time whether they share the GIL or not, in our measurements). So a thread of ours
sleeps for half a millisecond again and again beside a round of its own, and looks each time whether it gets
the GIL at once.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType

__all__ = ["GilProbe", "gil_enabled"]

INTERVAL = 0.0005
"""Seconds between two knocks, and meanwhile the interpreter's switch interval: who holds the GIL all the
time gives it up once asked for so long."""

HELD = INTERVAL / 2
"""Seconds that a knock waits, its own wait for a core taken off, from which on the GIL was held."""


def gil_enabled() -> bool:
    """Whether this interpreter has a GIL and uses it."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


PROGRESS = INTERVAL / 4
"""CPU seconds that the other thread must have used since the last knock for this one to count: the GIL is
free, too, while who wants it waits for a core."""


class GilProbe:
    """Knocks while it is entered, beside what the entering thread does; may be entered several times.

    Its share is of the CPU time: knocks count while that thread computes.
    """

    def __init__(self) -> None:
        self.knocks = 0
        self.held = 0
        self._stop = False
        self._thread: threading.Thread | None = None
        self._switch = sys.getswitchinterval()

    @property
    def share(self) -> float | None:
        """The share of knocks that found the GIL held; None without knocks."""
        return self.held / self.knocks if self.knocks else None

    def __enter__(self) -> GilProbe:  # noqa: PYI034  # Self is not in typing before Python 3.11
        self._switch, self._stop = sys.getswitchinterval(), False
        clock = getattr(time, "pthread_getcpuclockid", lambda _: None)(threading.get_ident())
        self._thread = threading.Thread(
            target=self._knock, args=(clock,), name="pytest-parallelism-gil", daemon=True
        )
        self._thread.start()
        sys.setswitchinterval(INTERVAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        sys.setswitchinterval(self._switch)
        assert self._thread
        self._thread.join()

    def _knock(self, clock: int | None) -> None:
        try:
            delays = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            delays = None
        try:
            while not self._stop:
                waited, used, begun = _delay(delays), _cpu(clock), time.perf_counter()
                time.sleep(INTERVAL)
                late = time.perf_counter() - begun - INTERVAL
                if not self._stop and (clock is None or _cpu(clock) - used > PROGRESS):
                    self.knocks += 1
                    self.held += late - (_delay(delays) - waited) > HELD
        finally:
            if delays is not None:
                os.close(delays)


def _delay(file: int | None) -> float:
    return int(os.pread(file, 64, 0).split()[1]) * 1e-9 if file is not None else 0.0


def _cpu(clock: int | None) -> float:
    return time.clock_gettime(clock) if clock is not None else 0.0
