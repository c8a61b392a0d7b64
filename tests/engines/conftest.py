"""What tests of the engines share: one cluster for many tests, and a look at all that an engine may leave.

A module ``test_ENGINE.py`` is skipped as a whole where its engine cannot run here. The variable
``ENGINES_REQUIRED`` makes that a failure: with ``installed`` where a library is missing, with ``all`` also
where a part of the system is (Java, an MPI, a Redis).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pytest_parallelism import clusters
from pytest_parallelism.conformance import StrategyConformance
from pytest_parallelism.conformance._traces import foreign, lasting, memory_entries
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy

KNOWN = load()
REQUIRED = os.environ.get("ENGINES_REQUIRED", "")
ENDING = ("nothing_is_left", "untouched", "fault")
"""Parts of the names of tests that want a cluster to end with its pool."""
_SESSION = "ENGINE_TESTS"
_GRACE_SECONDS = 5.0
_JAVA = (".ivy*", ".java", ".m2")
"""What Java programs write into the home folder, which they find without the variable."""


def engines(module: Path) -> list[Strategy]:
    """The strategies that a module of tests is about: ``test_modin.py`` is about both of Modin's."""
    engine = module.stem.removeprefix("test_").partition("_")[0]
    return [KNOWN[name] for name in KNOWN if name == engine or name.startswith(f"{engine}-")]


def absence(strategies: list[Strategy]) -> str | None:
    """Why none of them can run here, None where one can. Raises where what is required is missing."""
    missing = [replace(strategy, available=None).obstacle(1) for strategy in strategies]
    obstacles = [strategy.obstacle(1) for strategy in strategies]
    failures = {"installed": missing, "all": obstacles}[REQUIRED] if REQUIRED else []
    for sentence in filter(None, failures):
        raise pytest.Collector.CollectError(f"ENGINES_REQUIRED={REQUIRED}, but {sentence}")
    return "; ".join(filter(None, obstacles)) if strategies and all(obstacles) else None


class EngineModule(pytest.Module):
    """Tests of an engine, which are not even imported where it is not installed."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        reason = absence(engines(self.path))
        if reason:
            pytest.skip(reason, allow_module_level=True)
        yield from super().collect()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return EngineModule.from_parent(parent, path=module_path)


class EngineConformance(StrategyConformance):
    """The conformance tests of one engine, on one cluster as far as they allow.

    A subclass gives ``name``, that of the strategy.
    """

    name: str

    @pytest.fixture
    def strategy(self) -> Strategy:
        return KNOWN[self.name]


_kept = ExitStack()


@pytest.fixture(autouse=True)
def _one_cluster(request: pytest.FixtureRequest) -> None:
    """Kept from test to test, but for those that look at its end."""
    if any(part in request.node.name for part in ENDING):
        _kept.close()
    else:
        _kept.enter_context(clusters.keeping())


@pytest.fixture(scope="module", autouse=True)
def _none_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """And none is kept while others are tested: these tests run in any order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # other programs write into ours meanwhile
        patch.setenv(_SESSION, str(os.getpid()))  # whatever starts from now on has it
        before = traces()
        yield
        _kept.close()
        assert lasting(lambda: _own(traces() - before), _GRACE_SECONDS) == set()


def _own(found: set[str]) -> set[str]:
    """Other test runs on this machine have shared memory of their own."""
    return {one for one in found if not (one.startswith("memory ") and foreign(one.partition(" ")[2]))}


def traces() -> set[str]:
    """Whatever an engine may leave: processes, listening ports of ours, shared memory, home files."""
    found = {f"memory {name}" for name in memory_entries()}
    found |= {f"home {path}" for path in Path.home().glob("*")}
    own = Path(pwd.getpwuid(os.getuid()).pw_dir)
    found |= {f"home {path}" for pattern in _JAVA for path in own.glob(pattern)}
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(_SESSION) == str(os.getpid()):
                found.add(f"process {process.pid} {process.name()}")
        except (psutil.Error, OSError):
            continue
    me = psutil.Process(os.getpid())
    found |= {f"port {c.laddr.port}" for c in me.net_connections() if c.status == psutil.CONN_LISTEN}
    return found
