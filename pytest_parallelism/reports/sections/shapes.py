"""What sections are made of: groups of points, and tables of figures that sort and filter."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from ...measurement import Verdict
from ...record import Entry, Record
from .. import text
from ..findings import ending, point_name, recommended
from ..results import Results

__all__ = [
    "GRAVITY",
    "Cell",
    "Content",
    "Group",
    "Row",
    "Section",
    "Table",
    "filled",
    "groups",
    "known",
    "merged",
    "name_of",
    "outcomes",
    "signed_seconds",
]

Of = TypeVar("Of")
Said = TypeVar("Said", bound=Hashable)
Content = Mapping[str, Any] | None

GRAVITY = ("failed", "error", "inconclusive", "not judged", "passed", "not measured", "xfailed", "skipped")
"""Outcomes and what else becomes of points, the worst first."""

MANY_TESTS = 12
"""With more tests than this their plots are folded away."""


@dataclass(frozen=True)
class Section(Generic[Of]):
    """A part of the page: the template ``name``.html under the heading ``title``."""

    name: str
    title: str
    content: Callable[[Of], Content]
    """What the template finds as ``content``; None leaves the section out."""


def filled(sections: Iterable[Section[Of]], of: Of) -> list[tuple[Section[Of], Content]]:
    """Those of the sections that have something to show, with it."""
    found = ((section, section.content(of)) for section in sections)
    return [(section, content) for section, content in found if content is not None]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One test of the run; ``ident`` is its anchor, made of no name that a user gave."""

    ident: str
    test: str
    title: str
    entries: Sequence[Entry]
    folded: bool

    @cached_property
    def records(self) -> list[Record]:
        """Of its measured points."""
        return [entry.record for entry in self.entries if entry.record is not None]

    @cached_property
    def chosen(self) -> Record | None:
        """The recommended point."""
        return recommended(self.records)

    @property
    def words(self) -> str:
        """What the search finds it by, besides what is shown."""
        strategies = dict.fromkeys(entry.strategy for entry in self.entries)
        return text.shorten(text.clean(f"{self.test} {' '.join(strategies)}"), 400)


def groups(results: Results) -> list[Group]:
    """The tests of a run in its order."""
    folded = len(results.tests) > MANY_TESTS
    return [
        Group(
            ident=f"t{number}", test=test, title=results.titles[test], entries=tuple(entries), folded=folded
        )
        for number, (test, entries) in enumerate(results.tests.items(), 1)
    ]


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as people read it. Columns sort by what is shown, its unit too, or else by ``rank``."""

    text: str = ""
    chips: Sequence[tuple[str, str]] = ()
    """Words to mark by colour and sign, each behind the outcome that says by which."""
    rank: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The figures of one thing, by its ``name``.

    ``outcomes``: what the verdict buttons find it by; None where it is about no test: the filter leaves it.
    """

    name: str
    cells: Sequence[Cell]
    outcomes: Sequence[str] | None = None
    words: str = ""
    href: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under ``heads``, of which the first is that of their names."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Row]
    note: str = ""


def known(form: Callable[[float], str], value: float | None) -> Cell:
    """An empty cell where the value is unknown."""
    return Cell(text.known(form, value))


def signed_seconds(value: float) -> str:
    """``+1.2 s``, ``-30 ms``."""
    return f"{'-' if value < 0 else '+'}{text.seconds(abs(value))}"


def name_of(entry: Entry) -> str:
    """The point, by what was asked for, as in test ids."""
    return point_name(entry.strategy, entry.workers_requested)


def outcomes(entries: Iterable[Entry]) -> list[str]:
    """The outcomes of their verdicts, and what became of those without figures, each once, worst first."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.status != "measured":
            found[ending(entry)] = None
        found |= dict.fromkeys(verdict.outcome.value for verdict in _verdicts(entry))
    return sorted(found, key=GRAVITY.index)


def merged(found: Iterable[tuple[Entry, Said]]) -> dict[Said, list[Entry]]:
    """Points by what is said about them: what is equal is said once."""
    alike: dict[Said, list[Entry]] = {}
    for entry, sentence in found:
        alike.setdefault(sentence, []).append(entry)
    return alike


def _verdicts(entry: Entry) -> Sequence[Verdict]:
    return entry.record.verdicts if entry.record else ()
