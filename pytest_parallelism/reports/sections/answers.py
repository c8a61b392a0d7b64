"""The first screen: what to use in each test, what it brings and costs, and what went wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...measurement import Interval, Outcome
from ...record import Record
from .. import text
from ..attention import failing, troubles
from ..comparison import Change, changes, telling
from ..conditions import conditions
from ..findings import BUSY, advice, answer, busy, contenders, ending, point_name
from ..results import Results
from .shapes import GRAVITY, Cell, Content, Group, Row, Table, groups, name_of, outcomes
from .shapes import signed_seconds as signed

__all__ = ["answers", "attention"]

LONGEST_NAME = 80
"""Characters of a test's name in the sentence above all."""

SCALE_WIDTH = 132.0
SCALE_MARGIN = 6.0


def answers(results: Results) -> Content:
    """A sentence, a few figures for the whole run, and a row for each test."""
    found = groups(results)
    if not found:
        return None
    against = results.others[0] if len(results.others) == 1 else None
    changed = changes(results, against) if against else {}
    scale = _Scale.of([group.chosen.speedup for group in found if group.chosen])
    return {
        "sentence": _sentence(found),
        "tiles": [*_tiles(found), *_changed(against, changed)],
        "table": _table(found, against, changed),
        "places": {group.ident: scale.places(group.chosen.speedup) for group in found if group.chosen},
        "scale": scale,
        "conditions": conditions(results.records),
    }


def attention(results: Results) -> Content:
    """Every verdict that failed or is inconclusive, and every point that failed."""
    of = {group.test: group for group in groups(results)}
    rows: list[Row] = []
    for trouble in troubles(results, failing(results) | {Outcome.INCONCLUSIVE.value}):
        group, outcome = of[trouble.test], trouble.outcome
        cells = [
            Cell(", ".join(map(name_of, trouble.entries))),
            Cell(chips=[(outcome, outcome)]),
            Cell(trouble.sentence),
        ]
        rows.append(
            Row(name=group.title, href=group.ident, cells=cells, outcomes=[outcome], words=group.words)
        )
    heads = ("Test", "Points", "Outcome", "Why")
    caption = "Missed and inconclusive gates, and tests that failed"
    return {"table": Table(caption=caption, heads=heads, rows=rows)} if rows else None


def _sentence(found: Sequence[Group]) -> str:
    measured = [group for group in found if group.records]
    judged = [group for group in measured if contenders(group.records)]
    if not judged:
        return _nothing_told(measured)
    gaining = sum(group.chosen is not None for group in judged)
    if len(judged) == 1:
        title = text.shorten(text.clean(judged[0].title), LONGEST_NAME)
        said = f"{title} is {'' if gaining else 'not '}faster in parallel, beyond noise"
    else:
        how = {0: "None", len(judged): "All"}.get(gaining, f"{gaining:,}")
        are = "is" if gaining == 1 else "are"
        said = f"{how} of {len(judged):,} tests {are} faster in parallel, beyond noise"
    if any(busy(contenders(group.records)) for group in judged if group.chosen is None):
        said += f", {BUSY}"
    untold = len(measured) - len(judged)
    return f"{said}. No advice for {untold:,} more." if untold else f"{said}."


def _nothing_told(measured: Sequence[Group]) -> str:
    """Where no test has advice: why, as far as it is one reason."""
    if not measured:
        return "Nothing was measured."
    reasons = {advice(group.records) for group in measured} - {""}
    if not reasons:
        return "Only the sequential baseline was measured."
    return f"N{reasons.pop()[1:]}" if len(reasons) == 1 else "No advice for any test."


def _tiles(found: Sequence[Group]) -> Iterator[tuple[str, str, str]]:
    """Name, figure, and what to know besides."""
    best = max((g for g in found if g.chosen), key=lambda g: _chosen(g).speedup.estimate, default=None)
    if best is not None:
        chosen = _chosen(best)
        figure = f"{text.speedup(chosen.speedup.estimate)}x {text.half_width(chosen.speedup)}"
        yield "Largest speedup", figure, f"{best.title}: {point_name(chosen.strategy, chosen.workers)}"
        records = [_chosen(group) for group in found if group.chosen]
        before = math.fsum(r.sequential_median for r in records)
        after = math.fsum(r.parallel_seconds for r in records)
        extra = math.fsum(_extra(r) for r in records)
        share = text.change(after / before)
        note = f"of {text.seconds(before)}, each workload once ({share}), for {signed(extra)} of CPU"
        yield "Saved per run", text.seconds(max(0.0, before - after)), note
    tally = Counter(v.outcome for group in found for r in group.records for v in r.verdicts)
    if tally:
        # What failed is said first, and else what passed.
        order = (Outcome.FAILED, Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED)
        words = [f"{tally[outcome]:,} {outcome.value}" for outcome in order if tally[outcome]]
        yield "Verdicts", words[0], ", ".join(words[1:]) or "and nothing else"


