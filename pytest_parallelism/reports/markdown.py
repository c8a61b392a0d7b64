"""The report for a comment on a pull request and for GitHub's summary of a step.

What is foreign (names, reasons, sentences that hold them) is shown as it is and does nothing: no markup, no
HTML, no link, nobody mentioned and no issue referred to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

from ..measurement import Outcome
from ..record import Entry, Record
from ..regression import fair
from . import text
from .attention import Trouble, failing, troubles
from .comparison import Change, changes, counted, telling
from .conditions import conditions
from .findings import advice, ending, point_name, recommended
from .machines import FACTS, facts, name_of_run, runs, titles, used
from .results import Results

__all__ = ["render"]

LIMIT = 60_000
"""Bytes at most: GitHub's comments take 65,536 characters."""

AROUND = 500
"""Bytes of it for what stands between the parts, and for saying how many rows are left out."""

LONGEST_NAME = 120
LONGEST_RUN = 60
LONGEST_SENTENCE = 500
LONGEST_REASON = 120
"""Terminal cells; GitHub breaks lines by itself."""

MOST_DIFFERENCES = 3

SINCE = "change since "

FIGURES = ("speedup", "efficiency", "CPU", "memory")
"""Columns that stand to the right, as all changes do."""

_MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_REFERENCE = re.compile(r"[@#]|\bGH-(?=\d)", re.IGNORECASE)
"""GitHub looks for these in the text that is left when escapes are undone: only a character between helps."""


@dataclass(frozen=True)
class _Then:
    """The run that this one is compared with."""

    name: str
    changed: Mapping[str, Change]

    def change(self, entry: Entry) -> str:
        """Of the speedup, bold where noise cannot explain it; nothing where it cannot be compared."""
        found = self.changed.get(entry.nodeid)
        return _change(found) if found else ""

    def telling(self, group: Sequence[Entry], chosen: Record | None) -> str:
        """What became of a test, with the name of the point where that is not the chosen one."""
        found = telling(group, self.changed)
        if found is None or found.ratio is None:
            return ""
        return _change(found) if found.now is chosen else f"{_name(found.entry)} {_change(found)}"


