from __future__ import annotations

import itertools
import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_parallelism.errors import UsageError
from pytest_parallelism.measurement import (
    Interval,
    Kind,
    Measurement,
    Memory,
    Outcome,
    Pair,
    Round,
    Usage,
    Verdict,
)
from pytest_parallelism.record import SCHEMA, Entry, Record, from_json, make, to_json
from pytest_parallelism.scaling import Summary

FIXED = """
schema strategy strategy_version workers workers_requested chunk_size usable_cores kind scaling
pairs sequential_seconds speedup uncontended_speedup efficiency cold_speedup open_seconds
close_seconds throughput cpu memory context_switches threads contention serial_fraction result
verdicts environment
"""
FIXED_INSIDE = {
    "speedup": "estimate low high confidence",
    "efficiency": "estimate low high confidence",
    "throughput": "items_per_second bytes_per_second",
    "cpu": "seconds utilization",
    "memory": "peak_bytes per_worker_bytes",
    "context_switches": "voluntary involuntary",
    "contention": "sequential parallel reference_speedup foreign contended",
    "environment": "python gil start_method blas_threads cpu_model cores quota",
}


def interval(estimate: float) -> Interval:
    return Interval(estimate=estimate, low=estimate - 0.1, high=estimate + 0.1, confidence=0.98)


def measured(number: int = 3, **changes: Any) -> Measurement:
    idle = Usage(cpu_seconds=0.4, voluntary_switches=5, involuntary_switches=6)
    rounds = [
        Pair(sequential=Round(seconds=1.0 + i, usage=idle), parallel=(Round(seconds=0.5, usage=idle),))
        for i in range(number)
    ]
    values: dict[str, Any] = {
        "strategy": "threads",
        "strategy_version": "3.11.7",
        "workers": 16,
        "workers_requested": "max",
        "isolation": "thread",
        "pairs": tuple(rounds),
        "first_sequential_seconds": 1.5,
        "open_seconds": 0.25,
        "close_seconds": 0.125,
        "elapsed_seconds": 9.0,
        "workload_seconds": 8.8,
        "usable_cores": 16,
        "result": "equal",
        "items": 64,
        "memory": Memory(peak_bytes=1000, per_worker_bytes=None),
        "environment": {"python": "3.11.7", "gil": True, "tracing": None},
        "notes": ("possibly cached",),
    }
    return Measurement(**(values | changes))


def summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "speedup": interval(1.9),
        "efficiency": interval(0.95),
        "cold_speedup": 1.2,
        "sequential_seconds": 2.0,
        "parallel_seconds": 1.0,
        "kind": Kind.IO,
        "cpu_share": 0.1,
        "contention_sequential": 0.01,
        "contention_parallel": None,
        "serial_fraction": 0.05,
        "cpu_seconds": 0.4,
        "cpu_seconds_sequential": 0.3,
        "cpu_utilization": 1.5,
        "items_per_second": 64.0,
        "bytes_per_second": None,
    }
    return Summary(**(values | changes))


VERDICT = Verdict(gate="min_speedup", outcome=Outcome.NOT_JUDGED, claim=2.5, found=None, sentence="2 cores")


