"""All strategies by name: our folder, installed entry points, and what a conftest adds.

Imports nothing third-party but the entry points that users installed themselves.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from . import strategies
from .errors import UnknownStrategy, UsageError, did_you_mean
from .strategy import Strategy, listed

__all__ = ["ENTRY_POINTS", "GROUPS", "check_connects", "expand", "find", "load"]

ENTRY_POINTS = "pytest_parallelism.strategies"
"""Entry-point group; each entry loads to a `Strategy` or an iterable of them."""

COMMON = ("sequential", "threads", "processes", "joblib-loky", "asyncio")
KINDS = ("local", "distributed", "orchestrators", "cloud")
GROUPS = ("common", *KINDS, "installed")
"""Names that stand for several strategies."""


def load(extra: Iterable[Strategy] = ()) -> Mapping[str, Strategy]:
    """Every known strategy by name, read-only.

    ``extra``: strategies of the caller (the conftest hook). Raises `UsageError` where a name is given
    twice or is a group's, and where an entry point does not give strategies.
    """
    found: dict[str, Strategy] = {}
    sources: dict[str, str] = {}
    for source, strategy in (*_ours(), *_installed(), *(("a conftest hook", s) for s in extra)):
        if not isinstance(strategy, Strategy):
            raise UsageError(f"{source} gives {type(strategy).__name__}, not a Strategy")
        name = strategy.name
        if name in GROUPS:
            raise UsageError(f"{source} names a strategy {name!r}, which is the name of a group; rename it")
        if name in found:
            raise UsageError(
                f"two strategies are named {name!r}: one from {sources[name]}, one from {source}"
            )
        found[name], sources[name] = strategy, source
    return MappingProxyType(found)


def find(name: str, known: Mapping[str, Strategy]) -> Strategy:
    """The strategy of that name. Raises `UnknownStrategy`, which lists the known ones and the nearest."""
    if name in known:
        return known[name]
    hint = did_you_mean(name, (*known, *GROUPS)) or "."
    raise UnknownStrategy(f"No strategy is named {name!r}. Known: {listed(known.values())}{hint}")


def expand(names: Iterable[str], known: Mapping[str, Strategy]) -> tuple[Strategy, ...]:
    """The strategies of names and groups, in that order, each once.

    ``installed`` is every strategy that can run here with one worker. Raises `UnknownStrategy`.
    """
    chosen: dict[str, Strategy] = {}
    for name in names:
        for strategy in _members(name, known) if name in GROUPS else (find(name, known),):
            chosen.setdefault(strategy.name, strategy)
    return tuple(chosen.values())


def check_connects(names: Iterable[str], known: Mapping[str, Strategy]) -> None:
    """Raise `UsageError` for a name whose strategy is unknown, or runs on no cluster of the user's."""
    for name in names:
        if not find(name, known).connects:
            others = listed(strategy for strategy in known.values() if strategy.connects)
            raise UsageError(f"{name} runs on no cluster that has an address; these do: {others or 'none'}")


def _members(group: str, known: Mapping[str, Strategy]) -> Sequence[Strategy]:
    if group == "common":
        return [known[name] for name in COMMON if name in known]
    if group == "installed":
        return [strategy for strategy in known.values() if strategy.obstacle(1) is None]
    return [strategy for strategy in known.values() if strategy.group == group]


def _ours() -> Iterator[tuple[str, Strategy]]:
    for info in pkgutil.iter_modules(strategies.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{strategies.__name__}.{info.name}")
            yield from ((module.__name__, strategy) for strategy in module.STRATEGIES)


def _installed() -> Iterator[tuple[str, Any]]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value)):
        source = f"the entry point {entry.name} = {entry.value}"
        loaded = _loaded(entry, source)
        many = [loaded] if isinstance(loaded, Strategy) or not isinstance(loaded, Iterable) else loaded
        yield from ((source, strategy) for strategy in many)


def _loaded(entry: EntryPoint, source: str) -> Any:
    try:
        return entry.load()
    except Exception as exc:
        raise UsageError(f"{source} cannot be loaded ({type(exc).__name__}: {exc})") from exc
