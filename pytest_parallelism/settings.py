"""What the user asked for: options, ini values and marker arguments, parsed once into frozen data.

Knows no pytest: the plugin hands over plain values and turns `UsageError` into its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal, get_args

from .addresses import shown
from .errors import UsageError, did_you_mean

__all__ = [
    "DEFAULT_MAX_TIME",
    "Claims",
    "Limit",
    "MarkerArguments",
    "Metric",
    "Settings",
    "WorkerCount",
    "resolve_workers",
]

DEFAULT_MAX_TIME = 10.0
"""Seconds a point may take."""
IO_WORKERS_PER_CORE = 5
"""``workers="io"`` goes up to this many workers a core: ThreadPoolExecutor's own default was 5 a core for
I/O (Python 3.5 to 3.7 documentation)."""
IO_IN_FLIGHT = 1000
"""``workers="io"`` on an event loop goes up to this many coroutines in flight."""
_WORDS = ("auto", "io", "max", "max-1")
_MARKER = "parallel_strategies"
_NAME = r"[\w.-]+"

Metric = Literal["speedup", "efficiency", "throughput", "memory"]
_METRICS: tuple[Metric, ...] = get_args(Metric)

WorkerCount = int | str
"""A number, or ``"max"`` or ``"max-1"``, whose number depends on the machine."""


@dataclass(frozen=True)
class Claims:
    """What is asked of the points: one number for all with more than one worker, or one by worker count."""

    everywhere: float | None = None
    by_workers: Mapping[WorkerCount, float] = field(default_factory=dict)

    def of(self, requested: WorkerCount, workers: int, words: Iterable[str] = ()) -> float | None:
        """The number claimed for a point, None where nothing is claimed.

        ``words``: those among the worker counts (``"max"``) that mean the same number here.
        """
        for key in (requested, workers, *words):
            if key in self.by_workers:
                return self.by_workers[key]
        return self.everywhere if workers > 1 else None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How much worse than in the stored run a metric may be: ``loss`` is a share, .05 for 5 %.

    Speedup, efficiency and throughput may not fall by more, peak memory may not grow by more.
    """

    metric: Metric
    loss: float

    @classmethod
    def parse(cls, text: str, where: str) -> Limit:
        """From ``METRIC:PCT``, such as ``speedup:5`` or ``memory:10%``; raises `UsageError`."""
        metric, colon, percent = text.strip().partition(":")
        if metric not in _METRICS:
            raise UsageError(
                f"{where} must be METRIC:PCT such as speedup:5, with one of {', '.join(_METRICS)}; "
                f"found {text!r}" + did_you_mean(metric, _METRICS)
            )
        try:
            loss = float(percent.strip().removesuffix("%")) / 100 if colon else nan
        except ValueError:
            loss = nan
        if not 0 < loss < 1:
            raise UsageError(f"{where} needs percents between 0 and 100, such as {metric}:5, not {text!r}")
        return cls(metric=metric, loss=loss)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options and ini values of a session; None where nothing was said."""

    report: bool = False
    strategies: tuple[str, ...] | None = None
    workers: tuple[WorkerCount, ...] | None = None
    min_speedup: Claims | None = None
    min_efficiency: Claims | None = None
    strict: bool = False
    max_time: float = DEFAULT_MAX_TIME
    rounds: int | None = None
    check: bool = False
    compare: str | None = None
    compare_fail: tuple[Limit, ...] = ()
    compare_anyway: bool = False
    export: tuple[str, ...] = ()
    """Files and folders that reports go to."""
    address: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By strategy, where a cluster of the user's is; it may hold credentials."""

    @classmethod
    def parse(cls, values: Mapping[str, tuple[str, Any]]) -> Settings:
        """From ``{field: (where, raw)}``; ``where`` names the option or ini key in sentences.

        Raises `UsageError` for the first value that is wrong.
        """
        parsed = {name: _PARSERS[name](raw, where) for name, (where, raw) in values.items()}
        for name in ("min_speedup", "min_efficiency"):
            if name in parsed:
                _check_reachable(name, parsed[name], (), values[name][0])
        for name in ("compare_fail", "compare_anyway"):
            if parsed.get(name) and not parsed.get("compare"):
                raise UsageError(f"{values[name][0]} needs a stored run: add --parallel-compare=latest")
        return cls(**parsed)