def render(results: Results) -> str:
    """The verdicts, an answer for each test, what failed, all points, the conditions: at most `LIMIT` bytes.

    With one run beside this one (`Results.others`) there is a column of changes, with several a table by
    machine. Failures, conditions, answers and machines get half of what is left in this order, and points the
    rest. What does not fit is left out from the end, and a sentence says how many.
    """
    then, fails = _then(results), failing(results)
    heading = [f"### Parallelism: {_tally(results.entries, fails) or 'no verdicts'}"]
    unlike = _unlike(then)
    room = LIMIT - AROUND - _size([*heading, *unlike])
    failures = [_failure(trouble, results) for trouble in troubles(results, fails)]
    failed = _kept(failures, len(failures), "failures", room // 2)
    room -= _size(failed)
    sentences = [_words(sentence, LONGEST_SENTENCE) for sentence in conditions(results.records)]
    under = _kept(sentences, len(sentences), "conditions", room // 2)
    room -= _size(under) + len(under)
    answers = _table(_answers(results, then, fails), len(results.tests), "tests", room // 2)
    room -= _size(answers)
    beside = _machines(runs(results), room // 2)
    room -= _size(beside)
    points = _table(_points(results, then, fails), len(results.entries), "points", room)
    summary = f"<details><summary>{text.counted(len(results.entries), 'point')}</summary>"
    details = [summary, "", *points, "", "</details>"] if points else []
    parts = [heading, answers, failed, beside, details, unlike, *([sentence] for sentence in under)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _then(results: Results) -> _Then | None:
    if len(results.others) != 1:
        return None
    (other,) = results.others
    return _Then(_words(other.name or "the other run", LONGEST_NAME), changes(results, other))


def _tally(entries: Sequence[Entry], fails: AbstractSet[str]) -> str:
    """How many verdicts of which outcome, and of which status the points are that have no figures."""
    outcomes = Counter(v.outcome for entry in entries if entry.record for v in entry.record.verdicts)
    found = [_bold(f"{outcomes[o]} {o.value}", o.value in fails) for o in Outcome if outcomes[o]]
    endings = Counter(ending(entry) for entry in entries if entry.status != "measured")
    points = [_bold(f"{n} {end}", end in fails) for end, n in endings.items()]
    return "; ".join(filter(None, [", ".join(found), f"points: {', '.join(points)}" if points else ""]))


def _bold(words: str, bold: bool) -> str:
    return f"**{words}**" if bold and words else words


def _answers(results: Results, then: _Then | None, fails: AbstractSet[str]) -> Iterator[Sequence[str]]:
    """The head and a row for each test."""
    yield ["test", "answer", "speedup", "efficiency", *_change_head(then), "verdicts"]
    for test, group in results.tests.items():
        records = [entry.record for entry in group if entry.record is not None]
        chosen = recommended(records)
        answer = advice(records).partition(":")[0]
        yield [
            _words(results.titles[test], LONGEST_NAME),
            _words(answer, LONGEST_NAME),
            *(_figures(chosen) if chosen else ("", "")),
            *([then.telling(group, chosen)] if then else []),
            _tally(group, fails),
        ]


def _change(change: Change) -> str:
    """With the speedup that was compared, where that is not the one by wall clock."""
    figure = _bold(change.figure, change.outcome in ("worse", "better"))
    if not figure or fair(change.now) is change.now.speedup:
        return figure
    return f"{figure} to {_words(counted(change.now), LONGEST_NAME)}"


def _change_head(then: _Then | None) -> list[str]:
    return [f"{SINCE}{then.name}"] if then else []


def _figures(record: Record) -> tuple[str, str]:
    return text.interval(record.speedup).replace("<", "&lt;"), text.percent(record.efficiency.estimate)


def _points(results: Results, then: _Then | None, fails: AbstractSet[str]) -> Iterator[Sequence[str]]:
    """The head and a row for each point; the test's name stands in its first one."""
    yield ["test", "point", "speedup", "efficiency", "CPU", "memory", *_change_head(then), "verdicts"]
    for test, group in results.tests.items():
        title = _words(results.titles[test], LONGEST_NAME)
        for entry in group:
            change = [then.change(entry)] if then else []
            yield [title, _name(entry), *_measured(entry), *change, _end(entry, fails)]
            title = ""


def _measured(entry: Entry) -> Sequence[str]:
    record = entry.record
    if record is None:
        return ("", "", "", "")
    peak = record.memory.peak_bytes
    return (*_figures(record), text.seconds(record.cpu.seconds), "" if peak is None else text.size(peak))


def _end(entry: Entry, fails: AbstractSet[str]) -> str:
    """Outcomes of the point's verdicts; without figures its status and why."""
    if entry.record is None:
        end = _bold(ending(entry), ending(entry) in fails)
        return f"{end}: {_words(entry.reason, LONGEST_REASON)}" if entry.reason else end
    outcomes = dict.fromkeys(v.outcome for v in entry.record.verdicts)
    return ", ".join(_bold(outcome.value, outcome.value in fails) for outcome in outcomes)


def _failure(failure: Trouble, results: Results) -> str:
    points = ", ".join(map(_name, failure.entries))
    ended = "" if failure.entries[0].record else f"{failure.outcome}: "
    title = _words(results.titles[failure.test], LONGEST_NAME)
    return f"- **{title}**, {points}: {ended}{_words(failure.sentence, LONGEST_SENTENCE)}"


def _machines(beside: Sequence[Results], room: int) -> list[str]:
    """The machines of several runs, and what each run recommends for each test."""
    if not beside:
        return []
    names = [_words(name_of_run(run), LONGEST_RUN) for run in beside]
    machines = (
        [name, *(_words(fact, LONGEST_NAME) for fact in facts(run))]
        for name, run in zip(names, beside, strict=True)
    )
    advised = (
        [_words(title, LONGEST_NAME), *(_words(used(run, test), LONGEST_NAME) for run in beside)]
        for test, title in titles(beside).items()
    )
    first = _table(chain([["run", *FACTS]], machines), len(beside), "runs", room // 2)
    second = _table(chain([["test", *names]], advised), len(titles(beside)), "tests", room - _size(first))
    return [*first, "", *second]


def _unlike(then: _Then | None) -> list[str]:
    """Why points have no change though they were measured then."""
    found = Counter(change.reason for change in then.changed.values() if change.reason) if then else Counter()
    reasons = [
        f"{_words(reason, LONGEST_REASON)} ({text.counted(number, 'point')})"
        for reason, number in found.most_common()
    ]
    more = ["…"] if len(reasons) > MOST_DIFFERENCES else []
    return [f"Not compared: {'; '.join([*reasons[:MOST_DIFFERENCES], *more])}"] if reasons else []


def _name(entry: Entry) -> str:
    return _words(point_name(entry.strategy, entry.workers_requested), LONGEST_NAME)


def _table(rows: Iterator[Sequence[str]], total: int, what: str, room: int) -> list[str]:
    if not total:
        return []
    columns = next(rows)
    right = [column in FIGURES or column.startswith(SINCE) for column in columns]
    head = [_row(columns), _row("--:" if figures else "---" for figures in right)]
    if _size(head) > room:
        return [f"{total} of {total} {what} are left out here."]
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
