"""What a measurement is, as frozen data. A leaf: it imports nothing of ours and computes almost nothing.

All times are seconds of a monotonic clock, all sizes bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

__all__ = [
    "Interval",
    "Kind",
    "Measurement",
    "Memory",
    "Outcome",
    "Pair",
    "Round",
    "Span",
    "Task",
    "Trace",
    "Usage",
    "Verdict",
]


class Kind(str, Enum):
    """What the sequential rounds spend their time on."""

    CPU = "cpu"
    IO = "io"
    MIXED = "mixed"


class Outcome(str, Enum):
    """What became of a gate."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What some processes used between two moments; None where the system does not tell.

    ``delay_seconds`` is the time that their runnable threads waited for a core (run-queue delay).
    """

    cpu_seconds: float
    delay_seconds: float | None = None
    voluntary_switches: int = 0
    involuntary_switches: int = 0
    user_seconds: float | None = None
    """CPU seconds in user mode, in ticks of the system's clock (mostly 4 or 10 ms): true in sums only."""
    system_seconds: float | None = None
    read_bytes: int | None = None
    """Bytes that came from storage: nothing where the page cache had them."""
    written_bytes: int | None = None
    read_chars: int | None = None
    """Bytes that read calls returned, of files in the page cache, pipes and terminals too."""
    written_chars: int | None = None
    shipped_out_bytes: int | None = None
    """Bytes of functions and items that were packed for workers."""
    shipped_in_bytes: int | None = None
    """Bytes of results and errors that came back."""

    @classmethod
    def total(cls, usages: Sequence[Usage]) -> Usage:
        """The sum of ``usages``, one at least; what one of them does not know is unknown."""
        sums: dict[str, Any] = {}
        for name in (f.name for f in fields(cls)):
            known = [getattr(usage, name) for usage in usages]
            sums[name] = None if None in known else sum(known)
        return cls(**sums)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task, or a chunk of ``tasks`` of them, as the worker that ran it noted it. Clocks in seconds.

    ``cpu_…``: the worker thread's CPU time before and after. ``delay_…``: seconds that the thread had waited
    for a core in its life, None where the system does not tell.
    """

    worker: tuple[int, int]
    """Process and thread."""
    chunk: int
    """Number of the chunk among those of its worker; 0 where the mechanism knows no chunks."""
    tasks: int
    start: float
    end: float
    cpu_before: float
    cpu_after: float
    delay_before: float | None
    delay_after: float | None
    waited: float = 0.0
    """Seconds that the thread was ready and had no core since its last task, maybe of the round before."""
    dispatchers_before: float | None = None
    """Seconds that the threads that dispatch had waited for a core in their lives, as this task began …"""
    dispatchers_after: float | None = None
    """… and as it ended."""

    @property
    def seconds(self) -> float:
        """Wall seconds less those that its thread was ready and had no core; its CPU seconds at least."""
        return max(self.end - self.start - self.delay_seconds, self.cpu_seconds)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of its thread."""
        return self.cpu_after - self.cpu_before

    @property
    def delay_seconds(self) -> float:
        """Seconds that its thread was ready and had no core; 0 where the system does not tell."""
        if self.delay_before is None or self.delay_after is None:
            return 0.0
        return self.delay_after - self.delay_before


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of a round in the thread that runs the workload: the round itself, or one map of it.

    ``delay_seconds``: what the thread waited for a core, None where the system does not tell.
    """

    start: float
    end: float
    cpu_seconds: float
    delay_seconds: float | None
    dispatchers_before: float | None = None
    """Seconds that the threads that dispatch had waited for a core in their lives, as this began …"""
    dispatchers_after: float | None = None
    """… and as it ended."""
    workers_before: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Seconds that each known worker had waited for a core in its life, as this began …"""
    workers_after: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """… and as it ended."""

    @property
    def seconds(self) -> float:
        """Wall seconds less those that its thread was ready and had no core."""
        return self.end - self.start - (self.delay_seconds or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """When what ran in a round: the round itself, its maps in turn, and all tasks by their start."""

    whole: Span
    maps: tuple[Span, ...]
    tasks: tuple[Task, ...]
    gil_share: float | None = None
    """Share of their CPU time in which the tasks hold the GIL, where workers are threads that share it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One timed execution of the workload: wall seconds, and what the parent and all workers used.

    ``trace``: when its tasks ran, None where that was not noted.
    """

    seconds: float
    usage: Usage
    trace: Trace | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A sequential round and the parallel round(s) run beside it."""

    sequential: Round
    parallel: tuple[Round, ...]
    foreign: float | None = None
    """Cores that others used on average since the last pair that says it (see `Load`); None where unknown."""
    reference: float | None = None
    """What the machine gave next to a computation that divides perfectly; None where nobody asked."""

    @property
    def parallel_seconds(self) -> float:
        """Mean wall seconds of the parallel rounds of this pair."""
        return math.fsum(r.seconds for r in self.parallel) / len(self.parallel)

    @property
    def seconds(self) -> float:
        """Wall seconds of all its rounds."""
        return self.sequential.seconds + math.fsum(r.seconds for r in self.parallel)

    @property
    def log_ratio(self) -> float:
        """log(sequential / mean parallel): the log of this pair's speedup."""
        return math.log(self.sequential.seconds / self.parallel_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with its confidence interval; ``confidence`` is two-sided (0.98 is 1 % a side)."""

    estimate: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Peak bytes of the parent and its workers together, and of a worker process (the mean of them).

    Figures of workers are None where workers are not processes of their own; all are None where the system
    does not tell.
    """

    peak_bytes: int | None = None
    per_worker_bytes: int | None = None
    """What a worker had for itself alone at its peak (USS)."""
    per_worker_pss_bytes: int | None = None
    """The same, with its part of the pages that it shared (PSS)."""
    helpers_bytes: int | None = None
    """PSS of all helper processes (resource trackers, fork servers, managers); not in ``peak_bytes``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one gate: ``claim`` is what was asked for, ``found`` the estimate, both as speedup
    or efficiency; ``sentence`` says it for people. ``against``: the stored run with which the metric that
    ``gate`` names was compared; claim and found are ratios then, now / stored."""

    gate: str
    outcome: Outcome
    claim: float
    found: float | None
    sentence: str
    against: str | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured point: raw rounds and the conditions they ran under. Never changed, only replaced."""

    strategy: str
    strategy_version: str
    workers: int
    """Workers that the pool had, proven to run at once."""
    workers_requested: int | str
    isolation: str
    pairs: tuple[Pair, ...]
    """In the order of time, warm-up excluded."""
    first_sequential_seconds: float
    """The very first round of the workload, which no pair holds."""
    open_seconds: float
    close_seconds: float
    elapsed_seconds: float
    """Wall seconds of the whole point, opening and closing included."""
    workload_seconds: float
    """Wall seconds of it that were spent inside the user's workload (warm-up and checks included)."""
    usable_cores: int
    result: str
    """``equal`` or ``unchecked``."""
    items: int | None = None
    size_bytes: int | None = None
    chunk_size: int | str | None = None
    kind: Kind | None = None
    """Only where the user states it; else it is found from the rounds."""
    foreign_load: float | None = None
    """Share of the usable cores' time that other processes used during the pairs; None where unknown."""
    reference_speedup: float | None = None
    """What the machine gave meanwhile to a computation that divides perfectly; None where nobody asked."""
    memory: Memory = Memory()
    threads: int | None = None
    """Threads of all workers (of the parent for strategies in the parent) after the last round."""
    environment: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences for the report: possibly cached, unchecked parts, oversubscribed BLAS, …"""
    strategy_info: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """What the strategy wants recorded: how workers are divided, which counts it chose, …"""

    @property
    def elsewhere(self) -> bool:
        """Whether the workers were those of a cluster of the user's, on other cores than this machine's."""
        return "address" in self.strategy_info

    @property
    def parallel_usages(self) -> Sequence[Usage]:
        """What the parent and all workers used in each parallel round."""
        return [r.usage for pair in self.pairs for r in pair.parallel]
