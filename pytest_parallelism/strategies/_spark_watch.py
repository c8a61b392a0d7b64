"""Whether the executors of the user's Spark still answer.

A driver that is cut off from a host and from its master at once waits for good for the tasks there: it asks
the master to end the silent executor before it gives them up, and fails to (HeartbeatReceiver.scala).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

__all__ = ["Watch"]

_LOOK_SECONDS = 2.0
_REACH_SECONDS = 4.0
_TIMES = 3
"""An executor is lost that has not answered so often in a row."""


class Watch:
    """Looks at them until it is closed, in a thread of its own.

    ``executors``: gives where each listens, as ``host:port``. ``lost``: is told, once, which one does not
    answer any more, of those that have answered before: of Spark's own list it may be gone by then.
    """

    def __init__(self, executors: Callable[[], Iterable[str]], lost: Callable[[str], None]) -> None:
        self._executors = executors
        self._lost = lost
        self._silent: dict[str, int] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spark-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when it looks no more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            there = set(self._silent)
            with contextlib.suppress(Exception):  # the JVM may be ending, which whoever maps there hears of
                there.update(self._executors())
            for one in sorted(there):
                if _answers(one):
                    self._silent[one] = 0
                elif one in self._silent:
                    self._silent[one] += 1
                    if self._silent[one] == _TIMES:
                        self._lost(one)
                        return
                    break  # each that is silent takes its time, and one is enough


def _answers(address: str) -> bool:
    """Also where nobody listens there: then Spark itself knows what has happened."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
