"""The report as a fragment of a notebook's page: nothing from outside, no script, in any theme readable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from uuid import uuid4

from ..record import Entry, Record
from ..reports import charts, svg, text
from ..reports.conditions import conditions
from ..reports.findings import advice, best, notes_of, point_name
from ..reports.results import Results

__all__ = ["fragment"]

_HEADS = ("point", "speedup", "efficiency", "a round", "CPU a round", "memory at peak", "verdict")
_OF_COLUMN = 'th scope="col"'
_OF_ROW = 'th scope="row"'
_LONGEST_NAME = 120
_LONGEST_SENTENCE = 500


def fragment(results: Results) -> str:
    """For each test a heading, its points, what to use, the reasons behind it, and its speedups as a plot."""
    return "".join(
        f"<section>{''.join(_test(results.titles[test], group))}</section>"
        for test, group in results.tests.items()
    )


def _test(title: str, group: Sequence[Entry]) -> Iterator[str]:
    records = [entry.record for entry in group if entry.record is not None]
    yield f"<h4>{_name(title)}</h4>"
    heads = "".join(_cell(head, _OF_COLUMN) for head in _HEADS)
    rows = "".join(f"<tr>{row}</tr>" for row in _rows(group, best(records)))
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    if records:
        advised = advice(records)
        yield f"<p><strong>{_sentence(advised)}</strong></p>" if advised else ""
        yield "".join(f"<p>{_sentence(sentence)}</p>" for sentence in conditions(records))
    yield _listed(_reasons(records))
    chart = charts.speedup(group)
    if chart is not None:
        # A notebook's theme is not the system's: the plot brings a paper of its own, for its light colours.
        drawn = svg.draw(chart, ident=f"measured-{uuid4().hex}")
        yield f'<figure style="max-width:30em;margin:0;background:#fff">{drawn}</figure>'


def _rows(group: Iterable[Entry], top: Record | None) -> Iterator[str]:
    for entry in group:
        name = point_name(entry.strategy, entry.workers_requested)
        if entry.record is None:
            reason = _sentence(f"{entry.status}: {entry.reason}")
            yield f'{_cell(name, _OF_ROW)}<td colspan="{len(_HEADS) - 1}">{reason}</td>'
        else:
            head = _cell(name + " (best)" * (entry.record is top), _OF_ROW)
            yield head + "".join(_cell(figure, "td") for figure in _figures(entry.record))


def _figures(record: Record) -> Sequence[str]:
    peak = record.memory.peak_bytes
    return (
        text.interval(record.speedup),
        text.percent(record.efficiency.estimate),
        text.seconds(record.parallel_seconds),
        text.seconds(record.cpu.seconds),
        "" if peak is None else text.size(peak),
        ", ".join(verdict.outcome.value for verdict in record.verdicts),
    )


def _reasons(records: Iterable[Record]) -> Iterator[str]:
    """What the gates and the measurements say of single points."""
    for record in records:
        name = point_name(record.strategy, record.workers_requested)
        yield from (f"{name} {v.outcome.value}: {v.sentence}" for v in record.verdicts)
        yield from (f"{name}: {note}" for note in notes_of(record))


def _listed(sentences: Iterable[str]) -> str:
    found = "".join(f"<li>{_sentence(sentence)}</li>" for sentence in sentences)
    return f"<ul>{found}</ul>" if found else ""


def _cell(words: str, tag: str) -> str:
    return f"<{tag}>{_name(words)}</{tag.partition(' ')[0]}>"


def _name(words: str) -> str:
    return escape(text.shorten(text.clean(words), _LONGEST_NAME))


def _sentence(words: str) -> str:
    return escape(text.shorten(text.clean(words), _LONGEST_SENTENCE))
