"""A pool of processes: loky.ProcessPoolExecutor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..envelope import start_worker
from ..strategy import StrategyOptions
from ._process_pool import ProcessesPool

__all__ = ["LokyExecutorPool"]


class LokyExecutorPool(ProcessesPool):
    """An executor of loky's that is fed functions by value.

    Not its reusable executor, which the user's code may resize. loky's resource tracker, one small process,
    stays for the whole session.
    """

    _may_leave = True  # loky replaces one whose memory grows
    _killing: ClassVar[Mapping[str, bool]] = {"kill_workers": True}

    def __init__(self, workers: int, options: StrategyOptions) -> None:
        super().__init__(workers, "loky", options)

    def _made(self, initargs: tuple[Any, ...]) -> Any:
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(self.workers, initializer=start_worker, initargs=initargs)

    def pids(self) -> Sequence[int]:
        """See `HasPids`; loky may replace a worker."""
        processes = getattr(self._executor, "_processes", None)
        return tuple(processes) if processes else super().pids()
