"""Loggers of an engine that say nothing for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silenced"]


@contextmanager
def silenced(*loggers: logging.Logger) -> Iterator[None]:
    """Meanwhile these log nothing here, nor in workers, which take over their levels."""
    levels = {logger: logger.level for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
