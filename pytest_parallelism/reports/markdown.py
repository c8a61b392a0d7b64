"""The report for a comment on a pull request and for GitHub's summary of a step.

What is foreign (names, reasons, sentences that hold them) is shown as it is and does nothing: no markup, no
HTML, no link, nobody mentioned and no issue referred to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import regression
from ..measurement import Outcome
from ..record import Entry, Record
from . import text
from .conditions import conditions
from .findings import advice, point_name, recommended
from .results import Results

__all__ = ["render"]

LIMIT = 60_000
"""Bytes at most: GitHub's comments take 65,536 characters."""

AROUND = 500
"""Bytes of it for what stands between the parts, and for saying how many rows are left out."""

LONGEST_NAME = 120
LONGEST_SENTENCE = 500
LONGEST_REASON = 120
"""Terminal cells; GitHub breaks lines by itself."""

MOST_DIFFERENCES = 3

ENDED = ("failed", "error")
TEXTS = ("test", "answer", "point", "verdicts")
"""Columns that are no figures."""

_MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_REFERENCE = re.compile(r"[@#]|\bGH-(?=\d)", re.IGNORECASE)
"""GitHub looks for these in the text that is left when escapes are undone: only a character between helps."""


@dataclass(frozen=True)
class _Then:
    """The run that this one is compared with."""

    name: str
    records: Mapping[str, Record]

    def difference(self, entry: Entry) -> str | None:
        """What forbids to compare that point, in words."""
        then = self.records.get(entry.nodeid)
        return regression.differing(entry.record, then) if entry.record and then else None

    def change(self, entry: Entry) -> str:
        """Of the speedup, bold where noise cannot explain it; nothing where it cannot be compared."""
        now, then = entry.record, self.records.get(entry.nodeid)
        if now is None or then is None or self.difference(entry):
            return ""
        found = regression.change("speedup", now, then)
        if found is None:
            return ""
        change = text.change(found.estimate)
        sound = all(
            r.speedup.confidence and not r.tracing and not r.contention.contended for r in (now, then)
        )
        return f"**{change}**" if sound and not found.low <= 1 <= found.high else change

    def recommended(self, group: Sequence[Entry]) -> Entry | None:
        """The point of ``group`` that was recommended then."""
        known = [entry for entry in group if entry.nodeid in self.records]
        chosen = recommended([self.records[entry.nodeid] for entry in known])
        return next((entry for entry in known if self.records[entry.nodeid] is chosen), None)


