"""Puts the terminal report on the terminal."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..measurement import Outcome
from ..reports.terminal import render
from . import benchmark as host

if TYPE_CHECKING:
    from .session import State

__all__ = ["print_report"]

_MARKUP: dict[str, dict[str, bool]] = {
    "good": {"green": True},
    "bad": {"red": True},
    "warn": {"yellow": True},
    "dim": {"light": True},
    "title": {"bold": True},
}


def print_report(reporter: Any, state: State) -> None:
    """The report where it is asked for, else the count of verdicts where there are any."""
    entries = list(state.entries.values())
    for sentence in state.baselines.sentences(set(state.entries)) if state.baselines else ():
        reporter.write_line(f"parallelism: {sentence}")
    for verdict in state.unclaimed:
        reporter.write_line(verdict.sentence, red=True)
    for sentence in state.unwritten:
        reporter.write_line(f"parallelism: {sentence}", red=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for path, number, sentence in chain.from_iterable(state.missed.values()):
            file = _data(path).replace(":", "%3A").replace(",", "%2C")
            reporter.write_line(f"::error file={file},line={number}::{_data(sentence)}")
    if not entries:
        return
    if not state.settings.report:
        _print_counts(reporter, state)
        return
    if host.only_ours(state.config):
        host.hide_table(state.config)
    reporter.section("parallelism")
    for line in render(
        entries,
        width=reporter._tw.fullwidth,
        saved=_saved(state),
        strict=state.settings.strict,
        verbose=reporter.config.getoption("verbose") > 0,
    ):
        reporter.write_line(line.text, **_MARKUP.get(line.style, {}))


def _data(text: str) -> str:
    """Text in a workflow command of GitHub Actions, whose toolkit escapes so (core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _print_counts(reporter: Any, state: State) -> None:
    verdicts = [v for e in state.entries.values() if e.record for v in e.record.verdicts]
    if verdicts and reporter.config.getoption("verbose") >= 0:
        counts = Counter(v.outcome for v in verdicts)
        said = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
        reporter.write_line(f"parallelism verdicts: {said} (--parallel-report shows them)")


def _saved(state: State) -> bool:
    option = state.config.getoption
    return any(option(name, None) for name in ("benchmark_autosave", "benchmark_save", "benchmark_json"))
