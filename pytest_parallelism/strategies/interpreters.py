"""Subinterpreters: concurrent.futures.InterpreterPoolExecutor, from Python 3.14 on."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._interpreters import InterpretersPool

    extras(options, "interpreters")
    return opened(InterpretersPool(workers, options))


def _available(_workers: int) -> str | None:
    if sys.hexversion < 0x030E0000:  # mypy reads sys.version_info as that of Python 3.10
        return "interpreters needs Python 3.14 or newer: use threads or processes"
    return None


STRATEGIES = (
    Strategy(
        name="interpreters",
        open=_open,
        isolation=Isolation.INTERPRETER,
        available=_available,
        noun="interpreters",
    ),
)
