"""What one pytest session knows: settings, strategies, points, gates to be judged, and entries to report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ..addresses import shown
from ..errors import ParallelismWarning, UsageError
from ..export import check
from ..gate import Gate, Quiet, judge_any
from ..measurement import Outcome, Verdict
from ..record import Entry, Record
from ..registry import check_connects, expand, load
from ..resources import Cores, disturbing, environment, usable_cores
from ..settings import Settings, WorkerCount
from ..strategy import Strategy
from . import benchmark as host
from . import exporting, options
from .compare import CALM, Baselines, Quiets
from .live import Progress

if TYPE_CHECKING:
    from .collect import Point
    from .fixture import Parallel

__all__ = ["CARRIED", "RUN", "State"]

__tracebackhide__ = True  # pytest shows the user's lines, not these

RUN: pytest.StashKey[Parallel] = pytest.StashKey()
"""On an item: the fixture's object of its latest run."""

CARRIED = "parallelism"
"""Attribute of a report that carries its entry."""

_NOTHING = {
    False: "the test did not call parallel.map or measure",
    True: "the measurement ended in an error that the test expected",
}
_FAILING = {False: {Outcome.FAILED}, True: {Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED}}


@dataclass
class _Family:
    """The points of which one must reach a claim (``require="any"``)."""

    waiting: set[str] = field(default_factory=set)
    """Node ids that may still reach it."""
    skipped: int = 0
    verdicts: list[tuple[str, Verdict]] = field(default_factory=list)
    judged: bool = False
    points: int = 0
    """How many points the test has for this claim, selected or not."""

    def verdict(self) -> Verdict:
        """Of the family; where -k or a path has left points out, they might have reached it."""
        found = judge_any(self.verdicts)
        left_out = self.points - len(self.verdicts) - self.skipped
        if found.outcome is not Outcome.FAILED or left_out <= 0:
            return found
        why = f"{found.sentence}; {left_out} more did not run"
        return replace(found, outcome=Outcome.NOT_JUDGED, sentence=why)

    @property
    def open(self) -> bool:
        """True where nobody has reached the claim and nobody has been failed for it."""
        passed = any(v.outcome is Outcome.PASSED for _, v in self.verdicts)
        return bool(self.verdicts) and not passed and not self.judged


