"""A pool whose workers are inside of the libraries that a task calls."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ..errors import Unsuitable
from ..strategy import StrategyOptions
from ._inline import InlinePool

__all__ = ["NativeThreadsPool"]


class NativeThreadsPool(InlinePool):
    """Runs every item in the caller, BLAS and OpenMP having ``workers`` threads meanwhile.

    The limit is set around each round, outside the clock; sequential rounds have one native thread.
    """

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(options)
        self.workers = workers
        self._libraries = ""

    def start(self) -> None:
        """Proves that a library takes that many threads. Raises `Unsuitable`."""
        super().start()
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy")  # brings its BLAS along
        with self.ambient():
            found = _libraries()
        if not found:
            raise Unsuitable(
                "blas-threads sets the threads of BLAS and OpenMP libraries, and none is loaded here: "
                "import the library that you use (numpy, scipy, torch …) before parallel.map"
            )
        taken = {name: threads for name, threads in found.items() if threads == self.workers}
        if not taken:
            told = ", ".join(f"{name} {threads}" for name, threads in found.items())
            raise Unsuitable(f"no native library here takes {self.workers} threads: {told}")
        self._libraries = ", ".join(taken)

    def ambient(self) -> AbstractContextManager[Any]:
        """See `HasAmbient`."""
        from threadpoolctl import threadpool_limits

        limits: AbstractContextManager[Any] = threadpool_limits(limits=self.workers)
        return limits

    def info(self) -> Mapping[str, str]:
        """See `HasInfo`."""
        return {"native_libraries": self._libraries}


def _libraries() -> dict[str, int]:
    """Threads that each native library uses now, by what it calls itself."""
    from threadpoolctl import threadpool_info

    return {str(found["internal_api"]): int(found["num_threads"]) for found in threadpool_info()}