@dataclass(frozen=True, kw_only=True)
class MarkerArguments:
    """One ``@pytest.mark.parallel_strategies(...)``."""

    strategies: tuple[str, ...] = ("common",)
    workers: tuple[WorkerCount, ...] = ("auto",)
    min_speedup: Claims | None = None
    min_efficiency: Claims | None = None
    require: str = "all"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> MarkerArguments:
        """From the marker's own arguments; raises `UsageError` with one sentence."""
        for name in kwargs:
            if name not in _MARKER_PARSERS:
                raise UsageError(
                    f"{_MARKER} takes no argument {name!r}; it takes {', '.join(_MARKER_PARSERS)}"
                    + did_you_mean(name, _MARKER_PARSERS)
                )
        given = {n: _MARKER_PARSERS[n](v, f"{_MARKER}: {n}") for n, v in kwargs.items() if v is not None}
        given.pop("scaling", None)
        parsed = cls(strategies=_names(args, _MARKER) if args else ("common",), **given)
        _check_claims(parsed)
        return parsed


def resolve_workers(
    spec: Iterable[WorkerCount], cores: int, *, in_flight: bool = False
) -> list[tuple[WorkerCount, int]]:
    """(as written, number) for each worker count; the words give powers of two, numbers stay themselves.

    ``cores``: usable cores. ``in_flight``: the strategy counts coroutines in flight. A word whose number
    is listed anyway is dropped, so that ``"max"`` equal to a listed number is one point.
    """
    numbers: list[tuple[WorkerCount, int]] = []
    words: list[tuple[WorkerCount, int]] = []
    for count in spec:
        if isinstance(count, int):
            numbers.append((count, count))
        elif count == "auto":
            numbers += [(n, n) for n in _powers_of_two(cores)]
        elif count == "io":
            most = IO_IN_FLIGHT if in_flight else IO_WORKERS_PER_CORE * cores
            numbers += [(n, n) for n in _powers_of_two(most)]
        else:
            words.append((count, max(1, cores - (count == "max-1"))))
    found: dict[int, WorkerCount] = {}
    for written, number in [*numbers, *words]:
        found.setdefault(number, written)
    return [(written, number) for number, written in sorted(found.items())]


def _powers_of_two(most: int) -> list[int]:
    return [2**i for i in range(max(1, most).bit_length())]


def _check_claims(marker: MarkerArguments) -> None:
    explicit = [w for w in marker.workers if isinstance(w, int)]
    for what, claims in (("min_speedup", marker.min_speedup), ("min_efficiency", marker.min_efficiency)):
        if claims is None:
            continue
        _check_reachable(what, claims, explicit, f"{_MARKER}: {what}")
        strangers = [k for k in claims.by_workers if k not in marker.workers]
        if strangers and len(explicit) == len(marker.workers):
            raise UsageError(
                f"{_MARKER}: {what} names {strangers[0]!r} workers, but workers= lists "
                f"{', '.join(map(str, marker.workers))} only: list it there too"
            )


def _check_reachable(what: str, claims: Claims, counts: Iterable[int], where: str) -> None:
    asked = [(n, claims.everywhere) for n in counts if n > 1 and claims.everywhere is not None]
    asked += [(n, claim) for n, claim in claims.by_workers.items() if isinstance(n, int)]
    for workers, claim in asked:
        most = workers if what == "min_speedup" else 1
        if claim > most:
            raise UsageError(
                f"{where} of {claim:g} with {workers} workers is more than any machine can reach "
                f"({most}): ask for less, or give one number a worker count such as {{4: 2.5}}"
            )


# --- parsers: (raw value, where it stands) -> value, or one sentence ---


def _flag(raw: Any, where: str) -> bool:
    if isinstance(raw, bool):
        return raw
    raise UsageError(f"{where} must be true or false, not {raw!r}")


def _names(raw: Any, where: str) -> tuple[str, ...]:
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else list(raw)
    bad = [p for p in parts if not isinstance(p, str)]
    if bad:
        raise UsageError(
            f"{where} takes names of strategies as text, not {bad[0]!r} ({type(bad[0]).__name__})"
        )
    if not parts or not all(p.strip() for p in parts):
        raise UsageError(f"{where} names no strategy: give names or groups such as threads or common")
    return tuple(dict.fromkeys(parts))


def _workers(raw: Any, where: str) -> tuple[WorkerCount, ...]:
    if isinstance(raw, str):
        parts: list[Any] = raw.replace(",", " ").split()
    elif isinstance(raw, Iterable):
        parts = list(raw)
    else:
        parts = [raw]
    if not parts:
        raise UsageError(
            f"{where} is empty: give worker counts such as 1, 2, 4 or one of {', '.join(_WORDS)}"
        )
    return tuple(dict.fromkeys(_worker_count(p, where) for p in parts))


def _worker_count(raw: Any, where: str) -> WorkerCount:
    if isinstance(raw, str) and raw in _WORDS:
        return raw
    if isinstance(raw, str) and raw.strip().isdecimal():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise UsageError(
            f"{where} takes worker counts (1, 2, 4 …) or one of {', '.join(_WORDS)}, not {raw!r}"
        )
    if raw < 1:
        raise UsageError(f"{where} must be at least 1, not {raw}")
    return raw