def made(**changes: Any) -> Record:
    return replace(make("test_doc.py::test_parse", measured(), summary(), [VERDICT]), **changes)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type may have; floats finite, since records hold no others."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(cast("type[Any]", kind), **{f.name: values_of(hints[f.name]) for f in fields(kind)})
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, get_args(kind)))
    if origin is tuple:
        return st.lists(values_of(get_args(kind)[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=5), values_of(get_args(kind)[1]), max_size=3)
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        float: st.floats(allow_nan=False, allow_infinity=False),
        int: st.integers(),
        str: st.text(max_size=10),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[kind]


RECORDS = values_of(Record).map(lambda record: replace(record, schema=SCHEMA))
ENTRIES = st.builds(
    replace, values_of(Entry).map(lambda e: replace(e, record=None)), record=st.none() | RECORDS
)


@given(RECORDS)
def test_any_record_survives_strict_json_exactly(record: Record) -> None:
    written = json.dumps(to_json(record), allow_nan=False)
    assert from_json(json.loads(written)) == record


@given(ENTRIES)
def test_any_entry_survives_strict_json_exactly(entry: Entry) -> None:
    written = json.dumps(entry.to_json(), allow_nan=False)
    assert Entry.from_json(json.loads(written)) == entry


def test_the_fixed_names_of_the_design_are_all_there() -> None:
    data = to_json(made())
    assert set(FIXED.split()) <= set(data)
    for name, inside in FIXED_INSIDE.items():
        assert set(inside.split()) <= set(data[name])
    assert set(data["verdicts"][0]) >= {"gate", "outcome", "claim", "found"}


def test_a_record_holds_what_was_measured() -> None:
    data = to_json(made())
    assert data["schema"] == 1
    assert data["test"] == "test_doc.py::test_parse"
    assert (data["workers"], data["workers_requested"], data["pairs"]) == (16, "max", 3)
    assert (data["kind"], data["scaling"], data["result"]) == ("io", "strong", "equal")
    assert data["speedup"] == {"estimate": 1.9, "low": 1.9 - 0.1, "high": 1.9 + 0.1, "confidence": 0.98}
    assert data["uncontended_speedup"] is None
    assert data["sequential_seconds"] == [1.0, 2.0, 3.0]
    assert (data["sequential_median"], data["parallel_seconds"]) == (2.0, 1.0)
    assert data["throughput"]["items_per_second"] == 64.0
    assert data["throughput"]["bytes_per_second"] is None
    assert data["context_switches"] == {"voluntary": 5, "involuntary": 6}
    assert data["contention"] == {
        "sequential": 0.01,
        "parallel": None,
        "reference_speedup": None,
        "foreign": None,
        "contended": False,
    }
    assert data["verdicts"][0]["outcome"] == "not judged"
    assert data["environment"]["start_method"] is None
    assert data["notes"] == ["possibly cached"]


USED = Usage(
    cpu_seconds=0.4,
    delay_seconds=0.1,
    voluntary_switches=5,
    user_seconds=0.3,
    system_seconds=0.1,
    read_bytes=10,
    written_bytes=20,
    read_chars=30,
    written_chars=40,
    shipped_out_bytes=50,
    shipped_in_bytes=60,
)


def used(*usages: Usage, **changes: Any) -> dict[str, Any]:
    """The record of one pair with these parallel rounds of 0.5 s."""
    idle = Round(seconds=1.0, usage=Usage(cpu_seconds=0.4))
    pair = Pair(sequential=idle, parallel=tuple(Round(seconds=0.5, usage=u) for u in usages))
    cpu = changes.pop("cpu_seconds", 0.4)
    return to_json(make("t", measured(pairs=(pair,), **changes), summary(cpu_seconds=cpu)))


def test_resources_are_means_of_the_parallel_rounds() -> None:
    data = used(USED, replace(USED, voluntary_switches=6, read_bytes=13, delay_seconds=0.2))
    assert data["context_switches"] == {"voluntary": 5.5, "involuntary": 0.0}
    assert data["io"] == {"read_bytes": 12, "written_bytes": 20, "read_chars": 30, "written_chars": 40}
    assert data["shipped"] == {"out_bytes": 50, "in_bytes": 60}
    assert data["cpu"]["delay_seconds"] == pytest.approx(0.15)


def test_user_and_system_time_divide_the_exact_time_as_their_ticks_do() -> None:
    cpu = used(USED, replace(USED, user_seconds=0.1, system_seconds=0.3), cpu_seconds=0.5)["cpu"]
    assert (cpu["seconds"], cpu["user_seconds"], cpu["system_seconds"]) == (0.5, 0.25, 0.25)
    assert used(replace(USED, user_seconds=0.0, system_seconds=0.0))["cpu"]["user_seconds"] is None


def test_items_are_set_against_cpu_time_and_memory() -> None:
    found = used(USED, memory=Memory(peak_bytes=500_000_000))["throughput"]
    assert (found["items_per_cpu_second"], found["items_per_gigabyte"]) == (160.0, 128.0)
    unknown = used(USED, memory=Memory(), cpu_seconds=0.0)["throughput"]
    assert (unknown["items_per_cpu_second"], unknown["items_per_gigabyte"]) == (None, None)
    assert used(USED, items=None)["throughput"]["items_per_cpu_second"] is None


def test_what_one_round_does_not_know_is_unknown() -> None:
    data = used(USED, replace(USED, read_chars=None, delay_seconds=None, user_seconds=None))
    assert data["io"]["read_chars"] is data["cpu"]["delay_seconds"] is data["cpu"]["user_seconds"] is None
    assert data["io"]["read_bytes"] == 10


@pytest.mark.parametrize(("isolation", "out"), [("none", 0), ("thread", 0), ("process", None)])
def test_nothing_shipped_to_a_process_is_unknown_because_map_was_not_used(
    isolation: str, out: int | None
) -> None:
    silent = replace(USED, shipped_out_bytes=0, shipped_in_bytes=0)
    assert used(silent, isolation=isolation)["shipped"]["out_bytes"] == out


def test_a_record_of_before_there_were_these_figures_is_read() -> None:
    data = to_json(made())
    del data["io"], data["shipped"]
    for block, names in {
        "throughput": "items_per_cpu_second items_per_gigabyte",
        "cpu": "user_seconds system_seconds delay_seconds",
        "memory": "per_worker_pss_bytes helpers_bytes",
    }.items():
        for name in names.split():
            del data[block][name]
    data["context_switches"] = {"voluntary": 5, "involuntary": 6}
    read = from_json(data)
    assert read.io.read_bytes is read.shipped.out_bytes is read.cpu.user_seconds is None
    assert read.context_switches.voluntary == 5


def test_what_traced_the_rounds_stands_in_one_place() -> None:
    traced = make("t", measured(environment={"tracing": "coverage (sys.settrace)"}), summary())
    assert traced.tracing == "coverage (sys.settrace)"
    assert "tracing" not in traced.environment
    assert made().tracing is None


@pytest.mark.parametrize("pairs", [1, 63, 64, 65, 1000])
def test_sequential_seconds_are_thinned_evenly_to_64(pairs: int) -> None:
    kept = make("t", measured(pairs), summary()).sequential_seconds
    assert len(kept) == min(pairs, 64)
    assert (kept[0], kept[-1]) == (1.0, float(pairs))
    steps = [after - before for before, after in itertools.pairwise(kept)]
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"record\.speedup\.high is (nan|inf|-inf): .* finite"):
        to_json(made(speedup=replace(interval(1.0), high=bad)))
    with pytest.raises(ValueError, match=r"record\.environment\.quota"):
        to_json(made(environment={"quota": bad}))


