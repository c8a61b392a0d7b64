"""What `measure` gives back, and how it shows itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..export import export
from ..record import Entry, Record
from ..reports.findings import contenders, point_name, recommended
from ..reports.results import Results
from ..reports.terminal import render

__all__ = ["Measured"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Measured:
    """The points of one workload. ``print`` shows the report, and so does a notebook, with a plot."""

    results: Results

    @property
    def points(self) -> Sequence[Entry]:
        """All points, those without figures too: their ``status`` and ``reason`` say why."""
        return self.results.entries

    @property
    def records(self) -> Sequence[Record]:
        """Of the measured points: every figure, as docs/record.md describes it."""
        return self.results.records

    @property
    def best(self) -> Record | None:
        """The best strategy at its smallest worker count within 5 % of the best; None where nothing gains."""
        return recommended(self.records)

    def export(self, target: str | os.PathLike[str]) -> list[Path]:
        """Write the report that the suffix says, or into a folder all of them; the files written.

        Raises `UsageError` for another suffix, and where a library is missing, which it names.
        """
        return export(self.results, os.fspath(target))

    def __str__(self) -> str:
        # There is no --benchmark-autosave to advise here, so nothing counts as unsaved.
        return "\n".join(line.text for line in render(self.results.entries, saved=True))

    def __repr__(self) -> str:
        points = f"{', '.join(self.results.titles.values())}: {len(self.points)} points"
        best = self.best
        if best is None:
            found = "nothing faster" if contenders(self.records) else "no advice"
            return f"<{type(self).__name__} {points}, {found}>"
        name = point_name(best.strategy, best.workers)
        return f"<{type(self).__name__} {points}, best {name} {best.speedup.estimate:.2f}x>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """IPython in a terminal: the report."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        """Notebooks: the report as a fragment of a page."""
        from ._fragment import fragment

        return fragment(self.results)
