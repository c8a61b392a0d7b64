"""The conditions in the record, and what traces the code."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import pytest
import threadpoolctl

from pytest_parallelism.resources import Cores, environment, tracing

CORES = Cores(usable=3, affinity=4, quota=3.5, logical=16)


def test_the_environment_is_plain_and_names_what_speedups_depend_on() -> None:
    found = environment(CORES)
    assert json.loads(json.dumps(dict(found), allow_nan=False)) == found
    assert (found["cores"], found["usable_cores"], found["quota"]) == (16, 3, 3.5)
    assert str(found["python"]).startswith(".".join(map(str, sys.version_info[:3])))  # 3.15.0rc2, say
    assert found["cpu_model"]


@pytest.mark.parametrize("on", [True, False])
def test_the_gils_state_is_asked(monkeypatch: pytest.MonkeyPatch, on: bool) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: on, raising=False)
    assert environment(CORES)["gil"] is on


def test_a_python_that_cannot_be_asked_has_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert environment(CORES)["gil"] is True


@pytest.mark.parametrize(
    ("loaded", "threads"),
    [
        ([], None),
        ([("openmp", 8)], None),
        ([("openmp", 8), ("blas", 2)], 2),
        ([("blas", 1), ("blas", 4)], 4),
    ],
)
def test_the_limit_of_a_loaded_blas_is_stated(
    monkeypatch: pytest.MonkeyPatch, loaded: list[tuple[str, int]], threads: int | None
) -> None:
    libraries = [{"user_api": api, "num_threads": number} for api, number in loaded]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: libraries)
    assert environment(CORES)["blas_threads"] == threads


def test_nothing_traces_a_plain_interpreter() -> None:
    code = "from pytest_parallelism.resources import tracing; print(tracing())"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.strip() == "None"


class Tool:
    """Stands for a debugger."""

    def trace(self, *_event: Any) -> None:
        return None


@pytest.mark.parametrize(
    "how", ["sys.settrace", "threading.settrace", "sys.setprofile", "threading.setprofile"]
)
def test_what_traces_is_named(how: str) -> None:
    module, name = {"sys": sys, "threading": threading}[how.split(".")[0]], how.split(".")[1]
    before = getattr(module, name.replace("set", "get"))()
    getattr(module, name)(Tool().trace)
    try:
        found = tracing()
    finally:
        getattr(module, name)(before)
    assert found
    assert "Tool.trace" in found
    assert f"({how})" in found


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_a_monitoring_tool_is_named() -> None:
    monitoring: Any = vars(sys)["monitoring"]
    monitoring.use_tool_id(4, "a profiler")
    try:
        found = tracing()
    finally:
        monitoring.free_tool_id(4)
    assert found
    assert "a profiler (sys.monitoring)" in found
