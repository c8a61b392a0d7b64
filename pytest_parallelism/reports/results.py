"""What every report is made of: one run's points, and what is known besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..record import Entry, Record
from . import text

if TYPE_CHECKING:  # it would import numpy
    from ..history import Series

__all__ = ["Results"]


@dataclass(frozen=True, kw_only=True)
class Results:
    """One run: a session that has just ended, or one that pytest-benchmark has stored. Make it by `of`."""

    entries: tuple[Entry, ...]
    """In the order of tables and rows, each node id once."""
    name: str = ""
    """What people call a stored run, such as ``0003_baseline``; empty for the session at hand."""
    when: str = ""
    """Date and time, ISO 8601 in UTC; empty where unknown."""
    commit: str = ""
    history: tuple[Series, ...] = ()
    """The points, by node id, over stored runs; empty where there are none."""
    strict: bool = False
    """Whether what could not be judged failed too (``--parallel-strict``)."""
    others: tuple[Results, ...] = ()
    """Runs to stand beside this one: what it is compared with, oldest first."""

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        *,
        name: str = "",
        when: str = "",
        commit: str = "",
        history: Sequence[Series] = (),
        others: Sequence[Results] = (),
        strict: bool = False,
    ) -> Results:
        """Of two entries with one node id (a repeated test) the last counts; figures of a test that failed
        are not to be trusted, whatever they are, and are left out."""
        last = {entry.nodeid: _sound(entry) for entry in entries}
        return cls(
            entries=tuple(last.values()),
            name=name,
            when=when,
            commit=commit,
            history=tuple(history),
            others=tuple(others),
            strict=strict,
        )

    @cached_property
    def tests(self) -> dict[str, list[Entry]]:
        """The points of each test, by its node id without our two parameters."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.test, []).append(entry)
        return found

    @cached_property
    def titles(self) -> dict[str, str]:
        """For each test the shortest end of its node id that no other test shares: ``test_parse``."""
        return _titles(self.tests)

    @property
    def records(self) -> list[Record]:
        """Of all measured points."""
        return [entry.record for entry in self.entries if entry.record is not None]


def _sound(entry: Entry) -> Entry:
    return entry if entry.status == "measured" else replace(entry, record=None)


def _titles(tests: Iterable[str]) -> dict[str, str]:
    parts = {test: _parts(text.clean(test)) for test in tests}
    longest = max(map(len, parts.values()), default=0)
    titles: dict[str, str] = {}
    for length in range(1, longest + 1):
        ends = {test: "::".join(names[-length:]) for test, names in parts.items()}
        shared = Counter(ends.values())
        for test, end in ends.items():
            if shared[end] == 1:
                titles.setdefault(test, end)
    return {test: titles.get(test, "::".join(names)) for test, names in parts.items()}


def _parts(test: str) -> list[str]:
    # A parameter may hold "::" too.
    name, bracket, parameters = test.partition("[")
    parts = name.split("::")
    return [*parts[:-1], parts[-1] + bracket + parameters]
