"""The object behind the fixture ``parallel``: one measurement of one point."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from .. import envelope, gate, record, rounds, scaling
from ..errors import ParallelismError, ParallelismWarning, Unsuitable, UsageError, did_you_mean
from ..measurement import Measurement, Pair, Verdict
from ..resources import gil_enabled
from ..strategy import Isolation, StrategyOptions
from ..workload import COMMON_ARGUMENTS, MAP_ARGUMENTS, Workload
from ..workpool import WorkPool
from . import benchmark as host
from .live import LiveLine

if TYPE_CHECKING:
    from .collect import Point
    from .session import State

__all__ = ["Parallel"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

T = TypeVar("T")


class Parallel:
    """Runs the test's workload under one strategy and worker count, beside a sequential baseline."""

    def __init__(self, request: pytest.FixtureRequest, benchmark: Any, point: Point, state: State) -> None:
        self._request = request
        self._benchmark = benchmark
        self._point = point
        self._state = state
        host.claim(benchmark)
        host.forget(benchmark)
        self.used = False
        """True once map or measure was called."""
        self.missed: tuple[str, ...] = ()
        """A sentence for each gate that was missed: a failure that keeps its record."""
        self.test = state.test_of(request.node, point)
        self.measurement: Measurement | None = None
        """What was measured; None before, and where this session measures nothing."""
        self.summary: scaling.Summary | None = None
        self.stored: record.Record | None = None
        self.not_measured = state.why_not_measured(benchmark)
        """Why this session runs each strategy once and measures nothing; None where it measures."""

    @property
    def strategy(self) -> str:
        """Name of this point's strategy."""
        return self._point.strategy.name

    @property
    def workers(self) -> int:
        """Worker count of this point, as a number."""
        return self._point.workers

    def map(self, fn: Callable[[Any], T], items: Iterable[Any], **arguments: Any) -> list[T]:
        """``[fn(item) for item in items]`` on this point's strategy, measured; the parallel result.

        The workload runs many times: once materialized, the same items each time, or what ``setup()``
        returns. Arguments: ``setup, teardown, equal, ordered, kind, size, initializer, initargs,
        baseline_timeout`` and ``chunk_size, on_error, timeout, task_timeout, cost, partition, retries,
        backoff, async_fn`` (docs/writing-tests.md). Raises the task's own error, `WorkloadError` where the
        workload cannot be measured truly, and skips the test where the strategy cannot run it.
        """
        _only_known(arguments, _MAP_ARGUMENTS, "parallel.map")
        result: list[T] = self._run(
            lambda: Workload.of_map(fn, items, **arguments, by_value=self._by_value())
        )
        return result

    def measure(self, call: Callable[[WorkPool], T], **arguments: Any) -> T:
        """``call(pool)``, any pipeline of the user's, measured; its parallel result.

        ``pool`` has ``map``, ``imap``, ``workers``, ``strategy`` and, where the strategy can, ``executor``.
        In the sequential arm it has one worker and runs everything in turn. Arguments: ``setup, teardown,
        equal, ordered, kind, size`` (bytes in all), ``initializer, initargs, baseline_timeout``.
        """
        _only_known(arguments, _MEASURE_ARGUMENTS, "parallel.measure")
        result: T = self._run(lambda: Workload.of_call(call, **arguments, by_value=self._by_value()))
        return result

    def _run(self, make: Callable[[], Workload]) -> Any:
        try:
            self._use()
            workload = make()
            return self._measured(workload) if self.not_measured is None else self._checked(workload)
        except Unsuitable as error:
            pytest.skip(str(error))
        except ParallelismError as error:
            # One sentence, pointing at the user's own line: the frames between are ours.
            raise error.with_traceback(None) from error.__cause__

    def _use(self) -> None:
        if self.used:
            raise UsageError(
                "a test has one measurement, and this is its second: put both in one parallel.measure(call)"
            )
        self.used = True

    def _checked(self, workload: Workload) -> Any:
        plan = self._plan(workload, notify=len)
        _, result = host.run_plainly(self._benchmark, lambda: rounds.check(workload, plan))
        return result

    def _measured(self, workload: Workload) -> Any:
        settings = self._state.settings
        with LiveLine(self._request.config, self._point.id) as live:
            plan = self._plan(workload, notify=live.show)
            measurement, result = rounds.measure(workload, plan)
        interval = gate.interval(measurement.pairs, gated=bool(self._point.gates), rounds=settings.rounds)
        self.measurement = measurement
        alone = gate.alone(
            measurement.pairs,
            workers=measurement.workers,
            cores=measurement.usable_cores,
            gated=bool(self._point.gates),
            rounds=settings.rounds,
        )
        self.summary = scaling.summarize(measurement, interval, alone)
        if measurement.result == "unchecked":
            note = next(n for n in measurement.notes if n.startswith("results not wholly checked"))
            self._request.node.warn(ParallelismWarning(f"{self._point.id}: {note}"))
        self.store(())
        return result

    def _plan(self, workload: Workload, notify: Callable[[Sequence[Pair]], object]) -> rounds.Plan:
        point, settings = self._point, self._state.settings
        shares = gil_enabled() and point.strategy.isolation in (Isolation.NONE, Isolation.THREAD)
        where = gate.Where(workers=point.workers, cores=self._state.cores.usable, shares_gil=shares)
        return rounds.Plan(
            strategy=point.strategy,
            workers=point.workers,
            requested=point.requested,
            baseline=self._state.known["sequential"],
            cores=self._state.cores,
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
                extra=point.options,
            ),
            notify=notify,
            inspect=self._warn_of_weight,
        )

    def verdicts(self, quiet: gate.Quiet | None = None) -> list[tuple[gate.Gate, Verdict]]:
        """Each gate of this point with what became of it; ``quiet``: see `gate.judge`."""
        if self.measurement is None or self.summary is None:
            return []
        traced = self.measurement.environment.get("tracing")
        return [
            (
                g,
                gate.judge(
                    g,
                    measurement=self.measurement,
                    summary=self.summary,
                    tracing=str(traced) if traced else None,
                    gil=bool(self.measurement.environment.get("gil", True)),
                    noun=self._point.strategy.noun,
                    quiet=quiet,
                ),
            )
            for g in self._point.gates
        ]

    @property
    def contended(self) -> float | None:
        """The share of time that others took, where that is too much for a verdict."""
        if self.measurement is None or self.summary is None:
            return None
        gil = bool(self.measurement.environment.get("gil", True))
        return gate.contended(self.measurement, self.summary, gil=gil)

    def store(self, verdicts: Sequence[Verdict]) -> record.Record:
        """Put the record, with these verdicts, into pytest-benchmark's session."""
        assert self.measurement is not None
        assert self.summary is not None
        made = record.make(
            self.test, self.measurement, self.summary, verdicts, contended=self.contended is not None
        )
        self.stored = made
        if getattr(self._benchmark, "stats", None) is None:
            parallel = [r.seconds for pair in self.measurement.pairs for r in pair.parallel]
            host.put(self._benchmark, group=self.test, seconds=parallel)
        self._benchmark.extra_info["parallelism"] = record.to_json(made)
        return made

    def drop(self) -> None:
        """Take the record back."""
        self.measurement = self.stored = None
        host.drop(self._benchmark)

    def _by_value(self) -> tuple[ModuleType, ...]:
        """Modules that pytest imported in its own way, so that a worker could not."""
        manager = self._request.config.pluginmanager
        conftests = [
            p
            for p in manager.get_plugins()
            if isinstance(p, ModuleType) and Path(getattr(p, "__file__", None) or "").name == "conftest.py"
        ]
        module = getattr(self._request, "module", None)
        found = [m for m in (module, *conftests) if isinstance(m, ModuleType)]
        return tuple(m for m in found if sys.modules.get(m.__name__) is m)

    def _warn_of_weight(self, functions: Sequence[Callable[..., Any]]) -> None:
        if self._point.strategy.isolation in (Isolation.NONE, Isolation.THREAD):
            return
        found = [envelope.drag(fn, self._by_value()) for fn in functions]
        for sentence in dict.fromkeys(s for s in found if s):
            self._request.node.warn(ParallelismWarning(sentence))


_MEASURE_ARGUMENTS = COMMON_ARGUMENTS
_MAP_ARGUMENTS = tuple(dict.fromkeys((*COMMON_ARGUMENTS, *MAP_ARGUMENTS)))


def _only_known(arguments: dict[str, Any], known: Iterable[str], where: str) -> None:
    for name in arguments:
        if name not in known:
            raise UsageError(
                f"{where} takes no argument {name!r}; it takes {', '.join(known)}{did_you_mean(name, known)}"
            )


def _native_threads() -> int | None:
    """One BLAS thread a worker, unless the user has set a limit of their own."""
    return None if any(os.environ.get(name) for name in envelope.NATIVE_THREAD_VARIABLES) else 1
