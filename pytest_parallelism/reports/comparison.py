"""The points of one run beside those of another: what changed, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .. import regression
from ..measurement import Interval
from ..record import Entry, Record
from . import text
from .findings import BASELINE, recommended
from .results import Results

__all__ = ["Change", "changes", "counted", "telling"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A point that both runs have: the ratio of its speedups, or why they cannot be compared."""

    OUTCOMES: ClassVar[Sequence[str]] = ("worse", "better", "within noise", "not comparable")

    entry: Entry
    now: Record
    then: Record
    ratio: Interval | None
    reason: str

    @property
    def outcome(self) -> str:
        """One of OUTCOMES: beyond noise is where the whole interval lies on one side.

        As for gates, nothing is worse whose parallel rounds became faster (then it is the baseline that did),
        and nothing is better by an uncontended estimate, which is a bound from above.
        """
        if self.ratio is None:
            return "not comparable"
        if self.ratio.high < 1 and self.now.parallel_seconds >= self.then.parallel_seconds:
            return "worse"
        if self.ratio.low > 1 and regression.fair(self.now) is self.now.speedup:
            return "better"
        return "within noise"

    @property
    def figure(self) -> str:
        """``-12.3 %``; nothing where the two cannot be compared."""
        return "" if self.ratio is None else text.change(self.ratio.estimate)


def changes(results: Results, against: Results) -> dict[str, Change]:
    """The points, by node id, that both runs measured; of the baseline there is nothing to compare."""
    stored = {entry.nodeid: entry.record for entry in against.entries}
    found: dict[str, Change] = {}
    for entry in results.entries:
        now, then = entry.record, stored.get(entry.nodeid)
        if now is None or then is None or entry.strategy == BASELINE:
            continue
        reason = regression.incomparable("speedup", now=now, then=then, name=against.name or "the other run")
        ratio = None if reason else regression.change("speedup", now, then)
        found[entry.nodeid] = Change(entry=entry, now=now, then=then, ratio=ratio, reason=reason or "")
    return found


def telling(group: Sequence[Entry], changed: Mapping[str, Change]) -> Change | None:
    """What became of a test: of the point that is recommended now and the one that was then, the change that
    `Change.OUTCOMES` names first."""
    found = [changed[entry.nodeid] for entry in group if entry.nodeid in changed]
    now = recommended([entry.record for entry in group if entry.record is not None])
    then = recommended([change.then for change in found])
    of_interest = [c for c in found if c.now is now] + [c for c in found if c.then is then]
    return min(of_interest, key=lambda change: Change.OUTCOMES.index(change.outcome), default=None)


def counted(record: Record) -> str:
    """The speedup that comparisons take: ``1.91 ±.03``; of a loaded machine ``1.86 ±.06 (uncontended)``."""
    found = regression.fair(record)
    return f"{text.interval(found)}{'' if found is record.speedup else ' (uncontended)'}"
