"""The terminal report: one table for each test, what to use, verdicts, conditions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..contention import CONTENDED
from ..measurement import Outcome, Verdict
from ..record import Entry, Record
from . import text
from .conditions import conditions
from .findings import (
    advice,
    best,
    contention,
    cost,
    crowded,
    described,
    ending,
    notes_of,
    point_name,
    recommended,
)
from .resources import LEGEND, resources
from .results import Results
from .table import table

__all__ = ["Line", "Style", "render"]

Style = Literal["", "good", "bad", "warn", "dim", "title"]

LEAST_WIDTH = 40
"""pytest too takes a terminal narrower than this for a wrong answer of the system."""

LONGEST_SENTENCE = 1_000

STYLES: Mapping[str, Style] = {
    "passed": "good",
    "failed": "bad",
    "inconclusive": "warn",
    "not judged": "dim",
    "error": "bad",
    "note": "warn",
    "not measured": "warn",
    "xfailed": "dim",
    "skipped": "dim",
    "cost": "dim",
}


@dataclass(frozen=True)
class Line:
    """One line, complete without its style; ``style`` is what a colour terminal may add."""

    text: str
    style: Style = ""


@dataclass(frozen=True)
class _Tagged:
    """A sentence behind a word such as ``passed``, which is a key of STYLES."""

    tag: str
    sentence: str


def render(
    entries: Sequence[Entry], *, width: int = 80, saved: bool, strict: bool = False, verbose: bool = False
) -> list[Line]:
    """The whole report, no line wider than ``width`` terminal cells (at least 40).

    ``entries`` in the order of the tables and rows; of two with one node id (a repeated test) the last
    counts. ``saved``: pytest-benchmark stores the figures somewhere. ``strict``: ``--parallel-strict``.
    ``verbose``: with what each point used. No entries give no lines.
    """
    width = max(LEAST_WIDTH, width)
    results = Results.of(entries)
    lines: list[Line] = []
    for test, group in results.tests.items():
        lines += [*_group(results.titles[test], group, width, verbose=verbose), Line("")]
    closing = _closing(results.entries, width, saved=saved, strict=strict)
    legend = _sentence(LEGEND, width, style="dim") if verbose else []
    return [*lines, *legend, *closing] if entries else []


def _group(title: str, group: Sequence[Entry], width: int, *, verbose: bool) -> list[Line]:
    records = [entry.record for entry in group if entry.record is not None]
    lines = _heading(title, records, width)
    if records:
        top = best(records)
        lines += [
            Line(text.shorten(row, width), style)
            for row, style in table(group, top, width, crowded=crowded(records))
        ]
        lines += _sentence(advice(records), width, indent="  ", style="" if top is None else "good")
    if records and verbose:
        lines += [Line(text.shorten(row, width), style) for row, style in resources(group, width)]
    ended = _without_figures(group, "failed", "error")
    untried = _without_figures(group, "not measured", "xfailed", "skipped")
    return lines + _tagged([*_costs(records), *_verdicts(group), *ended, *_notes(group), *untried], width)


def _heading(title: str, records: Sequence[Record], width: int) -> list[Line]:
    if not records:
        return [Line(text.shorten(title, width), "title")]
    facts, legend = described(records), _legend(records)
    whole = f"{title}   {facts}"
    if text.cells(whole) + 5 + text.cells(legend) <= width:
        return [Line(f"{whole}     {legend}", "title")]
    if text.cells(whole) <= width:
        first = [Line(whole, "title")]
    else:
        first = [
            Line(text.shorten(title, width), "title"),
            *_sentence(facts, width, indent="  ", style="title"),
        ]
    return [*first, *_sentence(legend, width, indent="  ", style="dim")]


def _legend(records: Sequence[Record]) -> str:
    reached = sorted({r.speedup.confidence for r in records if r.speedup.confidence})
    confidence = " to ".join(f"{100 * c:.3g}" for c in dict.fromkeys([*reached[:1], *reached[-1:]]))
    width = f"speedup ± half-width ({confidence} %), efficiency" if reached else "speedup, efficiency"
    lone = "; ±? one pair only" if any(not r.speedup.confidence for r in records) else ""
    star = "; * best" if best(records) else ""
    return f"{width}{lone}{star}"


def _sentence(sentence: str, width: int, *, indent: str = "", style: Style = "") -> list[Line]:
    words = text.shorten(text.clean(sentence), LONGEST_SENTENCE)
    if not words:
        return []
    return [Line(line, style) for line in text.wrapped(words, width, first=indent, rest=indent)]


def _tagged(found: Sequence[_Tagged], width: int) -> list[Line]:
    """One line for each, all sentences beginning in one column."""
    column = max((len(item.tag) for item in found), default=0) + 4
    lines: list[Line] = []
    for item in found:
        words = text.shorten(text.clean(item.sentence), LONGEST_SENTENCE)
        first = f"  {item.tag}".ljust(column)
        rows = text.wrapped(words, width, first=first, rest=" " * column)
        lines += [Line(row, STYLES[item.tag]) for row in rows]
    return lines


def _costs(records: Sequence[Record]) -> list[_Tagged]:
    chosen = recommended(records)
    return [] if chosen is None else [_Tagged("cost", cost(chosen))]


def _verdicts(group: Sequence[Entry]) -> list[_Tagged]:
    """Points that plainly passed in a few words each, the others in the gate's own sentences."""
    passed: list[str] = []
    families: list[_Tagged] = []
    compared: list[tuple[Entry, Verdict]] = []
    rest: dict[Outcome, list[tuple[Entry, str]]] = {outcome: [] for outcome in Outcome}
    found = [(entry, entry.record, v) for entry in group if entry.record for v in entry.record.verdicts]
    for entry, record, verdict in found:
        # Within the tolerance a passed figure lies under its claim: only the sentence explains that.
        plain = verdict.outcome is Outcome.PASSED and (verdict.found or 0) >= verdict.claim
        if verdict.against is not None:
            compared.append((entry, verdict))
        elif not _own(verdict, record):
            families.append(_Tagged(verdict.outcome.value, verdict.sentence))
        elif plain:
            passed.append(f"{_figure(verdict, verdict.found)} >= {_figure(verdict)} {_name(entry)}")
        else:
            rest[verdict.outcome].append((entry, _judged(verdict, record)))
    short = [_Tagged("passed", ", ".join(passed))] if passed else []
    others = [tagged for outcome in Outcome for tagged in _merged(outcome.value, rest[outcome], group)]
    return [*short, *others, *families, *_compared(compared, group)]