def _changed(against: Results | None, changed: dict[str, Change]) -> Iterator[tuple[str, str, str]]:
    if against is None:
        return
    count = Counter(change.outcome for change in changed.values())
    words = [f"{count[word]:,} {word}" for word in Change.OUTCOMES if count[word]]
    if not words:
        words = ["nothing to compare"]
    yield f"Since {against.name or 'the stored run'}", words[0], ", ".join(words[1:])


def _table(found: Sequence[Group], against: Results | None, changed: dict[str, Change]) -> Table:
    heads = ["Test", "Use", "Speedup", "Interval", "Saved per run", "Extra CPU", "Verdicts"]
    rows = []
    for group in found:
        cells = [*_figures(group), Cell(chips=_chips(group), rank=_gravity(group))]
        if against:
            cells.append(_since(group, telling(group.entries, changed)))
        rows.append(
            Row(
                name=group.title,
                href=group.ident,
                cells=cells,
                outcomes=outcomes(group.entries),
                words=group.words,
            )
        )
    if against:
        heads.append(f"Since {against.name or 'the stored run'}")
    return Table(caption="What to use in each test, per run of its workload", heads=heads, rows=rows)


def _figures(group: Group) -> list[Cell]:
    chosen = group.chosen
    if chosen is None:
        why = answer(group.records) if group.records else "nothing measured"
        return [Cell(why), Cell(), Cell(), Cell(), Cell()]
    saved = chosen.sequential_median - chosen.parallel_seconds
    low, high = text.speedup(chosen.speedup.low), text.speedup(chosen.speedup.high)
    return [
        Cell(answer(group.records)),
        Cell(text.interval(chosen.speedup)),
        Cell(f"{low} to {high}"),
        Cell(signed(saved).removeprefix("+")),
        Cell(signed(_extra(chosen))),
    ]


def _extra(record: Record) -> float:
    return record.cpu.seconds - record.cpu.sequential_seconds


def _chosen(group: Group) -> Record:
    assert group.chosen is not None
    return group.chosen


def _chips(group: Group) -> list[tuple[str, str]]:
    return [(outcome, f"{number:,} {outcome}") for outcome, number in _counts(group).items()]


def _counts(group: Group) -> dict[str, int]:
    found = Counter(v.outcome.value for r in group.records for v in r.verdicts)
    found.update(end for entry in group.entries if (end := ending(entry)) in ("failed", "error"))
    return {outcome: found[outcome] for outcome in GRAVITY if found[outcome]}


def _gravity(group: Group) -> int:
    """By the worst outcome, then by how often."""
    outcome, number = next(iter(_counts(group).items()), (GRAVITY[-1], 0))
    return (len(GRAVITY) - GRAVITY.index(outcome)) * 1_000_000 + number


def _since(group: Group, change: Change | None) -> Cell:
    """The change, with its point where that is not the recommended one."""
    if change is None:
        return Cell()
    point = "" if change.now is group.chosen else name_of(change.entry)
    words = " ".join(filter(None, [change.figure, change.outcome]))
    return Cell(point, chips=[(change.outcome, words)])


@dataclass(frozen=True)
class _Scale:
    """A log axis that all tests share, in the units of a small picture."""

    low: float
    high: float

    @classmethod
    def of(cls, intervals: Sequence[Interval]) -> _Scale:
        return cls(
            low=min([1.0, *(found.low for found in intervals)]),
            high=max([2.0, *(found.high for found in intervals)]),
        )

    def place(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return round(SCALE_MARGIN + share * (SCALE_WIDTH - 2 * SCALE_MARGIN), 1)

    def places(self, found: Interval) -> tuple[float, float, float]:
        return self.place(found.low), self.place(found.estimate), self.place(found.high)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Powers of two, few enough to be read."""
        exponents = range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)
        step = -(-len(exponents) // 4)
        return [(f"{2.0**e:g}x", self.place(2.0**e)) for e in exponents if e % step == 0]
