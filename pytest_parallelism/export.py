"""Reports as files: the suffix says which, a folder receives all."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .errors import UsageError
from .reports.results import Results

__all__ = ["SUFFIXES", "check", "export"]

EXTRA = "report"
"""The extra of pyproject.toml that brings what some formats need."""

_LONGEST_NAME = 100
"""Bytes of a file's name that is made of a suite's: file systems take 255, with a number and a suffix."""

Render = Callable[[Results], "str | bytes"]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """One kind of file. ``render``: what makes it, as ``module:name`` below `reports`; ``needs``: what that
    imports."""

    render: str
    needs: Sequence[str] = ()

    def __call__(self, results: Results) -> bytes:
        module, _, name = self.render.partition(":")
        function: Render = getattr(import_module(f".reports.{module}", __package__), name)
        made = function(results)
        return made.encode("utf-8", "backslashreplace") if isinstance(made, str) else made


_FORMATS = {
    ".html": _Format(render="html:render", needs=("jinja2",)),
    ".summary.csv": _Format(render="csv:summary"),  # before the suffix that it ends with
    ".csv": _Format(render="csv:rounds"),
    ".md": _Format(render="markdown:render"),
    ".json": _Format(render="chart_json:render"),
    ".yaml": _Format(render="yaml:render", needs=("yaml",)),
    ".yml": _Format(render="yaml:render", needs=("yaml",)),
    ".svg": _Format(render="plots:svg"),
    ".png": _Format(render="plots:png", needs=("matplotlib",)),
}
SUFFIXES = tuple(suffix for suffix in _FORMATS if suffix != ".yml")

_FOLDER = (
    "report.html",
    "rounds.csv",
    "results.summary.csv",
    "report.md",
    "results.json",
    "parallelism.yaml",
)
"""What a folder receives, beside the plots of each suite."""
_PLOTS = (".svg", ".png")


def check(target: str) -> None:
    """Raises `UsageError`, one sentence, where no report can be written there: asked before all measuring."""
    path = Path(target)
    try:
        folder = _is_folder(target)
        obstacle = _obstacle(path, folder=folder)
    except OSError as error:  # a name that is too long, a loop of links
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    formats = list(_FORMATS.values()) if folder else [_format(path)]
    if obstacle is not None:
        raise UsageError(f"{target} cannot be written: {obstacle}")
    missing = {name: why for one in formats for name in one.needs if (why := _missing(name))}
    if missing:
        said = " and ".join(f"{name} ({missing[name]})" for name in sorted(missing))
        raise UsageError(f"{target} needs {said}: pip install 'pytest-parallelism[{EXTRA}]'")


def export(results: Results, target: str) -> list[Path]:
    """Writes what ``target`` names, a file or a folder; the files written. Raises `UsageError` and OSError.

    A file that is there already is replaced once its successor is whole.
    """
    check(target)
    path = Path(target)
    if not _is_folder(target):
        return [_written(path, _format(path)(results))]
    found = [_written(path / name, _format(Path(name))(results)) for name in _FOLDER]
    for name, suite in _suites(results):
        found += [_written(path / "plots" / (name + suffix), _FORMATS[suffix](suite)) for suffix in _PLOTS]
    return found


def _obstacle(path: Path, *, folder: bool) -> str | None:
    """What is in the way of a file or a folder there, in words."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()  # raises where there can be no such name; from Python 3.14 on, is_dir and exists say no
    if path.is_dir() and not folder:
        return "it is a folder"
    above = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if above != path and not above.is_dir():
        return f"{above} is a file"
    return None if os.access(above, os.W_OK) else f"{above} is not yours to write to"


def _missing(name: str) -> str | None:
    """Why a library cannot be had, None where it can."""
    if importlib.util.find_spec(name) is None:
        return "not installed"
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001  # a broken installation may raise anything
        return f"it cannot be imported: {error}"
    return None


def _is_folder(target: str) -> bool:
    path = Path(target)
    if target.endswith(("/", os.sep)):
        return True
    plain = not path.suffix and path.name not in _FORMATS  # ".html" has no suffix either
    return plain or (path.is_dir() and path.suffix not in _FORMATS)


def _format(path: Path) -> _Format:
    for suffix, found in _FORMATS.items():
        if path.name.endswith(suffix) and path.name not in _FORMATS:
            return found
    raise UsageError(
        f"{path} names no report: its suffix must be one of {', '.join(SUFFIXES)}, "
        f"or it a folder, which receives all of them, such as {path.stem or 'results'}/"
    )


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{os.getpid()}.part")
    try:
        half.write_bytes(content)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path


def _suites(results: Results) -> Iterator[tuple[str, Results]]:
    """Each test file's own results, by a name that is one for the file system too."""
    suites: dict[str, list[str]] = {}
    for test in results.tests:
        suites.setdefault(test.partition("::")[0], []).append(test)
    taken: set[str] = set()
    for suite, tests in suites.items():
        plain = re.sub(r"[^\w.-]+", "_", suite.removesuffix(".py")).strip("._") or "suite"
        plain = plain.encode()[:_LONGEST_NAME].decode(errors="ignore")
        name = next(
            n for n in (plain, *(f"{plain}_{i}" for i in range(2, len(suites) + 2))) if n not in taken
        )
        taken.add(name)
        yield name, Results.of(entry for test in tests for entry in results.tests[test])
