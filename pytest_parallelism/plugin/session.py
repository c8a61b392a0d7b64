"""What one pytest session knows: settings, strategies, points, gates to be judged, and entries to report."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ..errors import ParallelismWarning, UsageError
from ..gate import Gate, judge_any
from ..measurement import Outcome, Verdict
from ..record import Entry
from ..registry import expand, load
from ..resources import Cores, environment, usable_cores
from ..settings import Settings, WorkerCount
from ..strategy import Strategy
from . import benchmark as host
from . import options

if TYPE_CHECKING:
    from .collect import Point
    from .fixture import Parallel

__all__ = ["CARRIED", "RUN", "State"]

RUN: pytest.StashKey[Parallel] = pytest.StashKey()
"""On an item: the fixture's object of its latest run."""

CARRIED = "parallelism"
"""Attribute of a report that carries its entry."""

_FAILING = {False: {Outcome.FAILED}, True: {Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED}}


@dataclass
class _Family:
    """The points of which one must reach a claim (``require="any"``)."""

    waiting: set[str] = field(default_factory=set)
    """Node ids that may still reach it."""
    verdicts: list[tuple[str, Verdict]] = field(default_factory=list)
    judged: bool = False

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
    unclaimed: list[Verdict] = field(default_factory=list)
    """Missed gates of families that no test could fail for."""

    @classmethod
    def of(cls, config: pytest.Config) -> State:
        """Read the options and load the strategies; raises pytest's UsageError with one sentence."""
        try:
            settings = options.read(config)
            extra = config.hook.pytest_parallelism_strategies(config=config)
            known = load([strategy for found in extra for strategy in found])
            if settings.strategies:
                expand(settings.strategies, known)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        return cls(config=config, settings=settings, known=known, cores=usable_cores())

    # --- collection ---

    def header(self) -> str | None:
        """What the command line or the ini file puts in place of the markers' choice."""
        replaced = [("strategies", self.settings.strategies), ("workers", self.settings.workers)]
        said = [f"{what} {', '.join(map(str, value))}" for what, value in replaced if value]
        return f"parallelism: {' and '.join(said)} instead of the markers' choice" if said else None

    def announcement(self, items: Sequence[pytest.Item]) -> str | None:
        """One line: how many points, how long at most, on what."""
        points = [item for item in items if self.point_of(item) and not _skipped(item)]
        for item in points:
            self._expect(item)
        if not points:
            return None
        count = f"{len(points)} point" + "s" * (len(points) > 1)
        cores = f"{self.cores.usable} usable core" + "s" * (self.cores.usable > 1)
        gil = "GIL on" if environment(self.cores).get("gil") else "GIL off"
        return f"parallelism: {count}, {self._duration(len(points))}, {cores}, {gil}"

    def _duration(self, points: int) -> str:
        if self.settings.check:
            return "each run once, not timed"
        if self.settings.rounds:
            return f"{self.settings.rounds} pairs each"
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
            warnings.warn(
                f"{item.name} uses the fixture parallel and measures nothing: "
                f"call parallel.map(function, items) or parallel.measure(call)",
                ParallelismWarning,
                stacklevel=2,
            )
        if run is None or run.measurement is None:
            return
        verdicts = [v for g, found in run.verdicts() for v in self._settled(item, run, g, found)]
        run.store(verdicts)
        missed = [v.sentence for v in verdicts if v.outcome in _FAILING[self.settings.strict]]
        if missed:
            pytest.fail("\n".join(missed), pytrace=False)

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
        return [judge_any(family.verdicts)]

    def finish(self, session: pytest.Session) -> None:
        """Judge the families whose last point was skipped or failed, so that no test could carry it."""
        verdicts = [judge_any(family.verdicts) for family in self.families.values() if family.open]
        self.unclaimed = [v for v in verdicts if v.outcome in _FAILING[self.settings.strict]]
        if self.unclaimed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _expect(self, item: pytest.Item) -> None:
        point = self.point_of(item)
        assert point is not None
        for gate in point.gates:
            if gate.require == "any":
                key = (self.test_of(item, point), gate.metric, point.workers)
                self.families.setdefault(key, _Family()).waiting.add(item.nodeid)

    def attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put the entry of a point on its report, which travels to xdist's controller."""
        point = self.point_of(item)
        decisive = report.when == "call" or (report.when == "setup" and not report.passed)
        if point is None or not decisive:
            return
        entry = self._entry(item, point, report)
        if entry.status != "measured":
            for family in self.families.values():
                family.waiting.discard(item.nodeid)
        vars(report)[CARRIED] = entry.to_json()

    def _entry(self, item: pytest.Item, point: Point, report: pytest.TestReport) -> Entry:
        run = item.stash.get(RUN, None)
        made, status, reason = None, "error" if report.when == "setup" else "failed", ""
        if report.skipped:
            status, reason = "skipped", _skip_reason(report)
        elif run is not None and run.measurement is not None:
            status, made = "measured", run.stored
        elif run is not None and report.passed:
            status, reason = (
                "not measured",
                run.not_measured or "the test did not call parallel.map or measure",
            )
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

    def note(self, report: pytest.TestReport) -> None:
        """Take the entry from a report."""
        entry = Entry.from_json(vars(report)[CARRIED])
        self.entries[entry.nodeid] = entry


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
