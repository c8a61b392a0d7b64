"""The live line, on a real terminal and where there is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .conftest import Suite

pty = pytest.importorskip("pty", reason="terminals of this kind are there on POSIX systems only")

SLOW = """
    import time

    @pytest.mark.parallel_strategies("threads", workers=[2])
    def test_it(parallel):
        parallel.map(lambda x: time.sleep(0.05), range(2))
"""
ROUNDS = "--parallel-rounds=12"


def on_a_terminal(suite: Suite, *args: str) -> str:
    """What a terminal gets from a run."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", ROUNDS, *args]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=suite.pytester.path,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal's other end is closed: the run has ended
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait() == 0
    return seen.decode(errors="replace")


def test_a_terminal_shows_point_pairs_and_speedup_and_then_erases_them(suite: Suite) -> None:
    suite.write(SLOW)
    seen = on_a_terminal(suite)
    assert "threads-w2: " in seen
    assert "pairs, speedup " in seen
    _, _, after = seen.rpartition("so far")
    # erased, one line up, and back to the column behind the file's name, where pytest writes its dot
    assert after.startswith(f"\r\x1b[K\x1b[1A\x1b[{len('test_suite.py ') + 1}G")


@pytest.mark.parametrize("option", ["-s", "-q", "--capture=tee-sys", "-pno:capture"])
def test_there_is_no_line_where_it_would_be_in_the_way(suite: Suite, option: str) -> None:
    suite.write(SLOW)
    assert "so far" not in on_a_terminal(suite, option)


def test_there_is_no_line_in_logs(suite: Suite) -> None:
    suite.write(SLOW)
    result = suite.run(ROUNDS)
    assert "so far" not in result.stdout.str()
    assert "\x1b" not in result.stdout.str()


def test_it_says_which_of_how_many_points_runs_and_how_long_the_rest_takes(suite: Suite) -> None:
    suite.write(SLOW.replace("[2]", "[1, 2, 3, 4]"))
    seen = on_a_terminal(suite)
    assert "point 1 of 4, threads-w1: " in seen
    assert "point 4 of 4, threads-w4: " in seen
    assert re.search(r"point 2 of 4, threads-w2: [^\r]* so far, about \d+ s left", seen)
    assert not re.search(r"point 1 of 4[^\r]* left", seen)  # nothing is known yet


def test_verbose_logs_get_a_line_for_each_point(suite: Suite) -> None:
    suite.write(SLOW)
    result = suite.run(ROUNDS, "-v")
    result.stdout.re_match_lines([r"  threads-w2: 12 pairs, speedup \S+ ±\S+$"])
    assert "\x1b" not in result.stdout.str()
    suite.run(ROUNDS).stdout.no_re_match_line(r"  threads-w2: ")


def test_another_plugins_terminal_is_left_alone(suite: Suite) -> None:
    """pytest-sugar and its like replace pytest's terminal reporter with one that draws in its own way."""
    suite.pytester.makeconftest(
        """
        import pytest
        from _pytest.terminal import TerminalReporter

        class Own(TerminalReporter):
            pass

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
            config.pluginmanager.register(Own(config), "terminalreporter")
        """
    )
    suite.write(SLOW)
    seen = on_a_terminal(suite, "-v")
    assert "so far" not in seen
    assert "threads-w2: 12 pairs" not in seen
