"""What a fresh interpreter has to take over from its parent, so that tasks behave as they do there."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any, NamedTuple

__all__ = ["WorkerSettings", "take_over", "worker_settings"]

_Pattern = re.Pattern[str] | str | None
_Filter = tuple[str, _Pattern, tuple[str, str], _Pattern, int]


class WorkerSettings(NamedTuple):
    """Levels of loggers and filters of warnings, as they are in the parent."""

    disabled: int
    """What `logging.disable` was given."""
    levels: dict[str, tuple[int, bool]]
    """By logger: its level, and whether it is disabled; only where it differs from a new logger."""
    filters: tuple[_Filter, ...]


def worker_settings() -> WorkerSettings:
    """What `start_worker` needs to know about this process; picklable."""
    root = logging.getLogger()
    levels = {
        logger.name: (logger.level, logger.disabled)
        for logger in (root, *logging.Logger.manager.loggerDict.values())
        if isinstance(logger, logging.Logger) and (logger is root or logger.level or logger.disabled)
    }
    filters: Any = tuple(warnings.filters)  # typeshed allows them more than Python makes
    named = tuple(
        (action, message, (category.__module__, category.__qualname__), module, line)
        for action, message, category, module, line in filters
    )
    return WorkerSettings(root.manager.disable, levels, named)


def take_over(settings: WorkerSettings) -> None:
    """Makes levels and filters of this process those of its parent."""
    logging.disable(settings.disabled)
    for name, (level, disabled) in settings.levels.items():
        logger = logging.getLogger(name if name != "root" else None)
        logger.setLevel(level)
        logger.disabled = disabled
    warnings.resetwarnings()
    filters: Any = warnings.filters
    filters[:] = [
        (action, message, _category(*category), module, line)
        for action, message, category, module, line in settings.filters
    ]


class _ByName(type):
    """A warning category that is known by its name: filters may name one that no task will ever import."""

    def __subclasscheck__(cls, other: type) -> bool:
        wanted = (cls.__module__, cls.__qualname__)
        return any((base.__module__, base.__qualname__) == wanted for base in other.__mro__)


def _category(module: str, name: str) -> type:
    return _ByName(name.rpartition(".")[2], (Warning,), {"__module__": module, "__qualname__": name})
