"""What went wrong in a run: gates that were missed or could not be judged, and points that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..measurement import Outcome
from ..record import Entry
from .findings import ending
from .results import Results

__all__ = ["Trouble", "failing", "troubles"]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A sentence about points of one test; ``outcome`` is that of a verdict, or what became of the points."""

    test: str
    entries: list[Entry]
    outcome: str
    sentence: str


def failing(results: Results) -> frozenset[str]:
    """What fails a test of this run: with ``--parallel-strict`` also what could not be judged."""
    unsure = (Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED) if results.strict else ()
    return frozenset({"failed", "error", *(outcome.value for outcome in unsure)})


def troubles(results: Results, outcomes: frozenset[str]) -> Iterator[Trouble]:
    """Verdicts with one of the outcomes, and points that ended so: what is said of several points once."""
    for test, group in results.tests.items():
        found: dict[tuple[str, str], list[Entry]] = {}
        for entry in group:
            for outcome, sentence in _said(entry):
                if outcome in outcomes:
                    found.setdefault((outcome, sentence), []).append(entry)
        for (outcome, sentence), about in found.items():
            yield Trouble(test=test, entries=about, outcome=outcome, sentence=sentence)


def _said(entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.record is None:
        yield ending(entry), entry.reason or "no reason given"
    else:
        yield from ((verdict.outcome.value, verdict.sentence) for verdict in entry.record.verdicts)
