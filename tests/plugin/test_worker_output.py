"""What tasks log, warn and print in worker processes reaches the test as if they ran in it, once."""

from __future__ import annotations

import pytest

from .conftest import Suite

STRATEGIES = (
    "processes-fork",
    "processes-forkserver",
    "processes-spawn",
    "process-pool-executor-fork",
    "multiprocessing-pool-spawn",
    "joblib-loky",
    "joblib-multiprocessing",
)

SPEAKS = f"""
import logging
import os
import subprocess
import sys
import warnings

HERE = os.getpid()
ITEMS = list(range(6))
in_workers = pytest.mark.parallel_strategies({", ".join(map(repr, STRATEGIES))}, workers=2)


def away():
    return os.getpid() != HERE


def told(lines, text):
    '''The items that the workers told, and those of the baseline.'''
    found = [line.split() for line in lines if line.startswith(text)]
    return (
        sorted(int(item) for _, item, pid in found if int(pid) != HERE),
        sorted(int(item) for _, item, pid in found if int(pid) == HERE),
    )
"""
"""A task of the baseline runs in this process, those of workers do not: what each says can be told apart."""


def passed(suite: Suite, body: str, *options: str, count: int = len(STRATEGIES)) -> pytest.RunResult:
    """Every strategy passes a test that runs once in the baseline and once in workers."""
    suite.write(SPEAKS + body)
    result = suite.run("--parallel-check", "-W", "error", *options)
    result.assert_outcomes(passed=count)
    return result


LOGS = """
def logs(item):
    logging.getLogger("app.part").info("item %d %d", item, os.getpid(), extra={"kind": [item]})
    logging.getLogger("app.part").debug("never")
    return item


@in_workers
def test_logs(parallel, caplog):
    caplog.set_level(logging.INFO, logger="app")
    parallel.map(logs, ITEMS)
    assert told(caplog.messages, "item") == (ITEMS, ITEMS)
    assert {record[:2] for record in caplog.record_tuples} == {("app.part", logging.INFO)}
    assert sorted(record.kind for record in caplog.records) == sorted([item] for item in ITEMS * 2)
"""


def test_logs_reach_caplog_with_logger_level_and_extras(suite: Suite) -> None:
    passed(suite, LOGS)


def test_logs_reach_live_logging_once(suite: Suite) -> None:
    result = passed(suite, LOGS, "--log-cli-level=INFO")
    lines = [line for line in result.stdout.lines if "INFO" in line and "app.part" in line]
    assert len(lines) == 2 * 6 * len(STRATEGIES)


def test_a_logged_exception_keeps_its_traceback(suite: Suite) -> None:
    passed(
        suite,
        """
def logs(item):
    try:
        1 / item
    except ZeroDivisionError:
        if away():
            logging.getLogger().exception("no %s", "way")
    return item


@in_workers
def test_it(parallel, caplog):
    parallel.map(logs, [0, 1])
    assert caplog.messages == ["no way"]
    assert "in logs" in caplog.text and "ZeroDivisionError" in caplog.text
""",
    )


def test_handlers_of_loggers_that_do_not_propagate_get_each_record_once(suite: Suite) -> None:
    passed(
        suite,
        """
RECORDS = []


class Keeps(logging.Handler):
    def emit(self, record):
        RECORDS.append(record.getMessage())
        print("handled", file=sys.stderr)


def logs(item):
    logging.getLogger("own").warning(f"item {item} {os.getpid()}")
    return item


@pytest.fixture
def own():
    logger = logging.getLogger("own")
    handler = Keeps()
    logger.addHandler(handler)
    logger.propagate = False
    RECORDS.clear()
    yield
    logger.removeHandler(handler)
    logger.propagate = True


@in_workers
def test_it(parallel, own, caplog, capfd):
    parallel.map(logs, ITEMS)
    assert told(RECORDS, "item") == (ITEMS, ITEMS)
    assert capfd.readouterr().err.split() == ["handled"] * 12
""",
    )


def test_without_pytests_logging_records_go_where_logging_sends_them(suite: Suite) -> None:
    passed(
        suite,
        """
def logs(item):
    logging.getLogger("app").warning(f"item {item} {os.getpid()}")
    return item


@in_workers
def test_it(parallel, capsys):
    parallel.map(logs, ITEMS)
    assert told(capsys.readouterr().err.splitlines(), "item") == (ITEMS, ITEMS)
""",
        "-p",
        "no:logging",
    )


PRINTS = """
def prints(item):
    print("item", item, os.getpid())
    print("error", item, os.getpid(), file=sys.stderr)
    return item


@in_workers
@pytest.mark.parametrize("capture", [{fixtures}])
def test_prints(parallel, capture, request):
    captured = request.getfixturevalue(capture)
    parallel.map(prints, ITEMS)
    out, err = captured.readouterr()
    assert told(out.splitlines(), "item") == (ITEMS, ITEMS)
    assert told(err.splitlines(), "error") == (ITEMS, ITEMS)
    assert len(out.splitlines()) == len(err.splitlines()) == 12
"""


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys", "--capture=no"])
def test_text_reaches_capsys_and_capfd(suite: Suite, option: str) -> None:
    passed(suite, PRINTS.format(fixtures="'capsys', 'capfd'"), option, count=2 * len(STRATEGIES))


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys"])
def test_text_of_a_failed_test_is_shown(suite: Suite, option: str) -> None:
    suite.write(
        SPEAKS
        + """
def prints(item):
    if away():
        print("said before the error")
        raise ValueError(item)
    return item


@in_workers
def test_it(parallel):
    parallel.map(prints, [1])
"""
    )
    result = suite.run("--parallel-check", option)
    result.assert_outcomes(failed=len(STRATEGIES))
    assert result.stdout.lines.count("said before the error") == len(STRATEGIES)


