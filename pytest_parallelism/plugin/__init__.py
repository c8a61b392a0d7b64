"""The pytest plugin: everything that imports pytest.

This module is loaded by every pytest run of an environment that has the package, so it imports next to
nothing; the rest is loaded when a test uses the marker or the fixture.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from . import options

if TYPE_CHECKING:
    from collections.abc import Generator

    from .fixture import Parallel
    from .session import State

__all__ = ["parallel", "parallel_strategy", "parallel_workers", "state"]

__tracebackhide__ = True  # pytest shows the user's lines, not these
MARK = "parallel_strategies"
OURS = frozenset({"parallel_strategy", "parallel_workers"})
"""What the fixture ``parallel`` asks for. Its own name may be a parameter or a fixture of the user's."""
STATE: pytest.StashKey[State] = pytest.StashKey()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(_Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(*strategies, workers='auto', min_speedup=None, min_efficiency=None, require='all', "
        "options=None, scaling='strong'): measure the test's workload under these parallelization strategies "
        "and worker counts (pytest-parallelism)",
    )
    config.pluginmanager.register(_Reports(config), "parallelism-reports")
    if options.anything_said(config):
        state(config)  # what is wrong is said now, with exit code 4


def state(config: pytest.Config) -> State:
    """What this session knows, made when it is first needed."""
    if STATE not in config.stash:
        from .session import State

        config.stash[STATE] = State.of(config)
    return config.stash[STATE]


def pytest_sessionstart(session: pytest.Session) -> None:
    if STATE in session.config.stash:
        state(session.config).load_baselines()


def pytest_report_header(config: pytest.Config) -> list[str]:
    return state(config).header() if STATE in config.stash else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted = not OURS.isdisjoint(metafunc.fixturenames)
    if wanted or any(mark.name == MARK for mark in metafunc.definition.own_markers):
        from .collect import parametrize

        try:
            current = state(metafunc.config)
        except pytest.UsageError as error:
            sentence = str(error)
        else:
            return parametrize(metafunc, current)
        pytest.fail(sentence, pytrace=False)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if STATE in config.stash:
        from . import collect, dear

        collect.settle(config, items)
        dear.order(state(config), items)


def pytest_collection_finish(session: pytest.Session) -> None:
    if STATE in session.config.stash:
        state(session.config).expect(session.items)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    return state(config).announcement(items) if STATE in config.stash else []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    ours = not OURS.isdisjoint(getattr(item, "fixturenames", ()))
    if ours or any(mark.name == MARK for mark in item.own_markers):
        from .collect import misused

        if (reason := misused(item)) is not None:
            pytest.fail(reason, pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    if STATE not in item.config.stash:
        return (yield)
    current = state(item.config)
    try:
        result = yield
    except BaseException:
        current.spoil(item)
        raise
    current.judge(item)
    return result


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if STATE in item.config.stash:
        from . import dear

        dear.release(state(item.config), nextitem)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if STATE in item.config.stash:
        state(item.config).attach(item, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if STATE in session.config.stash:
        state(session.config).finish(session)
        if not hasattr(session.config, "workerinput"):  # xdist's controller has the points
            state(session.config).export(session)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if STATE in config.stash:
        from .printing import print_report

        print_report(terminalreporter, state(config))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    if STATE in config.stash:
        from .curves import block

        output_json["parallelism"] = block(state(config).entries.values())


class _Hooks:
    """Hooks of ours that a conftest.py or another plugin may implement."""

    @staticmethod
    def pytest_parallelism_strategies(config: pytest.Config) -> Any:
        """More strategies for this session: one, or some. A name that is taken is an error.

        Only conftest files that pytest loads at its start (beside the rootdir and the command line's
        arguments) are asked.
        """


class _Reports:
    """Takes the entries that reports carry: from this process, or from xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "parallelism"):
            from .live import say

            say(self.config, state(self.config).note(report))


@pytest.fixture
def parallel_strategy(request: pytest.FixtureRequest) -> str:
    """Name of this test's strategy."""
    _unparametrized(request)


@pytest.fixture
def parallel_workers(request: pytest.FixtureRequest) -> int | str:
    """Worker count of this test: a number, "max" or "max-1"."""
    _unparametrized(request)


@pytest.fixture
def parallel(
    request: pytest.FixtureRequest, parallel_strategy: str, parallel_workers: int | str, benchmark: Any
) -> Parallel:
    """Measures this test's workload: parallel.map(function, items) or parallel.measure(call)."""
    from . import dear
    from .fixture import Parallel
    from .session import RUN

    current = state(request.config)
    point = current.point(request.node, parallel_strategy, parallel_workers)
    if point is None:
        _unparametrized(request)
    if point.strategy.dear:
        dear.keep(request.config)
    request.node.stash[RUN] = made = Parallel(request, benchmark, point, current)
    return made


def _unparametrized(request: pytest.FixtureRequest) -> NoReturn:
    """One sentence for the ways in which the fixture cannot be had."""
    pytest.fail(
        f"{request.node.name} cannot use the fixture parallel this way: the points of a test are known when "
        f"it is collected, so a plain test function or method must take it as an argument (not "
        f"getfixturevalue, unittest.TestCase or a doctest)",
        pytrace=False,
    )
