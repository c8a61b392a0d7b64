"""Points against stored runs: ``--parallel-compare`` and what it is to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..errors import UsageError
from ..gate import Quiet
from ..measurement import Verdict
from ..record import Record
from ..regression import compare, differing
from ..settings import Limit
from ..stored import Run, failed, runs

__all__ = ["CALM", "Baselines", "Quiets", "stored_paths"]

CALM = 0.05
"""Share of the usable cores that others may use in a run whose CPU times count as quiet."""

MOST_RUNS = 30
"""So many of the newest stored runs say how much a point differs between runs."""
LATEST = "latest"


@dataclass
class Baselines:
    """The stored runs that a session is compared with, read once, before its own is stored."""

    reference: str
    candidates: Sequence[Run] = ()
    """Newest first."""
    kin: Sequence[Run] = ()
    """Of all runs, the newest."""
    unread: Sequence[str] = ()
    met: dict[str, tuple[Run, Record]] = field(default_factory=dict)
    """Of the points of this session that a candidate has too, which run and record they are compared with."""
    unknown: list[str] = field(default_factory=list)
    """Points of this session that no candidate has."""

    @classmethod
    def of(cls, config: pytest.Config, reference: str) -> Baselines:
        """Reads them; raises pytest's UsageError, one sentence, where the reference names no run."""
        storage = _storage(config)
        if storage is None:
            raise pytest.UsageError("--parallel-compare needs pytest-benchmark, which is switched off")
        if not hasattr(storage, "query"):
            raise pytest.UsageError(
                "--parallel-compare reads runs that are stored as files: pytest-benchmark's Elasticsearch "
                "storage gives back no metrics of ours"
            )
        try:
            stored = _own(storage.query())
            named = stored if reference == LATEST else _own(storage.query(reference))
        except (ValueError, NotImplementedError) as error:  # pytest-benchmark's own words for a pattern
            raise pytest.UsageError(f"--parallel-compare={reference}: {error}") from None
        if reference != LATEST and not named:
            there = ", ".join(path.stem for path in stored[-5:]) or "none"
            raise pytest.UsageError(
                f"--parallel-compare={reference}: no stored run has this number or name in {storage}; "
                f"the newest there: {there}"
            )
        kin, unread = runs(stored[-MOST_RUNS:] if reference != LATEST else stored)
        candidates, more = (kin, []) if reference == LATEST else runs(named)
        if reference != LATEST and not candidates:
            raise pytest.UsageError(f"--parallel-compare={reference}: {more[0]}")
        known = {*unread, *more}
        return cls(reference=reference, candidates=candidates, kin=kin[:MOST_RUNS], unread=sorted(known))

    def verdicts(
        self, fullname: str, now: Record, limits: Sequence[Limit], *, contended: float | None, anyway: bool
    ) -> Iterator[Verdict]:
        """One for each limit; none where no candidate has this point."""
        found = self._chosen(fullname, now)
        if found is None:
            self.unknown.append(fullname)
            return
        self.met[fullname] = run, then = found
        stored = [record for record in self._records(fullname) if differing(now, record) is None]
        for limit in limits:
            yield compare(
                limit,
                now=now,
                then=then,
                name=run.name,
                stored=stored,
                contended=contended,
                anyway=anyway,
            )

    def sentences(self, here: set[str]) -> Iterator[str]:
        """What the summary says: with what was compared, and which points only one side has.

        ``here``: node ids of this session's points.
        """
        yield from self.unread
        if not self.candidates:
            yield "nothing is stored yet to compare with: keep this run with --benchmark-autosave"
            return
        newest = self.candidates[0]
        counts = Counter(run.name for run, _ in self.met.values()) or {newest.name: 0}
        said = (f"{count} point{'s' * (count != 1)} with {name}" for name, count in counts.items())
        yield f"compared {', '.join(said)}"
        if self.unknown:
            yield f"new, not in a stored run: {', '.join(self.unknown)}"
        gone = sorted(name for name in newest.points if name not in here)
        if gone:
            yield f"in {newest.name} only, not run now: {', '.join(gone)}"

    def _chosen(self, fullname: str, now: Record) -> tuple[Run, Record] | None:
        """The newest whose surroundings match, else the newest: it is said what differs."""
        found = [
            (run, record)
            for run in self.candidates
            if (record := _readable(run, fullname)) is not None
            and not (self.reference == LATEST and _spoilt(record))
        ]
        matching = (pair for pair in found if differing(now, pair[1]) is None)
        return next(matching, found[0] if found else None)

    def _records(self, fullname: str) -> Iterator[Record]:
        for run in self.kin:
            record = _readable(run, fullname)
            if record is not None and not failed(record):
                yield record


def _readable(run: Run, fullname: str) -> Record | None:
    try:
        return run.record(fullname)
    except UsageError:
        return None


def stored_paths(config: pytest.Config) -> list[Path]:
    """The files that pytest-benchmark has stored, oldest first; none where it stores no files."""
    storage = _storage(config)
    return _own(storage.query()) if hasattr(storage, "query") else []


def _storage(config: pytest.Config) -> Any:
    """Where pytest-benchmark stores runs, None where it is switched off."""
    return getattr(getattr(config, "_benchmarksession", None), "storage", None)


def _own(paths: Sequence[Any]) -> list[Path]:
    return [Path(path) for path in paths]


@dataclass
class Quiets:
    """What the rounds of a point cost on a quiet machine: in this session, or in stored runs."""

    config: pytest.Config
    stored: Sequence[Run] | None = None
    """The newest stored runs; None until they are read, where nobody has read them yet."""
    _seen: dict[tuple[str, str, int], Record] = field(default_factory=dict)
    """The calm points of this session whose sequential rounds cost least, see `_alike`."""

    def note(self, record: Record) -> None:
        """Remember a point of this session, if it was a calm one."""
        if _calm(record):
            key = _alike(record)
            known = self._seen.get(key, record)
            self._seen[key] = min(known, record, key=lambda one: one.cpu.sequential_seconds)

    def of(self, fullname: str, now: Record) -> Quiet | None:
        """For that point; None where no calm run of the same surroundings is known."""
        if (seen := self._seen.get(_alike(now))) is not None:
            return _quiet(seen, "at a calm point of this session")
        if self.stored is None:
            self.stored, _ = runs(stored_paths(self.config)[-MOST_RUNS:])
        for run in self.stored:
            record = _readable(run, fullname)
            if record is not None and _calm(record) and differing(now, record) is None:
                return _quiet(record, f"in {run.name}")
        return None


def _alike(record: Record) -> tuple[str, str, int]:
    """What points have in common whose work is shared out alike: so many workers at once, of one kind."""
    return record.test, record.isolation, min(record.workers, record.usable_cores)


def _quiet(record: Record, source: str) -> Quiet:
    return Quiet(cpu_seconds=record.cpu.sequential_seconds, growth=record.cpu.growth, source=source)


def _spoilt(record: Record) -> bool:
    """Whether a stored point is none to compare with, unless it is named."""
    return failed(record) or record.contention.contended or record.tracing is not None


def _calm(record: Record) -> bool:
    return not record.contention.contended and (record.contention.foreign or 0.0) < CALM