@dataclass
class State:
    """One session. Changed by collection and by running tests."""

    config: pytest.Config
    settings: Settings
    known: Mapping[str, Strategy]
    cores: Cores
    points: dict[str, dict[tuple[str, WorkerCount], Point]] = field(default_factory=dict)
    """By node id of the test function, then by the two parameters."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """By node id; a repeated test replaces its entry."""
    families: dict[tuple[str, str, int], _Family] = field(default_factory=dict)
    selected: int = 0
    """Points of the session."""
    begun: float = 0.0
    """When the first test did (time.monotonic)."""
    baselines: Baselines | None = None
    quiets: Quiets | None = None
    missed: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)
    """By node id: file, line (from 1) and sentence of each missed gate, for annotations."""
    unwritten: list[str] = field(default_factory=list)
    """A sentence for each report that could not be written."""
    unclaimed: list[Verdict] = field(default_factory=list)
    """Missed gates of families that no test could fail for."""

    @classmethod
    def of(cls, config: pytest.Config) -> State:
        """Read the options and load the strategies; raises pytest's UsageError with one sentence."""
        try:
            settings = options.read(config)
            extra = config.hook.pytest_parallelism_strategies(config=config)
            known = load([strategy for found in extra for strategy in _listed(found)])
            if settings.strategies:
                expand(settings.strategies, known)
            check_connects(settings.address, known)
            for target in settings.export:
                check(target)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        return cls(config=config, settings=settings, known=known, cores=usable_cores())

    def load_baselines(self) -> None:
        """Read the stored runs to compare with; raises pytest's UsageError with one sentence."""
        if self.settings.compare is not None and self.baselines is None:
            self.baselines = Baselines.of(self.config, self.settings.compare)

    # --- collection ---

    def header(self) -> list[str]:
        """What the command line or the ini file puts in place of markers' choice and clusters of our own."""
        replaced = [("strategies", self.settings.strategies), ("workers", self.settings.workers)]
        said = [f"{what} {', '.join(map(str, value))}" for what, value in replaced if value]
        on = [f"{name} on {shown(address)}" for name, address in self.settings.address.items()]
        lines = [f"parallelism: {' and '.join(said)} instead of the markers' choice"] if said else []
        return [*lines, f"parallelism: {', '.join(on)}"] if on else lines

    def announcement(self, items: Sequence[pytest.Item]) -> list[str]:
        """How many points, how long at most, on what; and what is likely to disturb them, a line each."""
        points = [item for item in items if self.point_of(item) and not _skipped(item)]
        if not points:
            return []
        count = f"{len(points)} point" + "s" * (len(points) > 1)
        cores = f"{self.cores.usable} usable core" + "s" * (self.cores.usable > 1)
        gil = "GIL on" if environment(self.cores).get("gil") else "GIL off"
        said = f"parallelism: {count}, {self._duration(len(points))}, {cores}, {gil}"
        return [said, *(f"parallelism: {sentence}" for sentence in self._disturbances())]

    def _disturbances(self) -> list[str]:
        return [] if self.settings.check else disturbing()

    def _duration(self, points: int) -> str:
        if self.settings.check:
            return "each run once, not timed"
        if self.settings.rounds:
            return f"{self.settings.rounds} pair" + "s" * (self.settings.rounds > 1) + " each"
        seconds = points * self.settings.max_time
        return f"up to {seconds / 60:.0f} min" if seconds >= 90 else f"up to {seconds:.0f} s"

    def point_of(self, item: pytest.Item) -> Point | None:
        """The point that an item measures, None for other items."""
        params = getattr(getattr(item, "callspec", None), "params", {})
        return self.point(item, params.get("parallel_strategy"), params.get("parallel_workers"))

    def point(self, item: pytest.Item, strategy: str | None, workers: WorkerCount | None) -> Point | None:
        """The point with these two parameters, None for items that we did not parametrize."""
        if not isinstance(item, pytest.Function) or strategy is None or workers is None:
            return None
        return self.points.get(_function_id(item), {}).get((strategy, workers))

    def test_of(self, item: pytest.Item, point: Point) -> str:
        """The node id without our two parameters: what points of one table have in common."""
        assert isinstance(item, pytest.Function)
        own = item.callspec.id
        if own == point.id:
            return _function_id(item)
        if own.startswith(point.id + "-"):
            rest = own[len(point.id) + 1 :]
        elif own.endswith("-" + point.id):
            rest = own[: -len(point.id) - 1]
        else:
            rest = own.replace(f"-{point.id}-", "-", 1)
        return f"{_function_id(item)}[{rest}]"

    # --- running ---

    def why_not_measured(self, benchmark: Any) -> str | None:
        """Why points are run once and not measured in this session."""
        return "--parallel-check" if self.settings.check else host.why_not_measured(benchmark)

    def spoil(self, item: pytest.Item) -> None:
        """The test body failed: its record must not be stored."""
        run = item.stash.get(RUN, None)
        if run is not None:
            run.drop()

    def judge(self, item: pytest.Item) -> None:
        """Judge the gates of a test whose body has passed; fail it where one is missed."""
        run = item.stash.get(RUN, None)
        if run is not None and not run.used:
            sentence = "uses the fixture parallel and measures nothing: call parallel.map or parallel.measure"
            item.warn(ParallelismWarning(f"{item.name} {sentence}"))
        if run is None or run.measurement is None:
            return
        verdicts = [
            v for g, found in run.verdicts(self._quiet(item, run)) for v in self._settled(item, run, g, found)
        ]
        verdicts += self._compared(item, run)
        made = run.store(verdicts)
        kept = [(name, value) for name, value in item.user_properties if not name.startswith("parallel_")]
        item.user_properties[:] = [*kept, *_properties(made)]
        missed = [v.sentence for v in verdicts if v.outcome in _FAILING[self.settings.strict]]
        if missed:
            run.missed = tuple(missed)
            pytest.fail("\n".join(missed), pytrace=False)

    def _quiet(self, item: pytest.Item, run: Parallel) -> Quiet | None:
        """What the work of a point costs on a quiet machine, where this one is not."""
        assert run.stored
        self.quiets = self.quiets or Quiets(self.config, self.baselines.kin if self.baselines else None)
        self.quiets.note(run.stored)
        busy = run.contended is not None or (run.stored.contention.foreign or 0.0) > CALM
        return self.quiets.of(item.nodeid, run.stored) if busy else None

    def _compared(self, item: pytest.Item, run: Parallel) -> Iterator[Verdict]:
        """The verdicts of a point against its stored run."""
        if self.baselines is None or run.stored is None:
            return
        yield from self.baselines.verdicts(
            item.nodeid,
            run.stored,
            self.settings.compare_fail,
            contended=run.contended,
            anyway=self.settings.compare_anyway,
        )

    def _settled(self, item: pytest.Item, run: Parallel, gate: Gate, found: Verdict) -> list[Verdict]:
        """The verdicts that stand at this point: its own, or that of a family that ends here."""
        if gate.require == "all":
            return [found]
        family = self.families.setdefault((run.test, gate.metric, run.workers), _Family())
        family.waiting.discard(item.nodeid)
        family.verdicts = [(n, v) for n, v in family.verdicts if n != run.strategy]
        family.verdicts.append((run.strategy, found))
        if found.outcome is Outcome.PASSED:
            return [found]
        if family.waiting or not family.open:
            return []
        family.judged = True
        return [family.verdict()]

    def finish(self, session: pytest.Session) -> None:
        """Judge the families whose last point was skipped or failed, so that no test could carry it."""
        ended = [f for f in self.families.values() if f.open and not f.waiting]  # not cut short by -x
        verdicts = [family.verdict() for family in ended]
        self.unclaimed = [v for v in verdicts if v.outcome in _FAILING[self.settings.strict]]
        if self.unclaimed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def expect(self, items: Sequence[pytest.Item]) -> None:
        """Note the selected points and their families, before any runs."""
        self.selected = sum(self.point_of(item) is not None for item in items)
        self.begun = time.monotonic()
        for item in items:
            point = self.point_of(item)
            for gate in point.gates if point else ():
                if point is None or gate.require == "all":
                    continue
                assert isinstance(item, pytest.Function)
                kin = self.points[_function_id(item)].values()
                family = self.families.setdefault(
                    (self.test_of(item, point), gate.metric, point.workers), _Family()
                )
                family.points = sum(p.workers == point.workers and gate in p.gates for p in kin)
                family.waiting.add(item.nodeid)

    def attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put the entry of a point on its report, which travels to xdist's controller."""
        point = self.point_of(item)
        if point is None or (report.when != "call" and report.passed):
            return
        run = item.stash.get(RUN, None)
        if run is not None and not report.passed and not (report.when == "call" and run.missed):
            run.drop()  # whatever failed after measuring: a later fixture, a subtest, a teardown
        if run is not None and report.when == "call" and report.failed:
            path, line, _ = item.location
            self.missed[item.nodeid] = [(path, (line or 0) + 1, f"{item.name}: {s}") for s in run.missed]
        entry = self._entry(item, point, report)
        if entry.status != "measured":
            for family in self.families.values():
                family.skipped += item.nodeid in family.waiting
                family.waiting.discard(item.nodeid)
        vars(report)[CARRIED] = entry.to_json()

    def _entry(self, item: pytest.Item, point: Point, report: pytest.TestReport) -> Entry:
        run = item.stash.get(RUN, None)
        made, status, reason = None, "failed" if report.when == "call" else "error", ""
        if hasattr(report, "wasxfail") and report.skipped:
            status, reason = "failed", f"as expected: {report.wasxfail}".rstrip(": ")
        elif report.skipped:
            status, reason = "skipped", _skip_reason(report)
        elif run is not None and run.measurement is not None:
            status, made = "measured", run.stored
        elif run is not None and report.passed:
            status, reason = "not measured", run.not_measured or _NOTHING[run.used]
        else:
            reason = _first_line(report)
        return Entry(
            nodeid=item.nodeid,
            test=self.test_of(item, point),
            strategy=point.strategy.name,
            workers_requested=point.requested,
            workers=point.workers,
            status=status,  # type: ignore[arg-type]  # one of the literals, chosen above
            reason=reason,
            record=made,
        )

    def note(self, report: pytest.TestReport) -> Entry:
        """Take the entry from a report."""
        entry = Entry.from_json(vars(report)[CARRIED])
        self.entries[entry.nodeid] = entry
        return entry

    @property
    def measured(self) -> bool:
        """Whether any point has figures."""
        return any(entry.record for entry in self.entries.values())

    def export(self, session: pytest.Session) -> None:
        """Write the reports that go to files; without one that is asked for the session has failed."""
        if self.settings.export:
            self.unwritten = exporting.write(self)
            if self.unwritten and self.measured and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if exporting.STEP_SUMMARY in os.environ:
            self.unwritten += exporting.summarize(self)

    def progress(self) -> Progress:
        """How far the session is."""
        return Progress(done=len(self.entries), points=self.selected, seconds=time.monotonic() - self.begun)


def _listed(found: Any) -> list[Strategy]:
    """What a conftest hook gave: a strategy, or some."""
    if isinstance(found, Strategy):
        return [found]
    try:
        return list(found)
    except TypeError:
        raise UsageError(
            f"the hook pytest_parallelism_strategies gave {found!r}: it must return strategies"
        ) from None


def _properties(made: Record) -> Iterator[tuple[str, Any]]:
    """What JUnit's XML says of a point."""
    yield "parallel_speedup", round(made.speedup.estimate, 4)
    yield "parallel_speedup_low", round(made.speedup.low, 4)
    yield "parallel_speedup_high", round(made.speedup.high, 4)
    for verdict in made.verdicts:
        name = f"parallel_verdict_{verdict.gate}" + ("_compared" if verdict.against else "")
        yield name, f"{verdict.outcome.value}: {verdict.sentence}"


def _function_id(item: pytest.Function) -> str:
    parent = item.parent
    assert parent is not None
    return f"{parent.nodeid}::{item.originalname}"


def _skipped(item: pytest.Item) -> bool:
    return item.get_closest_marker("skip") is not None


def _skip_reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(reason).removeprefix("Skipped: ")


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", None) or report.longreprtext)
    return text.strip().splitlines()[0] if text.strip() else ""
