"""From what was asked for to the points that are measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError
from ..gate import Gate
from ..registry import expand
from ..settings import Claims, MarkerArguments, Settings, WorkerCount, resolve_workers
from ..strategy import Counts, Strategy

__all__ = ["Point", "points_of"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One (strategy, worker count) of a test."""

    strategy: Strategy
    requested: WorkerCount
    workers: int
    gates: tuple[Gate, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    connected: bool = False
    """On a cluster of the user's."""

    @property
    def obstacle(self) -> str | None:
        """One sentence why it cannot run here, None where it can."""
        return self.strategy.obstacle(self.workers, connected=self.connected)

    @property
    def id(self) -> str:
        """As in the test's id; never holds a figure of the machine."""
        return f"{self.strategy.name}-w{self.requested}"


def points_of(
    markers: Sequence[MarkerArguments],
    settings: Settings,
    known: Mapping[str, Strategy],
    cores: int,
    *,
    asynchronous: bool,
) -> list[Point]:
    """The points of a test, merged by (strategy, workers).

    ``markers``: the nearest to the function first; the nearest that states a gate for a point decides it,
    then the command line, then the ini file. ``asynchronous``: the test mentions a coroutine function.
    """
    nearest_first = list(markers) or [MarkerArguments()]
    expanded = [(m, expand(m.strategies, known)) for m in nearest_first]
    _check_options(expanded)
    chosen: dict[tuple[str, int], Point] = {}
    # Read from the outermost inwards, so that points stand in the order in which people read them.
    for marker, strategies in reversed(expanded):
        wanted = expand(settings.strategies, known) if settings.strategies else strategies
        named = settings.strategies or marker.strategies
        for strategy in wanted:
            if strategy.native_async and not asynchronous and strategy.name not in named:
                continue  # it came with a group, and there is nothing here that it could run
            for requested, workers in _counts(strategy, settings.workers or marker.workers, cores):
                point = Point(
                    strategy=strategy,
                    requested=requested,
                    workers=workers,
                    gates=tuple(_gates(strategy, requested, workers, expanded, settings, cores)),
                    options=_first(m.options.get(strategy.name) for m in nearest_first) or {},
                    connected=strategy.name in settings.address,
                )
                kept = chosen.setdefault((strategy.name, workers), point)
                if isinstance(kept.requested, str) and isinstance(requested, int):
                    chosen[(strategy.name, workers)] = point
    return list(chosen.values())


def _counts(strategy: Strategy, spec: Iterable[WorkerCount], cores: int) -> list[tuple[WorkerCount, int]]:
    if strategy.counts is Counts.ONE:
        return [(1, 1)]
    if strategy.counts is Counts.OWN:
        spec = ("max",)  # where it starts from; what it chose stands in the record
    return resolve_workers(spec, cores, in_flight=strategy.native_async)


def _gates(
    strategy: Strategy,
    requested: WorkerCount,
    workers: int,
    expanded: Sequence[tuple[MarkerArguments, Sequence[Strategy]]],
    settings: Settings,
    cores: int,
) -> Iterator[Gate]:
    if strategy.counts is Counts.ONE:
        return
    naming = [
        m
        for m, strategies in expanded
        if strategy in strategies
        and (settings.workers or workers in {n for _, n in _counts(strategy, m.workers, cores)})
    ]
    written = [w for m in naming for w in m.workers if w in ("max", "max-1")]
    words = [str(w) for w in written if resolve_workers([w], cores)[0][1] == workers]
    reachable: tuple[tuple[Literal["speedup", "efficiency"], float], ...]
    reachable = (("speedup", float(workers)), ("efficiency", 1.0))
    for metric, most in reachable:
        key = f"min_{metric}"
        sources: list[tuple[Claims | None, str]] = [(getattr(m, key), m.require) for m in naming]
        sources.append((getattr(settings, key), "all"))
        stated = _first((claims, require) for claims, require in sources if claims is not None)
        claim = stated[0].of(requested, workers, words) if stated else None
        if stated is None or claim is None:
            continue
        if claim > most and isinstance(requested, int):
            raise UsageError(
                f"{key} of {claim:g} with {workers} workers is more than any machine can reach ({most:g}): "
                f"ask for less, or give the number a worker count such as {{4: 2.5}}"
            )
        yield Gate(metric=metric, claim=claim, require="any" if stated[1] == "any" else "all")


def _check_options(expanded: Sequence[tuple[MarkerArguments, Sequence[Strategy]]]) -> None:
    named = {s.name for _, strategies in expanded for s in strategies}
    for marker, _ in expanded:
        for name in marker.options:
            if name not in named:
                raise UsageError(
                    f"parallel_strategies: options= names {name!r}, which no marker of this test runs; "
                    f"it runs {', '.join(sorted(named))}"
                )


def _first(found: Iterable[Any]) -> Any:
    return next((x for x in found if x is not None), None)
