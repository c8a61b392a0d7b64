"""`measure`: the points of one workload, one after another, without pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .. import clusters
from ..envelope import is_async
from ..errors import ParallelismError, Unsuitable, UsageError, WorkloadError, WrongResult
from ..maps._pools import refuse_while_main_is_imported
from ..record import Entry, Record, Status
from ..registry import check_connects, load
from ..reports.results import Results
from ..resources import Cores, usable_cores
from ..settings import DEFAULT_MAX_TIME, Settings, WorkerCount
from ..strategy import Strategy
from ..workload import COMMON_ARGUMENTS, MAP_ARGUMENTS, Workload
from ._figures import Watch, measured, only_known, plan_of, weights
from ._measured import Measured
from ._points import Point, points_of
from ._progress import progress

__all__ = ["measure"]

_ARGUMENTS = tuple(dict.fromkeys((*COMMON_ARGUMENTS, *MAP_ARGUMENTS)))


def measure(
    fn: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    strategies: str | Sequence[str] = ("common",),
    workers: WorkerCount | Sequence[WorkerCount] = "auto",
    name: str | None = None,
    min_speedup: float | dict[WorkerCount, float] | None = None,
    min_efficiency: float | dict[WorkerCount, float] | None = None,
    max_time: float = DEFAULT_MAX_TIME,
    rounds: int | None = None,
    addresses: Mapping[str, str] | None = None,
    show_progress: bool | None = None,
    **arguments: Any,
) -> Measured:
    """Measure ``[fn(item) for item in items]`` at each strategy and worker count, beside sequential rounds.

    The same measurement as of the fixture ``parallel``. ``strategies``, ``workers``, ``min_speedup`` and
    ``min_efficiency`` are the marker's (docs/writing-tests.md); ``arguments`` those of `parallel.map`.
    ``name``: what reports call the workload, the function's own name without it. ``max_time``: seconds that
    a point may take. ``rounds``: exactly so many pairs instead. ``addresses``: of clusters of yours, by
    strategy. ``show_progress``: a bar (tqdm), None for one on a terminal that has tqdm.

    A point whose strategy cannot run here, or not this workload, is skipped; one that ends in an error while
    the sequential rounds do not has status ``error``: both give their reason, and the others go on. A missed
    gate is a verdict, not an error; a wrong result gives status ``failed``. Raises what ``fn`` raises in a
    sequential round; `WorkloadError` where the workload cannot be measured truly; the first point's error
    where no point could be measured; `UsageError` for a wrong argument.
    """
    try:
        refuse_while_main_is_imported()
        only_known(arguments, _ARGUMENTS, "measure")
        if name is not None and not isinstance(name, str):
            raise UsageError(f"name= must be a text, not {name!r}")
        settings = _settings(
            strategies=strategies,
            workers=workers,
            min_speedup=min_speedup,
            min_efficiency=min_efficiency,
            max_time=max_time,
            rounds=rounds,
            address=addresses,
        )
        workload = Workload.of_map(fn, items, **arguments)
        asynchronous = is_async(fn) or arguments.get("async_fn") is not None
        return _measured(workload, settings, name or workload.name, show_progress, asynchronous)
    except ParallelismError as error:
        # One sentence, pointing at the user's own line: the frames between are ours.
        raise error.with_traceback(None) from error.__cause__


def _measured(
    workload: Workload, settings: Settings, test: str, show_progress: bool | None, asynchronous: bool
) -> Measured:
    known, cores = load(), usable_cores()
    check_connects(settings.address, known)
    points = points_of((), settings, known, cores.usable, asynchronous=asynchronous)
    run = _Run(test=test, workload=workload, settings=settings, cores=cores, baseline=known["sequential"])
    bar = progress(show_progress, test, len(points))
    with clusters.keeping(), _outside_of_event_loops(), bar as begin:
        entries = [run.entry(point, begin(point.id)) for point in points]
    return run.result(entries)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all points of one call have in common."""

    test: str
    workload: Workload
    settings: Settings
    cores: Cores
    baseline: Strategy
    errors: list[Exception] = field(default_factory=list)
    """Of points whose sequential rounds had none."""

    def entry(self, point: Point, watch: Watch) -> Entry:
        """What became of a point."""
        obstacle = point.obstacle
        if obstacle:
            return self._entry(point, "skipped", obstacle)
        mapped: list[Callable[..., Any]] = []
        try:
            return self._entry(point, "measured", "", self._record(point, watch, mapped))
        except Unsuitable as error:
            return self._entry(point, "skipped", str(error))
        except WrongResult as error:
            self.errors.append(error)
            return self._entry(point, "failed", _first_line(error))
        except (UsageError, WorkloadError):
            raise
        except Exception as error:
            if not mapped:  # no sequential round has ended: it is the workload's own
                raise
            self.errors.append(error)
            return self._entry(point, "error", _first_line(error))

    def result(self, entries: Sequence[Entry]) -> Measured:
        """Of all points. Raises the first error where there is nothing else."""
        if self.errors and not any(entry.record for entry in entries):
            raise self.errors[0]
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Measured(results=Results.of(entries, when=now))

    def _record(self, point: Point, watch: Watch, mapped: list[Callable[..., Any]]) -> Record:
        """Measures; ``mapped`` receives the workload's functions once the first sequential round is over."""
        plan = plan_of(
            point,
            self.workload,
            settings=self.settings,
            cores=self.cores,
            baseline=self.baseline,
            notify=watch,
            inspect=mapped.extend,
        )
        figures, _ = measured(point, self.workload, plan, self.settings.rounds)
        notes = (*figures.measurement.notes, *weights(point.strategy, mapped))
        figures = replace(figures, measurement=replace(figures.measurement, notes=notes))
        return figures.record(self.test, [verdict for _, verdict in figures.verdicts()])

    def _entry(self, point: Point, status: Status, reason: str, record: Record | None = None) -> Entry:
        return Entry(
            nodeid=f"{self.test}[{point.id}]",
            test=self.test,
            strategy=point.strategy.name,
            workers_requested=point.requested,
            workers=point.workers,
            status=status,
            reason=reason,
            record=record,
        )


def _settings(**values: Any) -> Settings:
    """The arguments as settings, each checked by its own name."""
    where = {"address": "addresses"}
    given = {name: value for name, value in values.items() if value is not None}
    return Settings.parse({name: (where.get(name, name), value) for name, value in given.items()})


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


@contextmanager
def _outside_of_event_loops() -> Iterator[None]:
    """Lets the workload run event loops of its own in a notebook, whose cells run inside of one.

    That one stands still meanwhile, as it does for any code that does not await.
    """
    asyncio = sys.modules.get("asyncio")
    running = asyncio._get_running_loop() if asyncio else None
    if asyncio is None or running is None:
        yield
        return
    cell = asyncio.current_task()
    if cell:  # from Python 3.14 on a thread has one task that runs, and not one for each of its loops
        asyncio.tasks._leave_task(running, cell)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
        if cell:
            asyncio.tasks._enter_task(running, cell)
