"""The recommended configuration, by the rule of the terminal report, for programs that start pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..measurement import Kind
from . import text
from .conditions import conditions
from .findings import BASELINE, contenders, kind, recommended
from .results import Results

__all__ = ["render"]


@dataclass(frozen=True)
class _Choice:
    """What a test should run on; ``speedup`` is 1 where nothing gains."""

    strategy: str
    workers: int
    kind: Kind
    speedup: float = 1.0


def render(results: Results) -> str:
    """``parallelization`` with ``default_executor``, ``max_workers`` and ``backends``; needs PyYAML.

    Tests without advice (only the baseline measured, a tracer ran, a single pair) have no part in it; where
    all are such, nothing is recommended.
    """
    import yaml

    choices = dict(_choices(results))
    data = {"parallelization": _configuration(choices)}
    # What could mislead a reader (a mark of direction, a control character) is written as an escape.
    harmless = all(text.clean(word) == word for test, c in choices.items() for word in (test, c.strategy))
    dumped: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=harmless, width=math.inf)
    return "".join(f"# {line}\n" for line in _comment(results, choices)) + dumped


def _choices(results: Results) -> Iterator[tuple[str, _Choice]]:
    for test, group in results.tests.items():
        records = [entry.record for entry in group if entry.record is not None]
        chosen = recommended(records)
        if chosen is not None:
            yield test, _Choice(chosen.strategy, chosen.workers, chosen.kind, chosen.speedup.estimate)
        elif contenders(records):
            yield test, _Choice(BASELINE, 1, kind(records))


def _configuration(choices: dict[str, _Choice]) -> dict[str, Any]:
    def most(*kinds: Kind) -> int | None:
        return max((choice.workers for choice in choices.values() if choice.kind in kinds), default=None)

    return {
        "default_executor": _default(list(choices.values())),
        # Of work that does both, the part that needs cores is what too many workers would slow down.
        "max_workers": {"io_bound": most(Kind.IO), "cpu_bound": most(Kind.CPU, Kind.MIXED)},
        "backends": {test: choice.strategy for test, choice in choices.items()},
    }


def _default(choices: Sequence[_Choice]) -> str | None:
    """The strategy for most of the tests that gain; of several, that of the larger median speedup.

    None where there is no choice at all.
    """
    if not choices:
        return None
    speedups: dict[str, list[float]] = {}
    for choice in choices:
        if choice.strategy != BASELINE:
            speedups.setdefault(choice.strategy, []).append(choice.speedup)
    return max(speedups, key=lambda name: (len(speedups[name]), median(speedups[name])), default=BASELINE)


def _comment(results: Results, choices: dict[str, _Choice]) -> Iterator[str]:
    if not choices:
        yield "pytest-parallelism recommends nothing here: no measurement shows what to use."
        return
    yield "Recommended by pytest-parallelism from measurements. They hold for this machine:"
    yield from map(text.clean, conditions(results.records))
