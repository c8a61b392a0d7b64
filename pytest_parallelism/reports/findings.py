"""What the points of one test say together, in sentences: what to use, what it costs, what to distrust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from ..contention import CONTENDED, foreign
from ..measurement import Kind
from ..record import Entry, Record
from . import text

__all__ = [
    "BASELINE",
    "BUSY",
    "advice",
    "answer",
    "best",
    "busy",
    "contenders",
    "contention",
    "cost",
    "crowded",
    "described",
    "ending",
    "kind",
    "notes_of",
    "point_name",
    "recommended",
]

BASELINE = "sequential"

EXPECTED = "as expected"
"""How the reason of a point begins that failed and was marked as expected to."""

BUSY = "but the machine was busy: measure again on a calm one"

NEAR = 0.95
"""The smallest worker count within 5 % of the best speedup is recommended (DESIGN.md, section 1)."""


def point_name(strategy: str, workers: int | str) -> str:
    """``threads-w2``, as in test ids; the baseline has one point only."""
    return strategy if strategy == BASELINE else f"{strategy}-w{workers}"


def ending(entry: Entry) -> str:
    """What became of a point: its status, or pytest's word ``xfailed`` for one that failed as expected."""
    expected = entry.reason == EXPECTED or entry.reason.startswith(f"{EXPECTED}: ")
    return "xfailed" if entry.status == "failed" and expected else entry.status


def kind(records: Iterable[Record]) -> Kind:
    """Of the work, as most of its points found it; there is at least one."""
    return Counter(r.kind for r in records).most_common(1)[0][0]


def crowded(records: Sequence[Record]) -> int | None:
    """The worker count above which workers share cores, None where the work does not need cores."""
    return None if kind(records) is Kind.IO else max(r.usable_cores for r in records)


def described(records: Sequence[Record]) -> str:
    """The work in words: ``64 items, 14.2 MB, cpu-bound; sequential 412 ms``."""
    items = next((r.items for r in records if r.items is not None), None)
    size = next((r.size_bytes for r in records if r.size_bytes is not None), None)
    facts = [] if items is None else [text.counted(items, "item")]
    facts += [] if size is None else [text.size(size)]
    found = kind(records)
    facts.append("mixed cpu and io" if found is Kind.MIXED else f"{found.value}-bound")
    return f"{', '.join(facts)}; sequential {text.seconds(median(r.sequential_median for r in records))}"


def notes_of(record: Record) -> Iterator[str]:
    """What to know of a point besides its figures, in sentences."""
    yield from record.notes
    info = record.strategy_info
    if "chosen" in info:
        yield f"chose {info['chosen']} workers one after another, the last for {info.get('why')}"
    if record.result == "unchecked" and not any("checked" in note for note in record.notes):
        yield "the parallel result was not checked; use equal="
    if record.tracing:
        yield f"traced by {record.tracing}, whose own cost is in the figures"


def contention(record: Record) -> float | None:
    """The contention of this point that others caused (see `contention.foreign`); None where unknown."""
    return foreign(
        kind=record.kind,
        sequential=(
            record.contention.sequential,
            record.cpu.sequential_seconds,
            record.sequential_median,
        ),
        parallel=(record.contention.parallel, record.cpu.seconds, record.parallel_seconds),
        workers=record.workers,
        cores=record.usable_cores,
        shares_gil=record.environment.get("gil") is not False and record.isolation in ("none", "thread"),
        others=_others(record),
    )


def _others(record: Record) -> tuple[float, float] | None:
    """See `contention.foreign`; the share that a record has is of all cores, whatever the quota."""
    if record.contention.foreign is None or record.environment.get("quota") is not None:
        return None
    watched = record.pairs * (record.sequential_median + record.parallel_seconds)
    return record.contention.foreign * record.usable_cores, watched


def best(records: Iterable[Record]) -> Record | None:
    """The largest speedup whose interval lies above 1; None where nothing gains."""
    gaining = (r for r in contenders(records) if r.speedup.low > 1)
    return max(gaining, key=lambda r: r.speedup.estimate, default=None)


def recommended(records: Sequence[Record]) -> Record | None:
    """The best strategy at its smallest worker count within 5 % of the best."""
    top = best(records)
    if top is None:
        return None
    near = (
        r
        for r in contenders(records)
        if r.strategy == top.strategy
        and r.speedup.low > 1
        and r.speedup.estimate >= NEAR * top.speedup.estimate
    )
    return min(near, key=lambda r: r.workers)


def answer(records: Sequence[Record]) -> str:
    """What to use, as a point's name: the baseline where nothing gains, ``no advice`` where none is known."""
    chosen = recommended(records)
    if chosen is not None:
        return point_name(chosen.strategy, chosen.workers)
    return BASELINE if contenders(records) else "no advice"