def render(results: Results) -> str:
    """The verdicts, an answer for each test, what failed, all points, the conditions: at most `LIMIT` bytes.

    With one run beside this one (`Results.others`) there is a column of changes. Failures, conditions and
    answers get half of what is left in this order, and points the rest. What does not fit is left out from
    the end, and a sentence says how many.
    """
    then = _then(results)
    heading = [f"### Parallelism: {_tally(results.entries) or 'no verdicts'}"]
    unlike = _unlike(results, then)
    room = LIMIT - AROUND - _size([*heading, *unlike])
    failures = list(_failures(results))
    failed = _kept(map(_failure, failures), len(failures), "failures", room // 2)
    room -= _size(failed)
    sentences = [_words(sentence, LONGEST_SENTENCE) for sentence in conditions(results.records)]
    under = _kept(sentences, len(sentences), "conditions", room // 2)
    room -= _size(under) + len(under)
    answers = _table(_answers(results, then), len(results.tests), "tests", room // 2)
    room -= _size(answers)
    points = _table(_points(results, then), len(results.entries), "points", room)
    summary = f"<details><summary>{text.counted(len(results.entries), 'point')}</summary>"
    details = [summary, "", *points, "", "</details>"] if points else []
    parts = [heading, answers, failed, details, unlike, *([sentence] for sentence in under)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _then(results: Results) -> _Then | None:
    if len(results.others) != 1:
        return None
    (other,) = results.others
    records = {entry.nodeid: entry.record for entry in other.entries if entry.record is not None}
    return _Then(_words(other.name or "the other run", LONGEST_NAME), records)


def _tally(entries: Sequence[Entry]) -> str:
    """How many verdicts of which outcome, and of which status the points are that have no figures."""
    outcomes = Counter(v.outcome for entry in entries if entry.record for v in entry.record.verdicts)
    found = [_bold(f"{outcomes[o]} {o.value}", o is Outcome.FAILED) for o in Outcome if outcomes[o]]
    statuses = Counter(entry.status for entry in entries if entry.status != "measured")
    points = [_bold(f"{n} {s}", s in ENDED) for s, n in statuses.items()]
    return "; ".join(filter(None, [", ".join(found), f"points: {', '.join(points)}" if points else ""]))


def _bold(words: str, bold: bool) -> str:
    return f"**{words}**" if bold else words


def _answers(results: Results, then: _Then | None) -> Iterator[Sequence[str]]:
    """The head and a row for each test."""
    yield ["test", "answer", "speedup", "efficiency", *_change_head(then), "verdicts"]
    for test, group in results.tests.items():
        records = [entry.record for entry in group if entry.record is not None]
        chosen = recommended(records)
        answer = advice(records).partition(":")[0]
        changed = _changed(group, chosen, then) if then else []
        yield [
            _words(results.titles[test], LONGEST_NAME),
            _words(answer, LONGEST_NAME),
            *(_figures(chosen) if chosen else ("", "")),
            *changed,
            _tally(group),
        ]


def _changed(group: Sequence[Entry], chosen: Record | None, then: _Then) -> list[str]:
    """The change of the recommended point; where nothing gains now, of the one that did, with its name."""
    if chosen is not None:
        return [then.change(entry) for entry in group if entry.record is chosen]
    gained = then.recommended(group)
    change = then.change(gained) if gained else ""
    return [f"{_name(gained)} {change}" if gained and change else ""]


def _change_head(then: _Then | None) -> list[str]:
    return [f"change since {then.name}"] if then else []


def _figures(record: Record) -> tuple[str, str]:
    speedup = f"{text.speedup(record.speedup.estimate)} {text.half_width(record.speedup)}"
    return speedup.replace("<", "&lt;"), text.percent(record.efficiency.estimate)


def _points(results: Results, then: _Then | None) -> Iterator[Sequence[str]]:
    """The head and a row for each point; the test's name stands in its first one."""
    yield ["test", "point", "speedup", "efficiency", "CPU", "memory", *_change_head(then), "verdicts"]
    for test, group in results.tests.items():
        title = _words(results.titles[test], LONGEST_NAME)
        for entry in group:
            change = [then.change(entry)] if then else []
            yield [title, _name(entry), *_measured(entry), *change, _end(entry)]
            title = ""


def _measured(entry: Entry) -> Sequence[str]:
    record = entry.record
    if record is None:
        return ("", "", "", "")
    peak = record.memory.peak_bytes
    return (*_figures(record), text.seconds(record.cpu.seconds), "" if peak is None else text.size(peak))


def _end(entry: Entry) -> str:
    """Outcomes of the point's verdicts; without figures its status and why."""
    if entry.record is None:
        status = _bold(entry.status, entry.status in ENDED)
        return f"{status}: {_words(entry.reason, LONGEST_REASON)}" if entry.reason else status
    outcomes = dict.fromkeys(v.outcome for v in entry.record.verdicts)
    return ", ".join(_bold(outcome.value, outcome is Outcome.FAILED) for outcome in outcomes)


def _failures(results: Results) -> Iterator[tuple[str, list[Entry], str]]:
    """Missed gates, and points that ended without figures: a test, points, the sentence for all of them."""
    for test, group in results.tests.items():
        found: dict[str, list[Entry]] = {}
        for entry in group:
            for sentence in _sentences(entry):
                found.setdefault(sentence, []).append(entry)
        for sentence, about in found.items():
            yield results.titles[test], about, sentence


def _failure(failure: tuple[str, list[Entry], str]) -> str:
    title, about, sentence = failure
    points = ", ".join(map(_name, about))
    return f"- **{_words(title, LONGEST_NAME)}**, {points}: {_words(sentence, LONGEST_SENTENCE)}"


def _sentences(entry: Entry) -> Iterator[str]:
    if entry.status in ENDED:
        yield f"{entry.status}: {entry.reason or 'no reason given'}"
    if entry.record is not None:
        yield from (v.sentence for v in entry.record.verdicts if v.outcome is Outcome.FAILED)


def _unlike(results: Results, then: _Then | None) -> list[str]:
    """Why points have no change though they were measured then."""
    found = Counter(then.difference(entry) for entry in results.entries) if then else Counter()
    reasons = [
        f"{_words(reason, LONGEST_REASON)} ({text.counted(number, 'point')})"
        for reason, number in found.most_common()
        if reason is not None
    ]
    more = ["…"] if len(reasons) > MOST_DIFFERENCES else []
    return [f"Not compared: {'; '.join([*reasons[:MOST_DIFFERENCES], *more])}"] if reasons else []


def _name(entry: Entry) -> str:
    return _words(point_name(entry.strategy, entry.workers_requested), LONGEST_NAME)


def _table(rows: Iterator[Sequence[str]], total: int, what: str, room: int) -> list[str]:
    if not total:
        return []
    columns = next(rows)
    head = [_row(columns), _row("---" if column in TEXTS else "--:" for column in columns)]
    return [*head, *_kept(map(_row, rows), total, what, room - _size(head))]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kept(lines: Iterable[str], total: int, what: str, room: int) -> list[str]:
    """The first of ``total`` lines that have room, and how many have not."""
    kept: list[str] = []
    for line in lines:
        room -= _size([line])
        if room < 0:
            return [*kept, "", f"{total - len(kept)} of {total} {what} are left out here."]
        kept.append(line)
    return kept


def _size(lines: Iterable[str]) -> int:
    """Bytes, each with the end of its line."""
    return sum(len(line.encode()) + 1 for line in lines)


def _words(foreign: str, longest: int) -> str:
    """Foreign text as Markdown that shows it, on one line."""
    shown = text.shorten(text.clean(foreign), longest)
    return _REFERENCE.sub(r"\g<0>&#8203;", _MARKUP.sub(r"\\\g<0>", shown))