def _compared(found: Sequence[tuple[Entry, Verdict]], group: Sequence[Entry]) -> list[_Tagged]:
    """The comparisons with stored runs: those that passed by their figures, the others by their sentences."""
    tagged: list[_Tagged] = []
    passed: dict[str, list[str]] = {}
    for entry, verdict in found:
        if verdict.outcome is Outcome.PASSED and verdict.found is not None:
            change = f"{verdict.gate} {text.change(verdict.found)} {_name(entry)}"
            passed.setdefault(verdict.against or "", []).append(change)
    for run, changes in passed.items():
        tagged.append(_Tagged("passed", f"against {run}: {', '.join(changes)}"))
    for outcome in Outcome:
        if outcome is not Outcome.PASSED:
            said = [(entry, verdict.sentence) for entry, verdict in found if verdict.outcome is outcome]
            tagged += _merged(outcome.value, said, group)
    return tagged


def _own(verdict: Verdict, record: Record) -> bool:
    """Whether a verdict is about this point alone; with ``require="any"`` it is about many."""
    own = [record.speedup.estimate]
    own += [record.uncontended_speedup.estimate] if record.uncontended_speedup else []
    by = record.workers if verdict.gate == "efficiency" else 1
    return verdict.found is None or any(math.isclose(verdict.found, value / by) for value in own)


def _judged(verdict: Verdict, record: Record) -> str:
    """The gate's sentence; of what is not judged only claim and reason, as its figures prove nothing."""
    _, _, reason = verdict.sentence.partition("): ")
    if not reason or verdict.outcome is not Outcome.NOT_JUDGED:
        return verdict.sentence
    return f"{_figure(verdict)} at {text.counted(record.workers, 'worker')}: {reason}"


