"""The object behind the fixture ``parallel``: one measurement of one point."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from .. import gate, record, rounds
from ..errors import ParallelismError, ParallelismWarning, Unsuitable, UsageError
from ..measurement import Measurement, Pair, Verdict
from ..measuring import Figures, Point, measured, only_known, plan_of, weights
from ..workload import COMMON_ARGUMENTS, MAP_ARGUMENTS, Workload
from ..workpool import WorkPool
from . import benchmark as host
from .live import LiveLine

if TYPE_CHECKING:
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
        self.figures: Figures | None = None
        """None before, and where this session measures nothing."""
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

    @property
    def measurement(self) -> Measurement | None:
        """What was measured; None before, and where this session measures nothing."""
        return self.figures.measurement if self.figures else None

    def map(self, fn: Callable[[Any], T], items: Iterable[Any], **arguments: Any) -> list[T]:
        """``[fn(item) for item in items]`` on this point's strategy, measured; the parallel result.

        The workload runs many times: once materialized, the same items each time, or what ``setup()``
        returns. Arguments: ``setup, teardown, equal, ordered, kind, size, initializer, initargs,
        baseline_timeout`` and ``chunk_size, on_error, timeout, task_timeout, cost, partition, retries,
        backoff, async_fn`` (docs/writing-tests.md). Raises the task's own error, `WorkloadError` where the
        workload cannot be measured truly, and skips the test where the strategy cannot run it.
        """
        only_known(arguments, _MAP_ARGUMENTS, "parallel.map")
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
        only_known(arguments, _MEASURE_ARGUMENTS, "parallel.measure")
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
        with LiveLine(self._request.config, self._point.id, self._state.progress()) as live:
            plan = self._plan(workload, notify=live.show)
            self.figures, result = measured(self._point, workload, plan, self._state.settings.rounds)
        found = self.figures.measurement
        if found.result == "unchecked":
            note = next(n for n in found.notes if n.startswith("results not wholly checked"))
            self._request.node.warn(ParallelismWarning(f"{self._point.id}: {note}"))
        self.store(())
        return result

    def _plan(self, workload: Workload, notify: Callable[[Sequence[Pair]], object]) -> rounds.Plan:
        return plan_of(
            self._point,
            workload,
            settings=self._state.settings,
            cores=self._state.cores,
            baseline=self._state.known["sequential"],
            notify=notify,
            inspect=self._warn_of_weight,
        )

    def verdicts(self, quiet: gate.Quiet | None = None) -> list[tuple[gate.Gate, Verdict]]:
        """Each gate of this point with what became of it; ``quiet``: see `gate.judge`."""
        return self.figures.verdicts(quiet) if self.figures else []

    @property
    def contended(self) -> float | None:
        """The share of time that others took, where that is too much for a verdict."""
        return self.figures.contended if self.figures else None

    def store(self, verdicts: Sequence[Verdict]) -> record.Record:
        """Put the record, with these verdicts, into pytest-benchmark's session."""
        assert self.figures is not None
        self.stored = made = self.figures.record(self.test, verdicts)
        if getattr(self._benchmark, "stats", None) is None:
            parallel = [r.seconds for pair in self.figures.measurement.pairs for r in pair.parallel]
            host.put(self._benchmark, group=self.test, seconds=parallel)
        self._benchmark.extra_info["parallelism"] = record.to_json(made)
        return made

    def drop(self) -> None:
        """Take the record back."""
        self.figures = self.stored = None
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
        for sentence in weights(self._point.strategy, functions, self._by_value()):
            self._request.node.warn(ParallelismWarning(sentence))


_MEASURE_ARGUMENTS = COMMON_ARGUMENTS
_MAP_ARGUMENTS = tuple(dict.fromkeys((*COMMON_ARGUMENTS, *MAP_ARGUMENTS)))