def test_numbers_of_numpy_become_pythons_own() -> None:
    # execnet, under xdist, refuses every subclass.
    data = to_json(made(cold_speedup=np.float64(1.5)))
    assert type(data["cold_speedup"]) is float
    assert type(data["kind"]) is str


def test_what_json_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"record\.environment\.cores is .*, a set, which JSON cannot hold"):
        to_json(made(environment={"cores": {1}}))
    with pytest.raises(TypeError, match=r"record\.environment is"):
        to_json(made(environment={("a", 1): 2}))


def test_unknown_keys_are_ignored() -> None:
    data = to_json(made())
    data["overhead"] = {"dispatch": 0.1}
    data["speedup"]["method"] = "new"
    assert from_json(data) == made()


def test_whole_numbers_are_read_where_floats_are_meant() -> None:
    # JavaScript's JSON writes 2.0 as 2.
    data = to_json(made())
    data["cold_speedup"] = 2
    read = from_json(data).cold_speedup
    assert read == 2.0
    assert type(read) is float


def test_a_newer_schema_says_to_update() -> None:
    with pytest.raises(
        UsageError, match=r"has schema 7, and this version reads up to 1: update pytest-parallelism"
    ):
        from_json(to_json(made()) | {"schema": 7})
    entry = {"record": {"schema": 7}}
    with pytest.raises(UsageError, match="has schema 7"):
        Entry.from_json(entry)


def test_missing_keys_are_named_in_one_sentence() -> None:
    data = to_json(made())
    del data["speedup"]["low"], data["speedup"]["high"]
    with pytest.raises(UsageError, match=r"record\.speedup has no low, high: measure again"):
        from_json(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 0}, "whose schema is 0"),
        ({"schema": "1"}, r"record\.schema is '1', not a whole number"),
        ({"workers": True}, r"record\.workers is True, not a whole number"),
        ({"workers": 2.0}, r"record\.workers is 2\.0, not a whole number"),
        ({"workers_requested": None}, r"record\.workers_requested is None, not int or str"),
        ({"workers_requested": 2.5}, r"record\.workers_requested is 2\.5, not int or str"),
        ({"chunk_size": []}, r"record\.chunk_size is \[\], not int or str or null"),
        ({"strategy": None}, r"record\.strategy is None, not a text"),
        ({"kind": "gpu"}, r"record\.kind is 'gpu', not one of cpu, io, mixed"),
        ({"kind": ["cpu"]}, r"record\.kind is \['cpu'\], not one of cpu, io, mixed"),
        ({"speedup": 1.9}, r"record\.speedup is 1\.9, not an object"),
        ({"speedup": None}, r"record\.speedup is None, not an object"),
        ({"uncontended_speedup": 3}, r"record\.uncontended_speedup is 3, not an object"),
        ({"cold_speedup": math.nan}, r"record\.cold_speedup is nan, not a finite number"),
        ({"cold_speedup": True}, r"record\.cold_speedup is True, not a finite number"),
        ({"cold_speedup": 10**400}, r"record\.cold_speedup is 1000.*too large"),
        (
            {"serial_fraction": "x" * 5000},
            r"record\.serial_fraction is 'xxx.*\.\.\..*x', not a finite number",
        ),
        ({"sequential_seconds": [1.0, "2"]}, r"record\.sequential_seconds\[1\] is '2', not a finite number"),
        ({"sequential_seconds": {}}, r"record\.sequential_seconds is \{\}, not a list"),
        ({"environment": {"gil": {}}}, r"environment\.gil is \{\}, not str or int or float or bool or null"),
        ({"verdicts": [{}]}, r"record\.verdicts\[0\] has no gate, outcome, claim, found, sentence"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        from_json(to_json(made()) | change)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_something_else_than_a_record_is_refused(data: Any) -> None:
    with pytest.raises(UsageError, match="not an object"):
        from_json(data)
    with pytest.raises(UsageError, match="not an object"):
        Entry.from_json(data)


def test_an_entry_with_an_unknown_status_is_refused() -> None:
    entry = Entry(
        nodeid="t[threads-w2]",
        test="t",
        strategy="threads",
        workers_requested=2,
        workers=None,
        status="skipped",
        reason="why",
        record=None,
    )
    with pytest.raises(
        UsageError, match=r"entry\.status is 'gone', not one of measured, not measured, skipped"
    ):
        Entry.from_json(entry.to_json() | {"status": "gone"})
