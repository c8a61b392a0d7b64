"""The console script ``pytest-parallelism``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["main"]

DEFAULT_FOLDER = ".benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; the exit status: 0, or 2 with a sentence on standard error."""
    from .errors import UsageError

    asked = _parser().parse_args(arguments)
    try:
        for line in _history(asked):
            sys.stdout.write(f"{line}\n")
    except UsageError as error:
        sys.stderr.write(f"pytest-parallelism: {error}\n")
        return 2
    except BrokenPipeError:  # head has seen enough
        sys.stderr.close()
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
    history.add_argument(
        "--storage",
        type=Path,
        default=Path(DEFAULT_FOLDER),
        metavar="FOLDER",
        help=f"where pytest-benchmark stores runs (default {DEFAULT_FOLDER})",
    )
    history.add_argument("--last", type=int, metavar="N", help="only the last N runs")
    return parser


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
