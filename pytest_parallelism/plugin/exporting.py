"""Writes the session's reports to files, and to GitHub's summary of the step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .compare import stored_paths

if TYPE_CHECKING:
    from ..history import Series
    from ..reports.results import Results
    from .session import State

__all__ = ["STEP_SUMMARY", "summarize", "write"]

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Names the file whose Markdown GitHub Actions shows for a step (its documentation: workflow commands)."""

MOST_RUNS = 50
"""So many of the newest stored runs make the history of a page."""


def write(state: State) -> list[str]:
    """Writes every report that is asked for; a sentence for each that could not be."""
    from ..export import export

    results = _results(state)
    failed: list[str] = []
    for target in state.settings.export:
        try:
            export(results, target)
        except (OSError, UsageError) as error:
            failed.append(f"{target} was not written: {error}")
    return failed


def summarize(state: State) -> list[str]:
    """Adds the Markdown to the summary of this step of GitHub Actions; a sentence where that cannot be."""
    from ..reports import markdown

    if not any(entry.record for entry in state.entries.values()):
        return []
    try:
        with Path(os.environ[STEP_SUMMARY]).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown.render(_results(state, history=False)) + "\n")
    except OSError as error:
        return [f"the summary of this step was not written: {error}"]
    return []


def _results(state: State, *, history: bool = True) -> Results:
    from ..reports.results import Results

    entries = state.entries.values()
    return Results.of(
        entries,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        history=_history(state) if history else (),
        others=list(_compared(state)),
    )


def _history(state: State) -> list[Series]:
    """Of this session's points, over the newest stored runs."""
    from ..history import series

    found, _ = series(stored_paths(state.config), state.entries.__contains__, MOST_RUNS)
    return found


def _compared(state: State) -> Iterator[Results]:
    """The run that this session is compared with, as far as it can be read."""
    from ..reports.results import Results

    run = state.baselines.candidates[0] if state.baselines and state.baselines.candidates else None
    if run is not None:
        try:
            yield Results.of(run.entries(), name=run.name, when=run.when, commit=run.commit)
        except UsageError:
            return  # the summary has said so
