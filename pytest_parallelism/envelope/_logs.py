"""Logging in workers: levels as in their parent, to which their records go.

A worker loads this with `logging` only, which takes 0.4 MB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from ._pickling import loads
from ._speech import arrived, packed, portable, said

__all__ = ["again", "keep", "levels", "set_levels"]


def levels() -> tuple[int, dict[str, tuple[int, bool]]]:
    """What `logging.disable` was given here; level of each logger and whether it is disabled, by name.

    Loggers that are as new ones are left out.
    """
    root = logging.getLogger()
    found = {
        logger.name: (logger.level, logger.disabled)
        for logger in _loggers()
        if logger is root or logger.level or logger.disabled
    }
    return root.manager.disable, found


def set_levels(disabled: int, found: dict[str, tuple[int, bool]]) -> None:
    """What `levels` gave elsewhere, for the loggers of this process."""
    logging.disable(disabled)
    for name, (level, off) in found.items():
        logger = logging.getLogger(name if name != "root" else None)
        logger.setLevel(level)
        logger.disabled = off


def keep() -> Callable[[], None]:
    """From now on, records are kept for the parent; call what is returned, and all is as before.

    The handlers of loggers are put aside, and every logger propagates: the parent's own handlers and
    propagation decide, once.
    """
    before = [(logger, logger.handlers, logger.propagate) for logger in _loggers()]
    for logger, _, _ in before:
        logger.handlers, logger.propagate = [], True
    logging.getLogger().addHandler(_Handler())

    def undo() -> None:
        logging.getLogger().handlers = []
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate

    return undo


def _loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    known = list(logging.Logger.manager.loggerDict.values())
    yield from (logger for logger in known if isinstance(logger, logging.Logger))


class _Handler(logging.Handler):
    """Keeps records as `logging.handlers.SocketHandler` sends them: message and traceback as text."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = {**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None}
            if record.exc_info and not record.exc_text:
                fields["exc_text"] = _formatter.formatException(record.exc_info)
            fields.pop("message", None)
            said.append(("log", packed({name: portable(value) for name, value in fields.items()})))
        except Exception:  # noqa: BLE001  # as every handler of logging
            self.handleError(record)


_formatter = logging.Formatter()


def again(data: bytes) -> None:
    """Gives the loggers of this process a record that a worker has kept."""
    fields = {name: arrived(value) for name, value in loads(data).items()}
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
