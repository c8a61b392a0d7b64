"""Command-line options and their ini twins.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["add", "anything_said", "read"]


# (field of `Settings`, help, metavar or None for a flag): the option is --parallel-NAME, the ini key
# parallel_NAME. Plain tuples, since every pytest run pays for this module.
_OPTIONS = (
    ("report", "show the speedup of every strategy and worker count, which to use, and the verdicts", None),
    ("strategies", "strategies or groups to run instead of the markers' choice", "NAME,…"),
    ("workers", "worker counts to run instead of the markers' choice: numbers, auto, io, max", "N,…"),
    ("min_speedup", "speedup that points must reach where no marker says: 1.5 or 2:1.5,4:2.5", "S"),
    ("min_efficiency", "efficiency that points must reach where no marker says: 0.8 or 4:0.7", "E"),
    ("strict", "inconclusive and not judged gates fail too", None),
    ("max_time", "seconds that one point may take (default 10)", "SECONDS"),
    ("rounds", "measure exactly this many pairs at each point, however long it takes", "N"),
    ("compare", "compare with a stored run: latest, or its number or name as in --benchmark-compare", "REF"),
    (
        "compare_fail",
        "fail where a metric is worse than stored by more than that: speedup:5,memory:20",
        "METRIC:PCT,…",
    ),
    ("compare_anyway", "compare also with runs of another machine, Python or library version", None),
    ("export", "write a report (repeatable): .html .csv .md .yaml .json .svg .png, or a folder/", "FILE"),
    ("address", "run a strategy on your cluster (repeatable): dask=tcp://host:8786", "STRATEGY=ADDRESS"),
    ("check", "run each strategy once for correctness, without timing", None),
)
_REPEATED = ("export", "address")


def add(parser: pytest.Parser) -> None:
    """Register the options and ini keys."""
    group = parser.getgroup("parallelism", "measuring parallelization (pytest-parallelism)")
    for name, text, metavar in _OPTIONS:
        flag = "--parallel-" + name.replace("_", "-")
        dest = f"parallel_{name}"
        if metavar is None:
            group.addoption(flag, action="store_true", default=None, dest=dest, help=text)
            parser.addini(dest, text, type="bool", default=None)
        elif name in _REPEATED:
            group.addoption(flag, action="append", default=None, dest=dest, metavar=metavar, help=text)
            parser.addini(dest, text, type="linelist", default=None)
        else:
            group.addoption(flag, default=None, dest=dest, metavar=metavar, help=text)
            parser.addini(dest, text, default=None)


def anything_said(config: pytest.Config) -> bool:
    """True where an option or ini value of ours is given."""
    return any(_said(config, name) is not None for name, _, _ in _OPTIONS)


def read(config: pytest.Config) -> Settings:
    """The settings of this session; raises our `UsageError` for a wrong value."""
    from ..settings import Settings

    said = {name: _said(config, name) for name, _, _ in _OPTIONS}
    return Settings.parse({name: found for name, found in said.items() if found is not None})


def _said(config: pytest.Config, name: str) -> tuple[str, Any] | None:
    """(where it stands, raw value); the command line before the ini file."""
    dest = f"parallel_{name}"
    value = config.getoption(dest)
    if value is not None:
        return "--parallel-" + name.replace("_", "-"), value
    try:
        value = config.getini(dest)
    except (ValueError, TypeError, pytest.UsageError) as error:  # pytest's own, which may not name the key
        raise pytest.UsageError(f"ini value {dest}: {error}") from None
    return None if value in (None, "", []) else (f"ini value {dest}", value)
