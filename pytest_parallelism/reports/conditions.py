"""The conditions that points were measured under, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from ..contention import CONTENDED
from ..record import Record
from . import text
from .findings import contention

__all__ = ["conditions"]


def conditions(records: Sequence[Record]) -> list[str]:
    """One sentence for each set of conditions, mostly one.

    Its contention: the worst point decides the word (calm up to 10 %), since one contended point can
    mislead; the median says how it mostly was.
    """
    alike: dict[str, list[Record]] = {}
    for record in records:
        alike.setdefault(_condition(record), []).append(record)
    sentences: list[str] = []
    for condition, under in alike.items():
        points = f" ({text.counted(len(under), 'point')})" if len(alike) > 1 else ""
        sentences.append(f"{condition}, {_calm(under)}{points}")
    return sentences


def _condition(record: Record) -> str:
    known = record.environment
    quota = f" (quota {known['quota']:g})" if isinstance(known.get("quota"), (int, float)) else ""
    cores = f"{text.counted(record.usable_cores, 'usable core')}{quota}"
    parts = [f"{cores} of {_model(str(known.get('cpu_model') or 'an unknown CPU'))}"]
    parts.append(f"Python {known.get('python') or 'unknown'}")
    if known.get("gil") is not None:
        parts.append(f"GIL {'on' if known['gil'] else 'off'}")
    threads = known.get("blas_threads")
    if isinstance(threads, int):
        parts.append(f"BLAS {text.counted(threads, 'thread')}")
    return ", ".join(parts)


def _model(name: str) -> str:
    return text.shorten(" ".join(re.sub(r"\((R|TM)\)|(CPU )?@.*|\d+-Core Processor", " ", name).split()), 40)


def _calm(records: Sequence[Record]) -> str:
    shares = [share for share in map(contention, records) if share is not None]
    if not shares:
        return "contention unknown"
    middle, worst = _percent(median(shares)), _percent(max(shares))
    figures = f"{middle} contention" if middle == worst else f"{middle} contention, {worst} at worst"
    busy = sum(share > CONTENDED for share in shares)
    where = f"contended at {busy} of {text.counted(len(shares), 'point')}" if busy else "calm"
    return f"{where} ({figures})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
