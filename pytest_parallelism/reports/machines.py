"""Several runs beside each other: their machines, and what each says of each test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..record import Record
from ..regression import condition
from . import text
from .findings import answer, recommended
from .results import Results

__all__ = ["FACTS", "facts", "name_of_run", "runs", "titles", "used"]

FACTS = ("when", "commit", "usable cores", "CPU model", "Python", "GIL", "memory at peak")


def runs(results: Results) -> list[Results]:
    """Oldest first, this one last; none where fewer than three stand beside each other."""
    return [*results.others, results] if len(results.others) > 1 else []


def name_of_run(run: Results) -> str:
    """What it is called in tables of several."""
    return run.name or "this run"


def titles(beside: Iterable[Results]) -> dict[str, str]:
    """The tests of all runs, by what the last run that has one calls it."""
    return {test: title for run in beside for test, title in run.titles.items()}


def facts(run: Results) -> Sequence[str]:
    """What `FACTS` names, of one run; the memory is the largest that a recommended point takes."""
    records = run.records
    chosen = [recommended(_records(run, test)) for test in run.tests]
    peaks = [r.memory.peak_bytes for r in chosen if r and r.memory.peak_bytes is not None]
    return (
        text.moment(run.when),
        text.commit(run.commit),
        _distinct(str(r.usable_cores) for r in records),
        *(_distinct(condition(r, key) for r in records) for key in ("cpu_model", "python", "gil")),
        text.known(text.size, max(peaks, default=None)),
    )


def used(run: Results, test: str) -> str:
    """What a run recommends for a test: ``1.91 ±.03 processes-w2, 182 MB``."""
    if test not in run.tests:
        return "not in this run"
    records = _records(run, test)
    record = recommended(records)
    if record is None:
        return answer(records) if records else "nothing measured"
    memory = [] if record.memory.peak_bytes is None else [text.size(record.memory.peak_bytes)]
    return ", ".join([f"{text.interval(record.speedup)} {answer(records)}", *memory])


def _records(run: Results, test: str) -> list[Record]:
    return [entry.record for entry in run.tests[test] if entry.record is not None]


def _distinct(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
