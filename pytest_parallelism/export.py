"""Reports as files: the suffix says which."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .errors import UsageError
from .reports.results import Results

__all__ = ["SUFFIXES", "check", "export"]

EXTRA = "report"
"""The extra of pyproject.toml that brings what some formats need."""

Render = Callable[[Results], "str | bytes"]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """One kind of file: the function that makes it, as ``module:name`` below `reports`, and what it needs."""

    render: str
    needs: Sequence[str] = ()

    def missing(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def __call__(self, results: Results) -> str | bytes:
        module, _, name = self.render.partition(":")
        function: Render = getattr(import_module(f".reports.{module}", __package__), name)
        return function(results)


_FORMATS = {
    ".html": _Format(render="html:render", needs=("jinja2",)),
    ".csv": _Format(render="csv:rounds"),
    ".summary.csv": _Format(render="csv:summary"),
    ".md": _Format(render="markdown:render"),
    ".json": _Format(render="chart_json:render"),
    ".yaml": _Format(render="yaml:render", needs=("yaml",)),
    ".yml": _Format(render="yaml:render", needs=("yaml",)),
    ".svg": _Format(render="plots:svg"),
    ".png": _Format(render="plots:png", needs=("matplotlib",)),
}
SUFFIXES = tuple(suffix for suffix in _FORMATS if suffix != ".yml")

_FOLDER = ("report.html", "rounds.csv", "results.summary.csv", "report.md", "results.json", "parallelism.yaml")
"""What a folder receives, beside plots/."""