def advice(records: Sequence[Record]) -> str:
    """What to use and why, as one paragraph; empty where nothing but the baseline was measured."""
    found = contenders(records)
    if not found:
        return _no_advice(records)
    chosen, top = recommended(records), best(records)
    if chosen is None or top is None:
        return " ".join([_no_gain(found), *_gil(found)])
    return " ".join([_use(chosen, top, found), *_cold(chosen), *_gil(found)])


def cost(record: Record) -> str:
    """CPU time, memory and start-up of one point, beside the sequential figures."""
    cpu = record.cpu
    found = [
        f"{text.seconds(cpu.seconds)} of CPU a round (sequential {text.seconds(cpu.sequential_seconds)})"
    ]
    if record.memory.peak_bytes is not None:
        found.append(f"{text.size(record.memory.peak_bytes)} at peak")
    opening = text.seconds(record.open_seconds + record.close_seconds)
    found.append(f"{opening} to open and close, {text.speedup(record.cold_speedup)}x with that")
    return "; ".join(found)


def contenders(records: Iterable[Record]) -> list[Record]:
    """What can be advised: not the baseline, not what a tracer slowed, not what one pair alone says."""
    return [r for r in records if r.strategy != BASELINE and not r.tracing and r.speedup.confidence]


def busy(records: Iterable[Record]) -> bool:
    """Whether others' load may hide a gain: one of these points with several workers was contended."""
    return any((contention(r) or 0) > CONTENDED for r in records if r.workers > 1)


def _no_advice(records: Sequence[Record]) -> str:
    others = [r for r in records if r.strategy != BASELINE]
    if not others:
        return ""
    if any(r.tracing for r in others):
        return "no advice: a tracer ran, and its own cost is in the figures."
    return "no advice: one pair of rounds shows no noise, measure more of them."


def _use(chosen: Record, top: Record, contenders: Sequence[Record]) -> str:
    figures = [f"{text.speedup(chosen.speedup.estimate)}x", *_throughput(chosen)]
    parts = [f"use {_with_workers(chosen)}: {', '.join(figures)}"]
    if top is not chosen:
        more = f"{text.counted(top.workers, 'worker')} give {text.speedup(top.speedup.estimate)}x"
        parts.append(f"{more}, at most 5 % more")
    alike = _within_noise(chosen, contenders)
    if alike:
        parts.append(f"{_listed(alike)} {'is' if len(alike) == 1 else 'are'} within noise of it")
    return "; ".join(parts) + "."


def _throughput(record: Record) -> list[str]:
    rates = []
    if record.throughput.items_per_second is not None:
        rate = record.throughput.items_per_second
        rates.append(f"{rate:,.0f} items/s" if rate >= 99.95 else f"{rate:.3g} items/s")
    if record.throughput.bytes_per_second is not None:
        rates.append(f"{text.size(record.throughput.bytes_per_second)}/s")
    return rates


def _within_noise(chosen: Record, contenders: Sequence[Record]) -> list[str]:
    """Other strategies whose interval overlaps the chosen one's, each at its smallest such count."""
    alike: dict[str, Record] = {}
    for record in sorted(contenders, key=lambda r: (r.workers != chosen.workers, r.workers)):
        overlaps = record.speedup.low <= chosen.speedup.high and record.speedup.high >= chosen.speedup.low
        if overlaps and record.strategy != chosen.strategy:
            alike.setdefault(record.strategy, record)
    return [name if r.workers == chosen.workers else _with_workers(r) for name, r in alike.items()]


def _no_gain(contenders: Sequence[Record]) -> str:
    sentence = "run it sequentially: nothing here is faster beyond noise"
    return f"{sentence}, {BUSY}." if busy(contenders) else f"{sentence}."


def _cold(chosen: Record) -> list[str]:
    if chosen.cold_speedup > 1:
        return []
    opening = text.seconds(chosen.open_seconds + chosen.close_seconds)
    cold = text.speedup(chosen.cold_speedup)
    return [f"Keep the pool open: with opening and closing it ({opening}) the speedup is {cold}x."]


def _gil(contenders: Sequence[Record]) -> list[str]:
    threads = [r for r in contenders if r.isolation == "thread" and r.workers > 1 and r.kind is Kind.CPU]
    locked = threads and all(r.environment.get("gil") is True for r in threads)
    if locked and all(r.speedup.low <= 1 for r in threads):
        return ["Threads gain nothing here: the GIL is on."]
    return []


def _with_workers(record: Record) -> str:
    return f"{record.strategy} with {text.counted(record.workers, 'worker')}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
