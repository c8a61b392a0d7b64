"""A measurement as it stands in pytest-benchmark's JSON, in ``extra_info["parallelism"]``, versioned.

Times are seconds and sizes bytes. Numbers are finite and scalars are Python's own types: NaN breaks strict
JSON parsers, and execnet (which carries entries from xdist workers) refuses subclasses such as numpy's.
"""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import UsageError
from .measurement import Interval, Kind, Measurement, Memory, Verdict

if TYPE_CHECKING:
    from .scaling import Summary

__all__ = [
    "SCHEMA",
    "Contention",
    "Cpu",
    "Entry",
    "Record",
    "Status",
    "Switches",
    "Throughput",
    "from_json",
    "make",
    "to_json",
]

SCHEMA = 1
"""Raised when a key changes its meaning or goes; a new key alone does not raise it."""

MOST_SECONDS = 64
"""Sequential seconds that a record holds at most: pytest-benchmark saves extra_info whole, always."""

CONDITIONS = ("python", "gil", "start_method", "blas_threads", "cpu_model", "cores", "quota")
"""Keys that every environment has, None where the system does not tell."""

Scalar = str | int | float | bool | None
Status = Literal["measured", "not measured", "skipped", "failed", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """What a parallel round gets done in a second; None where items or their sizes are unknown."""

    items_per_second: float | None
    bytes_per_second: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """CPU seconds of one parallel (and one sequential) round, and CPU seconds / wall seconds in cores."""

    seconds: float
    sequential_seconds: float
    utilization: float
    sequential_share: float
    """CPU time / (wall - run-queue delay) of the sequential rounds: what ``kind`` is judged by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """Context switches in the parallel rounds."""

    voluntary: int
    involuntary: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contention:
    """Share of runnable time spent waiting for a core; None where the system does not tell."""

    sequential: float | None
    parallel: float | None
    reference_speedup: float | None


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
        return _object(_plain(self, "entry"))

    @classmethod
    def from_json(cls, data: Any) -> Entry:
        """The entry that ``to_json`` was called on; UsageError where ``data`` is not one."""
        if isinstance(data, dict) and data.get("record") is not None:
            _check_schema(data["record"])
        entry: Entry = _read(cls, data, "entry")
        return entry


def make(test: str, measurement: Measurement, summary: Summary, verdicts: Sequence[Verdict] = ()) -> Record:
    """The record of one measured point; ``test`` is its node id without our two parameters."""
    m, s = measurement, summary
    environment: dict[str, Scalar] = dict.fromkeys(CONDITIONS) | dict(m.environment)
    tracing = environment.pop("tracing", None)
    return Record(
        schema=SCHEMA,
        test=test,
        strategy=m.strategy,
        strategy_version=m.strategy_version,
        strategy_info=dict(m.strategy_info),
        workers=m.workers,
        workers_requested=m.workers_requested,
        isolation=m.isolation,
        chunk_size=m.chunk_size,
        usable_cores=m.usable_cores,
        kind=s.kind,
        scaling="strong",
        pairs=len(m.pairs),
        items=m.items,
        size_bytes=m.size_bytes,
        sequential_seconds=_thinned([pair.sequential.seconds for pair in m.pairs]),
        sequential_median=s.sequential_seconds,
        first_sequential_seconds=m.first_sequential_seconds,
        parallel_seconds=s.parallel_seconds,
        speedup=s.speedup,
        uncontended_speedup=None,
        efficiency=s.efficiency,
        cold_speedup=s.cold_speedup,
        open_seconds=m.open_seconds,
        close_seconds=m.close_seconds,
        elapsed_seconds=m.elapsed_seconds,
        workload_seconds=m.workload_seconds,
        throughput=Throughput(items_per_second=s.items_per_second, bytes_per_second=s.bytes_per_second),
        cpu=_cpu(s),
        memory=m.memory,
        context_switches=Switches(voluntary=m.switches[0], involuntary=m.switches[1]),
        threads=m.threads,
        contention=Contention(
            sequential=s.contention_sequential, parallel=s.contention_parallel, reference_speedup=None
        ),
        serial_fraction=s.serial_fraction,
        result=m.result,
        verdicts=tuple(verdicts),
        notes=m.notes,
        tracing=str(tracing) if tracing else None,
        environment=environment,
    )


def _cpu(summary: Summary) -> Cpu:
    return Cpu(
        seconds=summary.cpu_seconds,
        sequential_seconds=summary.cpu_seconds_sequential,
        utilization=summary.cpu_utilization,
        sequential_share=summary.cpu_share,
    )


def _thinned(seconds: Sequence[float]) -> tuple[float, ...]:
    if len(seconds) <= MOST_SECONDS:
        return tuple(seconds)
    step = (len(seconds) - 1) / (MOST_SECONDS - 1)
    return tuple(seconds[round(i * step)] for i in range(MOST_SECONDS))


def to_json(record: Record) -> dict[str, Any]:
    """Plain dicts, lists and scalars, ready for any strict JSON writer.

    ValueError for a number that is not finite and TypeError for what JSON cannot hold: both name the key,
    and both are mistakes of ours, not of the user.
    """
    return _object(_plain(record, "record"))


def from_json(data: Any) -> Record:
    """The record that ``to_json`` was called on; keys that we do not know are ignored.

    UsageError, one sentence, for a newer schema, a missing key or a value of a wrong type.
    """
    _check_schema(data)
    record: Record = _read(Record, data, "record")
    return record


def _check_schema(data: Any) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise UsageError(
            f"the stored parallelism record has schema {schema}, and this version reads up to {SCHEMA}: "
            f"update pytest-parallelism, or measure again"
        )
    if type(schema) is int and schema < 1:
        raise _unreadable(f"record, whose schema is {schema} and not 1 or above")


def _object(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def _plain(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, path)
    if isinstance(value, (str, int, float)):
        return _plain_scalar(value, path)
    if isinstance(value, (tuple, list)):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), f"{path}.{f.name}") for f in fields(value)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item, f"{path}.{key}") for key, item in value.items()}
    raise TypeError(f"{path} is {reprlib.repr(value)}, a {type(value).__name__}, which JSON cannot hold")


def _plain_scalar(value: str | float, path: str) -> str | int | float:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"{path} is {value}: a record holds finite numbers only")
    return float(value)


def _read(kind: Any, value: Any, path: str) -> Any:
    """``value``, from JSON, as the type ``kind`` that a field is annotated with."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _read_fields(kind, value, path)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path)
    if origin is tuple:
        items = _expect(list, value, path, "a list")
        return tuple(_read(get_args(kind)[0], item, f"{path}[{i}]") for i, item in enumerate(items))
    if origin is Mapping:
        items = _expect(dict, value, path, "an object")
        return {key: _read(get_args(kind)[1], item, f"{path}.{key}") for key, item in items.items()}
    if origin is Literal:
        return _choice({text: text for text in get_args(kind)}, value, path)
    if issubclass(kind, Enum):
        return _choice({member.value: member for member in kind}, value, path)
    if kind is float:
        return _number(value, path)
    return _expect(kind, value, path, {int: "a whole number", str: "a text", bool: "true or false"}[kind])


def _read_fields(kind: Any, value: Any, path: str) -> Any:
    data = _expect(dict, value, path, "an object")
    hints = get_type_hints(kind)
    missing = [
        f.name for f in fields(kind) if f.name not in data and f.default is f.default_factory is MISSING
    ]
    if missing:
        raise _unreadable(f"{path} has no {', '.join(missing)}")
    return kind(**{name: _read(hints[name], data[name], f"{path}.{name}") for name in hints if name in data})


def _read_union(members: Sequence[Any], value: Any, path: str) -> Any:
    """Exact types first, so that a whole number in ``int | float`` stays one."""
    if value is None and type(None) in members:
        return None
    if type(value) in members:
        return _read(type(value), value, path)
    rest = [member for member in members if member is not type(None)]
    if len(rest) == 1:
        return _read(rest[0], value, path)
    names = " or ".join("null" if member is type(None) else member.__name__ for member in members)
    raise _unreadable(f"{path} is {reprlib.repr(value)}, not {names}")


def _expect(kind: type, value: Any, path: str, name: str) -> Any:
    # bool is an int to isinstance, but not in JSON.
    if type(value) is not kind:
        raise _unreadable(f"{path} is {reprlib.repr(value)}, not {name}")
    return value


def _choice(choices: Mapping[str, Any], value: Any, path: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise _unreadable(f"{path} is {reprlib.repr(value)}, not one of {', '.join(choices)}")
    return choices[value]


def _number(value: Any, path: str) -> float:
    # Other writers of JSON shorten 2.0 to 2; Python's own reads the NaN that it should not have written.
    if type(value) not in (int, float) or not abs(value) < math.inf:
        raise _unreadable(f"{path} is {reprlib.repr(value)}, not a finite number")
    try:
        return float(value)
    except OverflowError:
        raise _unreadable(f"{path} is {reprlib.repr(value)}, too large for a number of ours") from None


def _unreadable(what: str) -> UsageError:
    return UsageError(f"cannot read a stored parallelism {what}: measure again to replace it")
