"""One point measured: from settings to a plan, from its rounds to verdicts and a record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .. import envelope, gate, record, rounds, scaling
from ..errors import UsageError, did_you_mean
from ..measurement import Measurement, Pair, Verdict
from ..resources import Cores, gil_enabled
from ..settings import Settings
from ..strategy import Isolation, Strategy, StrategyOptions
from ..workload import Workload
from ._points import Point

__all__ = ["Figures", "Watch", "measured", "only_known", "plan_of", "weights"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

Watch = Callable[[Sequence[Pair]], object]
"""Called after each pair with all pairs so far, outside the clocks."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured at one point, and what it says."""

    point: Point
    measurement: Measurement
    summary: scaling.Summary

    @property
    def contended(self) -> float | None:
        """The share of time that others took, where that is too much for a verdict."""
        return gate.contended(self.measurement, self.summary, gil=self._gil)

    def verdicts(self, quiet: gate.Quiet | None = None) -> list[tuple[gate.Gate, Verdict]]:
        """Each gate of the point with what became of it; ``quiet``: see `gate.judge`."""
        traced = self.measurement.environment.get("tracing")
        return [
            (
                g,
                gate.judge(
                    g,
                    measurement=self.measurement,
                    summary=self.summary,
                    tracing=str(traced) if traced else None,
                    gil=self._gil,
                    noun=self.point.strategy.noun,
                    quiet=quiet,
                ),
            )
            for g in self.point.gates
        ]

    def record(self, test: str, verdicts: Sequence[Verdict] = ()) -> record.Record:
        """The record of the point; ``test``: what its points have in common."""
        contended = self.contended is not None
        return record.make(test, self.measurement, self.summary, verdicts, contended=contended)

    @property
    def _gil(self) -> bool:
        return bool(self.measurement.environment.get("gil", True))


def plan_of(
    point: Point,
    workload: Workload,
    *,
    settings: Settings,
    cores: Cores,
    baseline: Strategy,
    notify: Watch = len,
    inspect: Callable[[Sequence[Callable[..., Any]]], object] = len,
) -> rounds.Plan:
    """How to measure a workload at a point. ``notify``, ``inspect``: see `rounds.Plan`."""
    shares = gil_enabled() and _within(point.strategy)
    where = gate.Where(workers=point.workers, cores=cores.usable, shares_gil=shares)
    return rounds.Plan(
        strategy=point.strategy,
        workers=point.workers,
        requested=point.requested,
        baseline=baseline,
        cores=cores,
        decide=gate.decider(
            point.gates,
            where,
            rounds=settings.rounds,
            half_width=gate.COMPARED if settings.compare_fail else None,
        ),
        traced=gate.tracer(where),
        again=gate.repeater(() if settings.rounds else point.gates, where),
        reference=bool(point.gates or settings.compare_fail),
        max_time=None if settings.rounds else settings.max_time,
        options=StrategyOptions(
            by_value=workload.by_value,
            native_threads=_native_threads(),
            initializer=workload.initializer,
            address=settings.address.get(point.strategy.name),
            extra=point.options,
        ),
        notify=notify,
        inspect=inspect,
    )


def measured(
    point: Point, workload: Workload, plan: rounds.Plan, fixed_rounds: int | None
) -> tuple[Figures, Any]:
    """Measure a point; its figures and the last parallel result. Raises what `rounds.measure` does.

    ``fixed_rounds``: the pairs that the settings ask for, None where the plan decides.
    """
    measurement, result = rounds.measure(workload, plan)
    gated = bool(point.gates)
    interval = gate.interval(measurement.pairs, gated=gated, rounds=fixed_rounds)
    alone = gate.alone(
        measurement.pairs,
        workers=measurement.workers,
        cores=measurement.usable_cores,
        gated=gated,
        rounds=fixed_rounds,
    )
    summary = scaling.summarize(measurement, interval, alone)
    return Figures(point=point, measurement=measurement, summary=summary), result


def weights(
    strategy: Strategy, functions: Iterable[Callable[..., Any]], by_value: tuple[ModuleType, ...] = ()
) -> list[str]:
    """A sentence for each function that is heavy to send; none where nothing is sent."""
    if _within(strategy):
        return []
    found = [envelope.drag(fn, by_value) for fn in functions]
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def only_known(arguments: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise `UsageError` for an argument that ``where``, a function, does not take."""
    for name in arguments:
        if name not in known:
            raise UsageError(
                f"{where} takes no argument {name!r}; it takes {', '.join(known)}{did_you_mean(name, known)}"
            )


def _within(strategy: Strategy) -> bool:
    """Whether its workers live in this process and its interpreter."""
    return strategy.isolation in (Isolation.NONE, Isolation.THREAD)


def _native_threads() -> int | None:
    """One BLAS thread a worker, unless the user has set a limit of their own."""
    return None if any(os.environ.get(name) for name in envelope.NATIVE_THREAD_VARIABLES) else 1
