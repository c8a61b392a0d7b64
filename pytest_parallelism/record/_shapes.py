"""What a record holds. The names are those of the JSON and stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError
from ..measurement import Interval, Kind, Memory, Verdict
from ._codec import plain, read, unreadable

__all__ = [
    "SCHEMA",
    "Contention",
    "Cpu",
    "Entry",
    "Io",
    "Record",
    "Scalar",
    "Shipped",
    "Status",
    "Switches",
    "Throughput",
    "from_json",
    "to_json",
]

SCHEMA = 1
"""Raised when a key changes its meaning or goes; a new key alone does not raise it."""

Scalar = str | int | float | bool | None
Status = Literal["measured", "not measured", "skipped", "failed", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """What a parallel round gets done in a second, and at which price; None where its measure is unknown."""

    items_per_second: float | None
    bytes_per_second: float | None
    items_per_cpu_second: float | None = None
    items_per_gigabyte: float | None = None
    """Items of a round / 10**9 bytes of ``memory.peak_bytes``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """CPU seconds of one parallel (and one sequential) round, and CPU seconds / wall seconds in cores."""

    seconds: float
    sequential_seconds: float
    utilization: float
    sequential_share: float
    """CPU time / (wall - run-queue delay) of the sequential rounds: what ``kind`` is judged by."""
    user_seconds: float | None = None
    """The part of ``seconds`` in user mode, by the ticks of all parallel rounds."""
    system_seconds: float | None = None
    delay_seconds: float | None = None
    """Seconds that runnable threads waited for a core, mean of the parallel rounds, summed over threads."""

    @property
    def growth(self) -> float:
        """CPU seconds of a parallel round / those of a sequential one; 1 where the clock saw none."""
        return self.seconds / self.sequential_seconds if self.sequential_seconds > 0 else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """Context switches of the parent and all threads of the workers, mean of the parallel rounds."""

    voluntary: float
    involuntary: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Io:
    """Bytes read and written by the parent and the workers, mean of the parallel rounds (see `Usage`)."""

    read_bytes: int | None = None
    written_bytes: int | None = None
    read_chars: int | None = None
    written_chars: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """Bytes sent to workers and received from them by ``map``, mean of the parallel rounds."""

    out_bytes: int | None = None
    in_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Contention:
    """Share of runnable time spent waiting for a core; None where the system does not tell."""

    sequential: float | None
    parallel: float | None
    reference_speedup: float | None
    """What the machine gave meanwhile to a computation that divides perfectly."""
    foreign: float | None = None
    """Share of the usable cores that others used while the pairs ran."""
    contended: bool = False
    """Whether that was too much for the wall clock: then ``uncontended_speedup`` is what counts."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured point. The names are those of the JSON and stay."""

    schema: int
    test: str
    """The node id without our two parameters: what one table of the report stands for."""
    strategy: str
    strategy_version: str
    strategy_info: Mapping[str, Scalar]
    workers: int
    workers_requested: int | str
    isolation: str
    chunk_size: int | str | None
    usable_cores: int
    kind: Kind
    scaling: str
    pairs: int
    items: int | None
    size_bytes: int | None
    sequential_seconds: tuple[float, ...]
    """At most 64 of the sequential rounds, evenly thinned, in the order of time."""
    pair_numbers: tuple[int, ...] = ()
    """From 0: the pairs that ``sequential_seconds`` and ``parallel_pair_seconds`` are of."""
    parallel_pair_seconds: tuple[tuple[float, ...], ...] = ()
    """Of each of these pairs the parallel rounds, in the order of time."""
    sequential_median: float
    """Median seconds of all sequential rounds."""
    first_sequential_seconds: float
    parallel_seconds: float
    """Median seconds of the parallel rounds."""
    speedup: Interval
    uncontended_speedup: Interval | None
    efficiency: Interval
    cold_speedup: float
    open_seconds: float
    close_seconds: float
    elapsed_seconds: float
    workload_seconds: float
    throughput: Throughput
    cpu: Cpu
    memory: Memory
    context_switches: Switches
    io: Io = Io()
    shipped: Shipped = Shipped()
    threads: int | None
    contention: Contention
    serial_fraction: float | None
    result: str
    """``equal`` or ``unchecked``."""
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    tracing: str | None
    """What traced the code (coverage, a debugger): the figures are its own too. None where nothing did."""
    environment: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One point of the session, measured or not, as the report and xdist's controller get it.

    ``not measured``: run once for correctness. ``failed``: a wrong result or a failing assertion; a missed
    gate is ``measured``, its verdict stands in the record. ``workers`` is None where ``workers_requested``
    (such as ``max``) was never resolved.
    """

    nodeid: str
    test: str
    strategy: str
    workers_requested: int | str
    workers: int | None
    status: Status
    reason: str
    record: Record | None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars; ValueError or TypeError as `to_json` of a record."""
        return dict(plain(self, "entry"))

    @classmethod
    def from_json(cls, data: Any) -> Entry:
        """The entry that ``to_json`` was called on; UsageError where ``data`` is not one."""
        if isinstance(data, dict) and data.get("record") is not None:
            _check_schema(data["record"])
        entry: Entry = read(cls, data, "entry")
        return entry


def to_json(record: Record) -> dict[str, Any]:
    """Plain dicts, lists and scalars, ready for any strict JSON writer.

    ValueError for a number that is not finite and TypeError for what JSON cannot hold: both name the key,
    and both are mistakes of ours, not of the user.
    """
    return dict(plain(record, "record"))


def from_json(data: Any) -> Record:
    """The record that ``to_json`` was called on; keys that we do not know are ignored.

    UsageError, one sentence, for a newer schema, a missing key or a value of a wrong type.
    """
    _check_schema(data)
    record: Record = read(Record, data, "record")
    return record


def speedup_of(data: Any) -> Interval:
    """The speedup of such a record alone: a tenth of the time. UsageError as `from_json`."""
    _check_schema(data)
    if not isinstance(data, dict) or "speedup" not in data:
        raise unreadable("record has no speedup")
    found: Interval = read(Interval, data["speedup"], "record.speedup")
    if not found.estimate > 0:
        raise unreadable(f"record.speedup.estimate is {found.estimate:g}, not above 0")
    return found


def _check_schema(data: Any) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise UsageError(
            f"the stored parallelism record has schema {schema}, and this version reads up to {SCHEMA}: "
            f"update pytest-parallelism, or measure again"
        )
    if type(schema) is int and schema < 1:
        raise unreadable(f"record, whose schema is {schema} and not 1 or above")
