"""A point's speedup over stored runs, and where it changed for good.

A step is a change of the mean of the log speedups. The place is that of the largest likelihood ratio for one
change of a normal mean (D. M. Hawkins, JASA 72 (1977) 180-186); whether it is one is asked of permutations of
the same values, so that nothing is assumed of their distribution; and what lies before and behind it is
searched in turn (binary segmentation: A. J. Scott and M. Knott, Biometrics 30 (1974) 507-512).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .measurement import Interval
from .record import speedup_of
from .stored import read

__all__ = ["LEAST_STEP", "MOST_RUNS", "SIGNIFICANCE", "Seen", "Series", "series", "steps"]

MOST_RUNS = 50
"""So many of the newest stored runs make the history of a report."""

SIGNIFICANCE = 0.01
"""Probability with which a series without a step is said to have one."""

LEAST_STEP = 0.03
"""Smaller changes (of the log: about 3 %) are not told: they are real and nobody's concern."""

_PERMUTATIONS = 999
_LEAST_SIDE = 3
"""Runs on each side of a step: fewer are a bad day."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A point in one stored run. ``step``: by which factor the mean changes here, None where it goes on."""

    run: str
    when: str
    commit: str
    speedup: Interval
    step: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """A point over all runs that have it, the oldest first."""

    point: str
    seen: tuple[Seen, ...]


def series(
    paths: Iterable[Path], wanted: Callable[[str], bool], last: int | None = None, until: str = ""
) -> tuple[list[Series], list[str]]:
    """The series of the wanted points, and a sentence for each file or record that cannot be read.

    ``last``: only so many of the newest runs; ``until``: none after that time (ISO 8601). One file after
    another is read and let go.
    """
    found: list[tuple[str, str, dict[str, Seen]]] = []
    unread: list[str] = []
    for path in paths:
        try:
            run = read(path)
        except UsageError as error:
            unread.append(str(error))
            continue
        seen: dict[str, Seen] = {}
        for point, data in run.points.items():
            if wanted(point):
                try:
                    seen[point] = Seen(
                        run=run.name, when=run.when, commit=run.commit, speedup=speedup_of(data)
                    )
                except UsageError as error:
                    unread.append(f"{path.name}: {error}")
        if not until or run.when <= until:
            found.append((run.when, run.name, seen))
    found.sort(key=lambda one: one[:2])
    of: dict[str, list[Seen]] = {}
    for _, _, points in found[-last:] if last else found:
        for point, one in points.items():
            of.setdefault(point, []).append(one)
    return [Series(point=point, seen=_marked(of[point])) for point in sorted(of)], unread


def _marked(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    changes = steps([math.log(one.speedup.estimate) for one in seen])
    return tuple(
        replace(one, step=math.exp(changes[place])) if place in changes else one
        for place, one in enumerate(seen)
    )


def steps(logs: Sequence[float], *, seed: int = 1) -> dict[int, float]:
    """Where the mean changes: the index of the first value after each step, and the change there."""
    values = np.asarray(logs, dtype=np.float64)
    chance = np.random.default_rng(seed)  # the same answer each time
    places = sorted(_places(values, 0, chance))
    ends = [0, *places, len(values)]
    means = [float(values[begin:end].mean()) for begin, end in pairwise(ends) if end > begin]
    changes = {place: after - before for place, (before, after) in zip(places, pairwise(means), strict=True)}
    return {place: change for place, change in changes.items() if abs(change) >= LEAST_STEP}


def _places(values: Floats, offset: int, chance: np.random.Generator) -> list[int]:
    if len(values) < 2 * _LEAST_SIDE:
        return []
    strengths = _strengths(values[np.newaxis])[0]
    place = int(strengths.argmax()) + _LEAST_SIDE
    strongest = strengths.max()
    if not math.isfinite(strongest) or strongest <= 0:
        return []
    shuffled = chance.permuted(np.tile(values, (_PERMUTATIONS, 1)), axis=1)
    as_strong = int((_strengths(shuffled).max(axis=1) >= strongest * (1 - 1e-12)).sum())
    if (as_strong + 1) / (_PERMUTATIONS + 1) > SIGNIFICANCE:
        return []
    before = _places(values[:place], offset, chance)
    return [*before, offset + place, *_places(values[place:], offset + place, chance)]


def _strengths(rows: Floats) -> Floats:
    """What a step explains of the variance, at each place that leaves `_LEAST_SIDE` values on both sides."""
    size = rows.shape[1]
    first = np.arange(_LEAST_SIDE, size - _LEAST_SIDE + 1)
    centred = rows - rows.mean(axis=1, keepdims=True)
    sums = centred.cumsum(axis=1)[:, first - 1]
    explained: Floats = sums**2 * size / (first * (size - first))
    return explained