def _figure(verdict: Verdict, value: float | None = None) -> str:
    """``value``, or else the claim, in the gate's own metric."""
    figure = text.percent if verdict.gate == "efficiency" else text.speedup
    return figure(verdict.claim if value is None else value)


def _name(entry: Entry) -> str:
    return point_name(entry.strategy, entry.workers_requested)


def _merged(tag: str, found: Iterable[tuple[Entry, str]], group: Sequence[Entry]) -> list[_Tagged]:
    """Equal sentences as one, behind the points that they are about."""
    merged: dict[str, list[Entry]] = {}
    for entry, sentence in found:
        merged.setdefault(sentence, []).append(entry)
    return [_Tagged(tag, f"{_points(about, group)}: {sentence}") for sentence, about in merged.items()]


def _points(about: Sequence[Entry], group: Sequence[Entry]) -> str:
    """Names of points; a strategy's own name where it is about all of its several points."""
    names: list[str] = []
    for entry in about:
        points = {e.nodeid for e in group if e.strategy == entry.strategy}
        whole = len(points) > 1 and points <= {e.nodeid for e in about}
        names.append(entry.strategy if whole else _name(entry))
    return ", ".join(dict.fromkeys(names))


def _notes(group: Sequence[Entry]) -> list[_Tagged]:
    found: dict[str, list[tuple[Entry, str]]] = {}
    busy: list[str] = []
    for entry in group:
        if entry.record is None:
            continue
        for note in notes_of(entry.record):
            # Notes that differ only in their figures say one thing.
            found.setdefault(re.sub(r"\d+(\.\d+)?", "#", note), []).append((entry, note))
        waited = contention(entry.record)
        if waited is not None and waited > CONTENDED:
            alone = entry.record.uncontended_speedup
            without = f" ({text.speedup(alone.estimate)}x without that)" if alone else ""
            busy.append(f"{_name(entry)} {text.percent(waited)}{without}")
    notes = []
    for alike in found.values():
        more = "; the others alike" if len({note for _, note in alike}) > 1 else ""
        notes.append(_Tagged("note", f"{_points([e for e, _ in alike], group)}: {alike[0][1]}{more}"))
    if busy:
        notes.append(_Tagged("note", f"contended, part of the time waiting for a core: {', '.join(busy)}"))
    return notes


def _without_figures(group: Sequence[Entry], *endings: str) -> list[_Tagged]:
    tagged: list[_Tagged] = []
    for end in endings:
        found = [(e, text.shorten(e.reason, 300) or "no reason given") for e in group if ending(e) == end]
        tagged += _merged(end, found, group)
    return tagged


def _closing(entries: Sequence[Entry], width: int, *, saved: bool, strict: bool) -> list[Line]:
    records = [entry.record for entry in entries if entry.record is not None]
    lines = [line for sentence in conditions(records) for line in _sentence(sentence, width)]
    endings = Counter(map(ending, entries))
    if set(endings) != {"measured"}:
        count = ", ".join(f"{number} {end}" for end, number in endings.items())
        lines += _sentence(f"points: {count}", width)
    lines += _tally(records, width, strict=strict)
    if records and not saved:
        advised = (
            "nothing was stored: add --benchmark-autosave or --benchmark-json=FILE to keep these figures"
        )
        lines += _sentence(advised, width, style="dim")
    return lines


def _tally(records: Sequence[Record], width: int, *, strict: bool) -> list[Line]:
    outcomes = Counter(verdict.outcome for record in records for verdict in record.verdicts)
    count = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome)
    unsure = outcomes[Outcome.INCONCLUSIVE] + outcomes[Outcome.NOT_JUDGED]
    style: Style = "good" if outcomes[Outcome.PASSED] else ""
    if outcomes[Outcome.FAILED] or (strict and unsure):
        style = "bad"
    elif outcomes[Outcome.INCONCLUSIVE]:
        style = "warn"
    words = f" (--parallel-strict: {unsure} more fail)" if strict and unsure else ""
    return _sentence(f"verdicts: {count}{words}", width, style=style)
