"""Processes: workers of our own with one line each, by each start method of this platform."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from ..errors import UsageError
from ..strategy import Isolation, Pool, Strategy, StrategyOptions
from ._methods import METHODS, by_method, start_methods

__all__ = ["STRATEGIES", "posix_only", "start_method"]

_WINDOWS = sys.platform == "win32"


def posix_only(name: str) -> str | None:
    """Why a strategy that needs workers of our own cannot run here, None where it can."""
    return f"{name} needs a POSIX system: use processes" if _WINDOWS else None


def start_method(extra: Mapping[str, Any], name: str) -> str:
    """The start method that an option names, else Python's default. Raises `UsageError`."""
    from ..resources import default_start_method

    method = extra.get("start_method") or default_start_method()
    if method not in (known := start_methods()):
        raise UsageError(f"{name}: start_method must be one of {', '.join(known)}, not {method!r}")
    return str(method)


def _of_method(workers: int, method: str, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._executors import opened

    if _WINDOWS:  # it has neither poll nor socket pairs that a child could take
        from ._process_pool import ProcessesPool

        return opened(ProcessesPool(workers, method, options))
    from ._crew_pool import CrewPool

    return opened(CrewPool([1] * workers, method, options))


def _of_default(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras

    return _of_method(workers, start_method(extras(options, "processes"), "processes"), options)


STRATEGIES = (
    Strategy(
        name="processes",
        open=_of_default,
        isolation=Isolation.PROCESS,
        limits_tasks=not _WINDOWS,
        noun="processes",
    ),
    *(replace(by_method("processes", method, _of_method), limits_tasks=not _WINDOWS) for method in METHODS),
)
