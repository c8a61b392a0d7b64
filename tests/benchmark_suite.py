"""Run pytest-benchmark's own test suite with this plugin: what does not pass must be so without it.

Usage: python tests/benchmark_suite.py [pytest arguments]

Takes the sdist of the installed pytest-benchmark and runs its suite, in two halves side by side; tests that
did not pass are run again without this plugin. Exit status 1 where their outcome differs, or where hardly any
test passed at all.
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
        source = unpacked(folder / "source")
        names = collected(source, arguments)
        with_plugin = outcomes(source, ["-p", "parallelism"], names[::2], names[1::2])
        others = [name for name, outcome in with_plugin.items() if outcome != "passed"]
        without = outcomes(source, ["-p", "no:parallelism"], others)
    return judged(with_plugin, without)


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


def collected(source: Path, arguments: Sequence[str]) -> Sequence[str]:
    """The node ids of its tests."""
    asked = started(source, ["-p", "parallelism", "--collect-only", *arguments], stdout=subprocess.PIPE)
    return [line for line in str(asked.communicate()[0]).splitlines() if "::" in line]


def outcomes(source: Path, options: Sequence[str], *shares: Sequence[str]) -> Mapping[str, str]:
    """What becomes of each test, by node id: passed, skipped, failure, or error. Shares run side by side."""
    running = {}
    for number, names in enumerate(filter(None, shares)):
        report = source / f"{number}.xml"
        told = [f"--junit-xml={report}", "-o", "junit_family=xunit1"]  # it names the files
        running[report] = started(source, [*told, *options, *names])
    for process in running.values():
        process.wait()
    return {
        node(case): next(
            (child.tag for child in case if child.tag in {"skipped", "failure", "error"}), "passed"
        )
        for report in running
        for case in ElementTree.parse(report).iter("testcase")
    }


def started(source: Path, arguments: Sequence[str], stdout: int | None = None) -> subprocess.Popen[str]:
    """Its suite, run as its own tox.ini runs it; with this interpreter's scripts on the path."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--ignore=src", *arguments],
        cwd=source,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(source / "tests"), "PATH": paths},
        stdout=stdout,
        text=True,
    )


def node(case: ElementTree.Element) -> str:
    """Its node id; of a file that cannot be collected, the file."""
    file, name = case.get("file", ""), case.get("name", "")
    module = file.removesuffix(".py").replace("/", ".")
    within = case.get("classname", "").removeprefix(module).strip(".").split(".")
    return "::".join([file, *filter(None, within), name]) if file else name


def judged(with_plugin: Mapping[str, str], without: Mapping[str, str]) -> int:
    """The exit status; prints what differs, and the counts."""
    differ = [
        f"{name}: {with_plugin[name]} with the plugin, {without.get(name)} without it"
        for name, outcome in with_plugin.items()
        if outcome not in ("passed", without.get(name))
    ]
    enough = Counter(with_plugin.values())["passed"] >= ENOUGH
    lines = [
        *differ,
        f"with the plugin: {counted(with_plugin)}",
        *([f"the others without the plugin: {counted(without)}"] if without else []),
        *([] if enough else [f"fewer than {ENOUGH} tests passed: the suite did not really run here"]),
    ]
    print("\n".join(lines))  # noqa: T201 - this is the script's answer
    return int(bool(differ) or not enough)


def counted(found: Mapping[str, str]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(Counter(found.values()).items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
