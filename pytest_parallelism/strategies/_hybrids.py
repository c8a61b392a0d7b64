"""A pool of processes that each run several tasks at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..resources import usable_cores
from ..strategy import StrategyOptions
from ._chunks import extras
from ._crew_pool import CrewPool
from .processes import start_method

__all__ = ["HybridPool", "divided"]


class HybridPool(CrewPool):
    """``workers`` tasks at once in all, divided among processes.

    The option ``processes`` says among how many; by default half as many as workers, so that each runs two
    at least, and no more than there are usable cores.
    """

    def __init__(self, workers: int, name: str, options: StrategyOptions, *, loops: bool) -> None:
        extra = extras(options, name, ("processes", "start_method"))
        self.slots = divided(workers, extra.get("processes"), name)
        super().__init__(self.slots, start_method(extra, name), options, loops=loops)

    def info(self) -> Mapping[str, Any]:
        """See `HasInfo`."""
        return {**super().info(), "processes": len(self.slots), "division": "+".join(map(str, self.slots))}


def divided(workers: int, processes: Any, name: str) -> list[int]:
    """How many of ``workers`` each process runs. Raises `UsageError` for a wrong number of processes."""
    if processes is None:
        processes = max(1, min(usable_cores().usable, (workers + 1) // 2))
    if isinstance(processes, bool) or not isinstance(processes, int) or not 1 <= processes <= workers:
        raise UsageError(
            f"{name}: processes must be a whole number from 1 to its {workers} workers, not {processes!r}"
        )
    each, more = divmod(workers, processes)
    return [each + (i < more) for i in range(processes)]
