"""Writes the session's reports to files, and to GitHub's summary of the step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..stored import stored_entry
from .compare import stored_paths

if TYPE_CHECKING:
    from ..history import Series
    from ..reports.results import Results
    from .session import State

__all__ = ["STEP_SUMMARY", "summarize", "write"]

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Names the file whose Markdown GitHub Actions shows for a step (its documentation: workflow commands)."""


def write(state: State) -> list[str]:
    """Writes every report that is asked for; a sentence for each that could not be."""
    from ..export import export

    if not state.measured:
        return [f"{', '.join(state.settings.export)}: not written, since no point was measured"]
    results = _results(state)
    failed: list[str] = []
    for target in state.settings.export:
        try:
            export(results, target)
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs no other report
            failed.append(f"{target} was not written: {_in_words(error)}")
    return failed


def _in_words(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


def summarize(state: State) -> list[str]:
    """Adds the Markdown to the summary of this step of GitHub Actions; a sentence where that cannot be."""
    from ..reports import markdown

    if not state.measured:
        return []
    try:
        with Path(os.environ[STEP_SUMMARY]).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown.render(_results(state, history=False)) + "\n")
    except Exception as error:  # noqa: BLE001  # whatever it is, it costs nothing else of the session
        return [f"the summary of this step was not written: {_in_words(error)}"]
    return []


def _results(state: State, *, history: bool = True) -> Results:
    from ..reports.results import Results

    entries = state.entries.values()
    return Results.of(
        entries,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        history=_history(state) if history else (),
        others=list(_compared(state)),
        strict=state.settings.strict,
    )


def _history(state: State) -> list[Series]:
    """Of this session's points, over the newest stored runs."""
    from ..history import MOST_RUNS, series

    found, _ = series(stored_paths(state.config), state.entries.__contains__, MOST_RUNS)
    return found


def _compared(state: State) -> Iterator[Results]:
    """What the points of this session are compared with, as one run; none where nothing is.

    Each point is compared with the newest run that suits it. Points that only the newest has are told too.
    """
    from ..reports.results import Results

    if not state.baselines or not state.baselines.met:
        return
    found = {fullname: record for fullname, (_, record) in state.baselines.met.items()}
    runs = {run.name: run for run, _ in state.baselines.met.values()}
    newest = max(runs.values(), key=lambda run: run.when)
    if len(runs) == 1:
        found |= {name: record for name, record in newest.readable() if name not in state.entries}
    entries = [stored_entry(fullname, record) for fullname, record in found.items()]
    yield Results.of(entries, name=", ".join(sorted(runs)), when=newest.when, commit=newest.commit)
