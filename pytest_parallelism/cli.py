"""The console script ``pytest-parallelism``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stored import Run

__all__ = ["main"]

DEFAULT_FOLDER = ".benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; the exit status: 0, or 2 with a sentence on standard error."""
    from .errors import UsageError

    asked = _parser().parse_args(arguments)
    try:
        for line in _report(asked) if asked.command == "report" else _history(asked):
            sys.stdout.write(f"{line}\n")
    except UsageError as error:
        sys.stderr.write(f"pytest-parallelism: {error}\n")
        return 2
    except BrokenPipeError:  # head has seen enough
        sys.stderr.close()
    except OSError as error:
        sys.stderr.write(f"pytest-parallelism: {error.filename or 'a file'}: {error.strerror or error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-parallelism", description="Reads what pytest has stored.")
    commands = parser.add_subparsers(dest="command", required=True)
    history = commands.add_parser(
        "history",
        help="the speedup of points over stored runs",
        description="Shows the speedup of each point over the stored runs, with its interval, and marks "
        "where it changed for good.",
    )
    history.add_argument("point", nargs="*", help="only points whose name has this text")
    history.add_argument("--last", type=int, metavar="N", help="only the last N runs")
    report = commands.add_parser(
        "report",
        help="the report of stored runs, in the terminal or as files",
        description="Shows the report of a stored run. The runs before the last one named are set beside it: "
        "one is compared with it, of more there is a table by machine.",
    )
    report.add_argument(
        "run", nargs="+", help="a JSON file of pytest-benchmark, or the number or name of a stored run"
    )
    report.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="FILE",
        help="write this report, as often as given: .html .csv .md .yaml .json .svg .png, or a folder/",
    )
    for command in (history, report):
        command.add_argument(
            "--storage",
            type=Path,
            default=Path(DEFAULT_FOLDER),
            metavar="FOLDER",
            help=f"where pytest-benchmark stores runs (default {DEFAULT_FOLDER})",
        )
    return parser


def _report(asked: argparse.Namespace) -> Iterator[str]:
    from .errors import UsageError
    from .export import check, export
    from .history import MOST_RUNS, series
    from .reports.results import Results
    from .reports.terminal import render

    for target in asked.export:
        check(target)
    found = [_run(name, asked.storage) for name in asked.run]
    if len(found) > 1 and not asked.export:
        raise UsageError("several runs are shown in files: add --export report.html, or name one run")
    names = _apart([run.path for run in found])
    run = found[-1]
    if not run.points:
        raise UsageError(f"{run.path} holds no point of pytest-parallelism")
    stored = sorted(asked.storage.rglob("*.json")) if asked.export and asked.storage.is_dir() else []
    history, unread = series(stored, run.points.__contains__, MOST_RUNS, until=run.when)
    *others, last = [
        Results.of(one.entries(), name=name, when=one.when, commit=one.commit)
        for one, name in zip(found, names, strict=True)
    ]
    results = replace(last, history=tuple(history), others=tuple(others))
    for target in asked.export:
        for path in export(results, target):
            yield f"wrote {path}"
    yield from (f"not in the history: {sentence}" for sentence in unread)
    if not asked.export:
        width = shutil.get_terminal_size().columns
        yield from (line.text for line in render(results.entries, width=width, saved=True))


def _run(name: str, storage: Path) -> Run:
    """The run in the file of that name, or the newest stored one whose number or name it is."""
    from .errors import UsageError
    from .stored import newest_first, read

    if Path(name).is_file():
        return read(Path(name))
    stored = [path for path in storage.rglob("*.json") if name in (path.stem, path.stem.split("_")[0])]
    if not stored:
        raise UsageError(f"{name} is no file, and no number or name of a run stored in {storage}")
    return newest_first([read(path) for path in stored])[0]


def _apart(paths: Sequence[Path]) -> list[str]:
    """Names of files: their own without the ending, with as many folders before it as tell them apart."""
    ends = [path.with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, ends)) + 1):
        names = ["/".join(parts[-length:]) for parts in ends]
        if len(set(names)) == len(names):
            break
    return names


def _history(asked: argparse.Namespace) -> Iterator[str]:
    from .errors import UsageError
    from .history import series
    from .reports.history import render

    if not asked.storage.is_dir():
        raise UsageError(
            f"{asked.storage} is no folder: run pytest with --benchmark-autosave first, or give --storage"
        )
    if asked.last is not None and asked.last < 1:
        raise UsageError(f"--last must be at least 1, not {asked.last}")
    paths = sorted(asked.storage.rglob("*.json"))
    shown, unread = series(paths, lambda point: all(part in point for part in asked.point), asked.last)
    if not shown:
        named = f" whose name has {' and '.join(map(repr, asked.point))}" if asked.point else ""
        raise UsageError(f"the {len(paths)} files in {asked.storage} hold no point{named}")
    yield from render(shown)
    for sentence in unread:
        yield f"not read: {sentence}"
