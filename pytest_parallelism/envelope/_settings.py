"""What a fresh interpreter has to take over from its parent, so that tasks behave as they do there."""

from __future__ import annotations

import re
import warnings
from functools import partial
from typing import Any, NamedTuple, cast

from ._inherited import Inherited
from ._loading import when_loaded

__all__ = ["WorkerSettings", "take_over", "worker_settings"]

_Pattern = re.Pattern[str] | str | None
_Filter = tuple[str, _Pattern, tuple[str, str], _Pattern, int]


WorkerSettings = NamedTuple(  # noqa: UP014  # see `_errors`
    "WorkerSettings",
    [
        ("disabled", int),
        ("levels", dict[str, tuple[int, bool]]),
        ("filters", tuple[_Filter, ...]),
        ("inherited", Inherited),
    ],
)
"""Levels of loggers (see `_logs.levels`), filters of warnings and what is inherited, as in the parent."""


def worker_settings() -> WorkerSettings:
    """What `start_worker` needs to know about this process; picklable."""
    from ._logs import levels

    named = tuple(
        (action, message, (category.__module__, category.__qualname__), module, line)
        for action, message, category, module, line in _filters()
    )
    return WorkerSettings(*levels(), named, Inherited())


def take_over(settings: WorkerSettings) -> None:
    """Makes levels and filters of this process those of its parent."""
    when_loaded("logging", partial(_set_levels, settings))
    warnings.resetwarnings()
    warnings.filters[:] = _filters()[:] = [  # type: ignore[index]  # typeshed allows them more than Python makes
        (action, message, _category(*category), module, line)
        for action, message, category, module, line in settings.filters
    ]


def _filters() -> list[Any]:
    """Those that hold here: without a GIL, `catch_warnings` makes some for its context and its threads only.

    Such are not `warnings.filters` (Python 3.14: ``sys.flags.context_aware_warnings``).
    """
    return cast("list[Any]", getattr(warnings, "_get_filters", lambda: warnings.filters)())


def _set_levels(settings: WorkerSettings) -> None:
    from ._logs import set_levels

    set_levels(settings.disabled, settings.levels)


class _ByName(type):
    """A warning category that is known by its name: filters may name one that no task will ever import."""

    def __subclasscheck__(cls, other: type) -> bool:
        wanted = (cls.__module__, cls.__qualname__)
        return any((base.__module__, base.__qualname__) == wanted for base in other.__mro__)


def _category(module: str, name: str) -> type:
    return _ByName(name.rpartition(".")[2], (Warning,), {"__module__": module, "__qualname__": name})
