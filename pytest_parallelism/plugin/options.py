"""Command-line options and their ini twins.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["add", "anything_said", "read"]


class _Option(NamedTuple):
    name: str
    """Field of `Settings`; the option is ``--parallel-NAME``, the ini key ``parallel_NAME``."""
    help: str
    metavar: str | None = None
    """None for a flag."""


_OPTIONS = (
    _Option("report", "show the speedup of every strategy and worker count, which to use, and the verdicts"),
    _Option("strategies", "strategies or groups to run instead of the markers' choice", "NAME,…"),
    _Option("workers", "worker counts to run instead of the markers' choice: numbers, auto, io, max", "N,…"),
    _Option("min_speedup", "speedup that points must reach where no marker says: 1.5 or 2:1.5,4:2.5", "S"),
    _Option("min_efficiency", "efficiency that points must reach where no marker says: 0.8 or 4:0.7", "E"),
    _Option("strict", "inconclusive and not judged gates fail too"),
    _Option("max_time", "seconds that one point may take (default 10)", "SECONDS"),
    _Option("rounds", "measure exactly this many pairs at each point, however long it takes", "N"),
    _Option("check", "run each strategy once for correctness, without timing"),
)


def add(parser: pytest.Parser) -> None:
    """Register the options and ini keys."""
    group = parser.getgroup("parallelism", "measuring parallelization (pytest-parallelism)")
    for option in _OPTIONS:
        flag = "--parallel-" + option.name.replace("_", "-")
        dest = f"parallel_{option.name}"
        if option.metavar is None:
            group.addoption(flag, action="store_true", default=None, dest=dest, help=option.help)
            parser.addini(dest, option.help, type="bool", default=None)
        else:
            group.addoption(flag, default=None, dest=dest, metavar=option.metavar, help=option.help)
            parser.addini(dest, option.help, default=None)


def anything_said(config: pytest.Config) -> bool:
    """True where an option or ini value of ours is given."""
    return any(_said(config, option) is not None for option in _OPTIONS)


def read(config: pytest.Config) -> Settings:
    """The settings of this session; raises our `UsageError` for a wrong value."""
    from ..settings import Settings

    said = {option.name: _said(config, option) for option in _OPTIONS}
    return Settings.parse({name: found for name, found in said.items() if found is not None})


def _said(config: pytest.Config, option: _Option) -> tuple[str, Any] | None:
    """(where it stands, raw value); the command line before the ini file."""
    dest = f"parallel_{option.name}"
    value = config.getoption(dest)
    if value is not None:
        return "--parallel-" + option.name.replace("_", "-"), value
    try:
        value = config.getini(dest)
    except (ValueError, TypeError, pytest.UsageError) as error:  # pytest's own, which may not name the key
        raise pytest.UsageError(f"ini value {dest}: {error}") from None
    return None if value in (None, "") else (f"ini value {dest}", value)