def _claims(raw: Any, where: str) -> Claims:
    if isinstance(raw, str) and ":" in raw:
        pairs = [part.partition(":") for part in raw.replace(",", " ").split()]
        raw = {key: value for key, _, value in pairs}
    if isinstance(raw, Mapping):
        return Claims(by_workers={_claim_key(k, where): _positive(v, where) for k, v in raw.items()})
    return Claims(everywhere=_positive(raw, where))


def _claim_key(raw: Any, where: str) -> WorkerCount:
    key = _worker_count(raw, where)
    if key in ("auto", "io"):
        raise UsageError(f"{where}: {raw!r} stands for several worker counts: give the numbers")
    return key


def _positive(raw: Any, where: str) -> float:
    try:
        value = float(raw) if not isinstance(raw, bool) else None
    except (TypeError, ValueError):
        value = None
    if value is None or not 0 < value < float("inf"):
        raise UsageError(f"{where} must be a number above 0, not {raw!r}")
    return value


def _efficiency(raw: Any, where: str) -> Claims:
    claims = _claims(raw, where)
    for value in (claims.everywhere, *claims.by_workers.values()):
        if value is not None and value > 1:
            raise UsageError(f"{where} is a share between 0 and 1 (0.8 is 80 %), not {value:g}")
    return claims


def _count(raw: Any, where: str) -> int:
    try:
        value = int(raw) if not isinstance(raw, (bool, float)) else None
    except (TypeError, ValueError):
        value = None
    if value is None or value < 1:
        raise UsageError(f"{where} must be a whole number of at least 1, not {raw!r}")
    return value


def _reference(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise UsageError(f"{where} names a stored run: latest, or its number or name such as 0003")
    return raw.strip()


def _limits(raw: Any, where: str) -> tuple[Limit, ...]:
    parts = str(raw).replace(",", " ").split()
    if not parts:
        raise UsageError(f"{where} is empty: give METRIC:PCT such as speedup:5")
    limits = {limit.metric: limit for limit in (Limit.parse(part, where) for part in parts)}
    return tuple(limits.values())


def _require(raw: Any, where: str) -> str:
    if raw not in ("all", "any"):
        raise UsageError(f"{where} must be 'all' or 'any', not {raw!r}")
    return str(raw)


def _options(raw: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(raw, Mapping) or not all(isinstance(v, Mapping) for v in raw.values()):
        raise UsageError(f"{where} must be {{strategy: {{name: value}}}}, not {raw!r}")
    return {str(name): dict(values) for name, values in raw.items()}


def _scaling(raw: Any, where: str) -> str:
    if raw == "weak":
        raise UsageError(
            f"{where}='weak' is not there yet: only strong scaling (the same work on more workers) is"
        )
    if raw != "strong":
        raise UsageError(f"{where} must be 'strong', not {raw!r}")
    return "strong"


def _by_strategy(raw: Any, where: str) -> Mapping[str, str]:
    given = [raw] if isinstance(raw, str) else raw
    pairs = list(given.items()) if isinstance(given, Mapping) else [_pair(text) for text in given]
    found: dict[str, str] = {}
    for name, address in pairs:
        if not isinstance(address, str) or not re.fullmatch(_NAME, str(name)) or not address:
            said = shown(address) if isinstance(address, str) else type(address).__name__
            raise UsageError(
                f"{where} must name a strategy and its cluster's address, such as dask=tcp://host:8786, "
                f"not {said}"
            )
        if name in found:
            raise UsageError(f"{where} gives {name} two addresses: a strategy runs on one cluster")
        found[name] = address
    return found


def _pair(text: str) -> tuple[str, str]:
    name, _, address = (part.strip() for part in text.partition("="))
    return (name, address) if re.fullmatch(_NAME, name) else ("", text)


def _targets(raw: Any, where: str) -> tuple[str, ...]:
    given = [raw] if isinstance(raw, str) else list(raw)
    if not all(isinstance(name, str) and name.strip() for name in given):
        raise UsageError(f"{where} must name a file or a folder, not {raw!r}")
    return tuple(given)


_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "report": _flag,
    "strategies": _names,
    "workers": _workers,
    "min_speedup": _claims,
    "min_efficiency": _efficiency,
    "strict": _flag,
    "max_time": _positive,
    "rounds": _count,
    "check": _flag,
    "compare": _reference,
    "compare_fail": _limits,
    "compare_anyway": _flag,
    "export": _targets,
    "address": _by_strategy,
}
_MARKER_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "workers": _workers,
    "min_speedup": _claims,
    "min_efficiency": _efficiency,
    "require": _require,
    "options": _options,
    "scaling": _scaling,
}