def test_without_capture_text_goes_straight_out(suite: Suite) -> None:
    suite.write(
        SPEAKS
        + """
def prints(item):
    if away():
        print(f"item-{item}-")
    return item


@in_workers
def test_it(parallel):
    parallel.map(prints, ITEMS)
"""
    )
    result = suite.run("--parallel-check", "-s")
    result.assert_outcomes(passed=len(STRATEGIES))
    assert [result.stdout.str().count(f"item-{item}-") for item in range(6)] == [len(STRATEGIES)] * 6


def test_what_is_said_before_an_error_arrives_before_it(suite: Suite) -> None:
    passed(
        suite,
        """
def fails(item):
    if away():
        logging.getLogger("app").warning("logged")
        warnings.warn("warned")
        print("printed")
        raise ValueError("bad")
    return item


@in_workers
def test_it(parallel, caplog, capsys, recwarn):
    with pytest.raises(ValueError, match="bad"):
        parallel.map(fails, [1])
    assert caplog.messages == ["logged"]
    assert [str(warning.message) for warning in recwarn] == ["warned"]
    assert capsys.readouterr().out == "printed\\n"
""",
    )


def test_what_a_subprocess_writes_reaches_capfd(suite: Suite) -> None:
    passed(
        suite,
        """
def writes(item):
    if away():
        os.write(1, b"written ")
        subprocess.run([sys.executable, "-c", "print('called', end=' ')"], check=True, stdout=sys.stdout)
    return item


@in_workers
def test_it(parallel, capfd):
    parallel.map(writes, [1])
    assert capfd.readouterr().out == "written called "
""",
    )


WARNS = """
class OwnWarning(UserWarning):
    pass


def warns(item):
    warnings.warn(f"item {item} {os.getpid()}", OwnWarning)
    return item
"""


def test_warnings_reach_recwarn_with_class_and_place(suite: Suite) -> None:
    passed(
        suite,
        WARNS
        + """
@in_workers
def test_it(parallel, recwarn):
    parallel.map(warns, ITEMS)
    assert told([str(w.message) for w in recwarn], "item") == (ITEMS, ITEMS)
    assert {w.category for w in recwarn} == {OwnWarning}
    assert {w.filename for w in recwarn} == {__file__}
    assert len({w.lineno for w in recwarn}) == 1


@in_workers
def test_warns(parallel):
    with pytest.warns(OwnWarning, match="item 3") as caught:
        parallel.map(warns, [3])
    assert len(caught) == 2
""",
        count=2 * len(STRATEGIES),
    )


def test_a_warning_that_is_an_error_is_one_in_the_worker(suite: Suite) -> None:
    passed(
        suite,
        WARNS
        + """
def guarded(item):
    try:
        return warns(item) if away() else "raised"
    except OwnWarning:
        return "raised"


@in_workers
def test_it(parallel):
    assert parallel.map(guarded, [1]) == ["raised"]


@in_workers
@pytest.mark.filterwarnings("ignore", "error:item:test_suite.OwnWarning")
def test_by_message_and_class(parallel):
    assert parallel.map(guarded, [1]) == ["raised"]


@in_workers
@pytest.mark.filterwarnings("ignore")
def test_ignored(parallel, recwarn):
    warnings.simplefilter("ignore")
    assert parallel.map(lambda item: warns(item) if away() else item, [1]) == [1]
    assert not recwarn


@in_workers
def test_it_is_the_tasks_own_error(parallel):
    with pytest.raises(OwnWarning, match="item 1") as caught:
        parallel.map(lambda item: warns(item) if away() else item, [1])
    assert "in warns" in str(caught.value.__cause__)
""",
        count=4 * len(STRATEGIES),
    )


def test_warnings_stand_in_the_summary(suite: Suite) -> None:
    suite.write(
        SPEAKS
        + """
def warns(item):
    if away():
        warnings.warn(f"from afar {item}")
    return item


@in_workers
def test_it(parallel):
    parallel.map(warns, ITEMS)
"""
    )
    result = suite.run("--parallel-check")
    result.assert_outcomes(passed=len(STRATEGIES), warnings=6 * len(STRATEGIES))
    result.stdout.fnmatch_lines(["*test_suite.py:*: UserWarning: from afar 5"])


def test_what_the_users_own_joblib_call_says_arrives_too(suite: Suite) -> None:
    passed(
        suite,
        """
import joblib


def speaks(item, here=None):
    print("item", item, os.getpid())
    logging.getLogger("app").warning(f"item {item} {os.getpid()}")
    if here not in (None, os.getpid()):
        raise ValueError(item)
    return item


def roots(pool):
    return joblib.Parallel(n_jobs=pool.workers)(joblib.delayed(speaks)(item) for item in ITEMS)


@pytest.mark.parallel_strategies("joblib-loky", "joblib-multiprocessing", workers=2)
def test_it(parallel, caplog, capsys):
    assert parallel.measure(roots) == ITEMS
    assert told(capsys.readouterr().out.splitlines(), "item") == (ITEMS, ITEMS)
    assert told(caplog.messages, "item") == (ITEMS, ITEMS)


@pytest.mark.parallel_strategies("joblib-loky", "joblib-multiprocessing", workers=2)
def test_error(parallel, capsys):
    with pytest.raises(ValueError, match="-1"):
        parallel.measure(lambda pool: joblib.Parallel(pool.workers)([joblib.delayed(speaks)(-1, HERE)]))
    assert told(capsys.readouterr().out.splitlines(), "item") == ([-1], [-1])
""",
        count=4,
    )
