"""README and docs: every code block runs, every name and option exists, every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from itertools import takewhile
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from pytest_parallelism.measurement import Outcome
from pytest_parallelism.record import CONDITIONS, Record
from pytest_parallelism.registry import load

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    "pytest",
    "pytest-parallelism",
    ".venv/bin/pytest",
    "python3",
    "pip",
    ".venv/bin/pip",
    ".venv/bin/tox",
}


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    found = [Block(page.name, *match) for page in PAGES for match in BLOCK.findall(page.read_text("utf-8"))]
    return [block for block in found if block.language == language]


def first_column(page: str, section: str = "") -> Iterator[str]:
    """Names in code type in the first cell of each row of the tables of a page, or of one section of it."""
    text = (ROOT / page).read_text("utf-8")
    if section:
        text = text.split(f"## {section}\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", row)


def run_pytest(where: Path, *options: str) -> subprocess.CompletedProcess[str]:
    installed = any(point.name == "parallelism" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "pytest_parallelism.plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def known_options() -> set[str]:
    """Every long option that pytest takes here."""
    said = run_pytest(ROOT, "example_suites", "--help")
    assert said.returncode == 0, said.stderr
    return set(re.findall(r"--[a-z][a-z-]+", said.stdout))


def run_program(*arguments: str) -> str:
    """What ``pytest-parallelism`` says."""
    call = f"from pytest_parallelism.cli import main; main({list(arguments)!r})"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPTS = [block for block in blocks("python") if "__main__" in block.text]


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: block.page)
def test_every_script_runs(block: Block, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(block.text, "utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}))
def test_every_python_block_is_a_test_that_passes(tmp_path: Path, page: str) -> None:
    for number, block in enumerate(b for b in blocks("python") if b.page == page):
        name = re.match(r"# (\w+\.py)\n", block.text)
        (tmp_path / (name[1] if name else f"test_block_{number}.py")).write_text(block.text, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = run_pytest(tmp_path, "--parallel-check", "-q", "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_the_first_example_of_the_readme_is_the_quickstart_suite() -> None:
    first = next(block for block in blocks("python") if block.page == "README.md")
    assert first.text == (ROOT / "example_suites" / "quickstart" / "test_quickstart.py").read_text("utf-8")


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: f"{block.page}-{block.text[:40].strip()}")
def test_every_command_names_programs_options_and_folders_that_exist(
    block: Block, known_options: set[str]
) -> None:
    for command in re.split(r"\n|&&", block.text.strip()):
        program, *arguments = command.split()
        assert program in PROGRAMS
        if program == "pytest-parallelism":
            parser = run_program(arguments[0], "--help")
            assert {a.partition("=")[0] for a in arguments if a.startswith("--")} <= set(
                re.findall(r"--[a-z-]+", parser)
            )
        if not program.endswith("pytest"):
            continue
        assert {a.partition("=")[0] for a in arguments if a.startswith("--")} <= known_options
        folders = [a for a in arguments if a.startswith("example_suites")]
        assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_options_page_lists_every_option_and_its_ini_value_and_no_other(known_options: set[str]) -> None:
    said = [name.partition("=")[0] for name in first_column("docs/options.md")]
    assert sorted(said) == sorted(o for o in known_options if o.startswith("--parallel-"))
    ini = re.findall(
        r"^\| `(--[\w-]+).*?` \| `(\w+)` \|", (ROOT / "docs/options.md").read_text("utf-8"), re.M
    )
    assert [name for _, name in ini] == [option[2:].replace("-", "_") for option, _ in ini]


def test_toml_blocks_of_the_options_page_are_taken_by_pytest(tmp_path: Path) -> None:
    block = next(block for block in blocks("toml") if block.page == "options.md")
    (tmp_path / "pyproject.toml").write_text(block.text)
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    done = run_pytest(tmp_path, "--strict-config", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_strategies_page_lists_every_strategy_and_no_other() -> None:
    text = (ROOT / "docs/strategies.md").read_text("utf-8").splitlines()
    start = text.index("| strategy | mechanism | isolation | when to use | limits |") + 2
    rows = [row.split(" | ") for row in takewhile(lambda row: row.startswith("|"), text[start:])]
    said = {row[0].strip("| `"): row[2] for row in rows}
    assert said == {name: strategy.isolation.value for name, strategy in load().items()}


def test_the_record_page_lists_every_key_and_no_other() -> None:
    assert sorted(first_column("docs/record.md")) == sorted(field.name for field in fields(Record))


def test_the_record_page_names_the_keys_of_every_part() -> None:
    page = (ROOT / "docs/record.md").read_text("utf-8")
    parts: list[Any] = [hint for hint in get_type_hints(Record).values() if is_dataclass(hint)]
    for part in parts:
        assert "`{" + ", ".join(field.name for field in fields(part)) + "}`" in page
    assert all(f"`{name}`" in page for name in CONDITIONS)


def test_the_gates_page_lists_every_verdict() -> None:
    page = (ROOT / "docs/ci.md").read_text("utf-8")
    assert [f"| {outcome.value} |" in page for outcome in Outcome] == [True] * len(Outcome)


def test_the_entry_point_group_in_the_docs_is_the_one_that_is_read(tmp_path: Path) -> None:
    block = next(block for block in blocks("toml") if block.page == "own-strategy.md")
    group, name, target = re.findall(r'"([\w.]+)"\]\n(\w+) = "([\w.:]+)"', block.text)[0]
    package, module, attribute = re.split("[.:]", target)
    (tmp_path / package).mkdir()
    conftest = next(b.text for b in blocks("python") if b.text.startswith("# conftest.py"))
    strategies = conftest.partition("def pytest_parallelism_strategies")[0]
    one = (
        f'{attribute} = Strategy(name="named-threads", open=open_named_threads, isolation=Isolation.THREAD)\n'
    )
    (tmp_path / package / f"{module}.py").write_text(strategies + one)
    info = tmp_path / f"{package}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    test = next(b.text for b in blocks("python") if b.text.startswith("# test_named_threads.py"))
    (tmp_path / "test_named_threads.py").write_text(test)
    done = run_pytest(tmp_path, "--parallel-check", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_links_every_page_of_the_docs_once() -> None:
    links = re.findall(r"\]\((docs/[^)#]+\.md)", (ROOT / "README.md").read_text("utf-8"))
    assert sorted(links) == sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_of_a_link_is_a_heading(page: Path) -> None:
    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", page.read_text("utf-8")):
        headings = re.findall(r"^#+ (.*)", (page.parent / (file or page.name)).read_text("utf-8"), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_its_language(page: Path) -> None:
    languages = {language for language, _ in BLOCK.findall(page.read_text("utf-8"))}
    assert languages <= {"python", "sh", "toml", "text", "yaml"}


def test_the_quickstart_leaves_the_records_that_the_docs_describe(tmp_path: Path) -> None:
    shutil.copy(ROOT / "example_suites" / "quickstart" / "test_quickstart.py", tmp_path)
    options = ["--parallel-report", "--parallel-rounds=1", "--benchmark-json=run.json", "-q"]
    done = run_pytest(tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    stored = json.loads((tmp_path / "run.json").read_text("utf-8"))["benchmarks"]
    records = [benchmark["extra_info"]["parallelism"] for benchmark in stored]
    assert sorted((r["strategy"], r["workers"]) for r in records) == [("processes", 2), ("threads", 2)]
    documented = set(first_column("docs/record.md"))
    assert all(set(record) == documented for record in records)
    assert all(name in done.stdout for name in ("test_count_names", "threads", "processes"))
