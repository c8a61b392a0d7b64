"""Run pytest-benchmark's own test suite with and without this plugin: the same tests must fail, or none.

Usage: python tests/benchmark_suite.py [pytest arguments]

Takes the sdist of the installed pytest-benchmark, runs its suite twice side by side, and compares the
outcomes test by test. Exit status 1 where one differs, or where hardly any test passed at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

# Fewer passes than this mean that the suite itself did not run here (237 passed with 5.3.1).
ENOUGH = 100


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arms = {"without": ["-p", "no:parallelism"], "with": ["-p", "parallelism"]}
        sources = {arm: unpacked(folder / arm) for arm in arms}
        running = {
            arm: started(sources[arm], folder / f"{arm}.xml", [*options, *arguments])
            for arm, options in arms.items()
        }
        for process in running.values():
            process.wait()
        found = {arm: outcomes(folder / f"{arm}.xml") for arm in arms}
    return judged(found["without"], found["with"])


def unpacked(folder: Path) -> Path:
    """The source of the installed pytest-benchmark."""
    wanted = f"pytest-benchmark=={version('pytest-benchmark')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, "--no-binary", "pytest-benchmark", wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(folder)
    (source,) = (path.parent for path in folder.glob("*/pytest.ini"))
    return source


def started(source: Path, report: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Its suite, run as its own tox.ini runs it; with this interpreter's scripts on the path."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--ignore=src", f"--junit-xml={report}", *options],
        cwd=source,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(source / "tests"), "PATH": paths},
    )


def outcomes(report: Path) -> Mapping[str, str]:
    """What became of each test: passed, skipped, failure, or error."""
    cases = ElementTree.parse(report).iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}": next(
            (child.tag for child in case if child.tag in {"skipped", "failure", "error"}), "passed"
        )
        for case in cases
    }


def judged(without: Mapping[str, str], with_plugin: Mapping[str, str]) -> int:
    """The exit status; prints what differs, and the counts."""
    names = sorted(without.keys() | with_plugin.keys())
    differ = [
        f"{name}: {without.get(name)} without the plugin, {with_plugin.get(name)} with it"
        for name in names
        if without.get(name) != with_plugin.get(name)
    ]
    enough = Counter(with_plugin.values())["passed"] >= ENOUGH
    lines = [
        *differ,
        f"without the plugin: {counted(without)}",
        f"with the plugin: {counted(with_plugin)}",
        *([] if enough else [f"fewer than {ENOUGH} tests passed: the suite did not really run here"]),
    ]
    print("\n".join(lines))  # noqa: T201 - this is the script's answer
    return int(bool(differ) or not enough)


def counted(found: Mapping[str, str]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(Counter(found.values()).items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
