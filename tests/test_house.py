"""The house of DESIGN.md, section 4: who may import whom, what is public, how long things get.

Everything is read from the source, so a new module is held by the same rules; a new room needs its line
in ``ARROWS``.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pytest_parallelism

PACKAGE = Path(pytest_parallelism.__file__).parent
CHECKOUT = Path(__file__).parents[1]

# A room is a module or folder directly under the package; to the right, what it may import.
ARROWS = {
    "errors": "",
    "addresses": "",
    "measurement": "",
    "contention": "measurement",
    "division": "",
    "equality": "",
    "envelope": "errors",
    "settings": "errors addresses",
    "strategy": "errors",
    "resources": "measurement",
    "workers": "errors envelope",
    "clusters": "errors",
    "strategies": "errors addresses clusters division envelope resources strategy workers",
    "celery_worker": "strategies",
    "registry": "errors strategy strategies",
    "trace": "measurement envelope",
    "workpool": "errors division envelope strategy trace",
    "workload": "errors measurement envelope equality strategy workpool",
    "alarm": "errors envelope",
    "quiet": "",
    "rounds": "errors clusters measurement contention alarm quiet strategy trace workpool workload resources",
    "inference": "errors measurement",
    "replay": "measurement",
    "cpu_times": "measurement",
    "uncontended": "measurement inference cpu_times replay",
    "scaling": "errors measurement inference uncontended",
    "gate": "errors measurement contention inference scaling uncontended",
    "record": "errors measurement scaling",
    "regression": "errors measurement settings inference scaling uncontended gate record",
    "stored": "errors measurement record",
    "history": "errors measurement record stored",
    "export": "errors reports",
    "cli": "errors stored history reports export",
    "reports": "errors measurement contention inference scaling gate record history regression",
    "conformance": "errors alarm envelope strategy registry",
    "maps": "errors envelope strategy registry resources",
    "measuring": (
        "errors clusters measurement envelope settings strategy resources registry workload rounds scaling "
        "gate record reports export maps"
    ),
    "__init__": "errors measurement strategy conformance maps measuring",
}
EVERYTHING = "plugin"

# Third-party imports while a module loads, and others that may stand inside functions only.
AT_LOAD = {
    "numpy": "inference scaling gate history",
    "cloudpickle": "envelope",
    "pytest": "plugin conformance",
}
INSIDE_FUNCTIONS = {
    **AT_LOAD,
    "psutil": "resources",
    "threadpoolctl": "resources quiet envelope",
    "pytest_benchmark": "plugin",
    "tqdm": "maps",
    "jinja2": "reports",
    "matplotlib": "reports",
    "yaml": "reports",
}
ENGINES = "strategies"  # these may import anything inside functions

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Import:
    """One import statement's target, as an absolute module name; ``names`` are those taken from it."""

    module: str
    names: tuple[str, ...]
    line: int
    while_loading: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """A source file of the package."""

    path: Path

    @property
    def dotted(self) -> tuple[str, ...]:
        """Its name below the package: ``("plugin", "collect")``; a folder's own file is the folder."""
        parts = self.path.relative_to(PACKAGE).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts

    @property
    def room(self) -> str:
        return self.dotted[0]

    @property
    def public(self) -> bool:
        return self.dotted == ("__init__",) or not any(part.startswith("_") for part in self.dotted)

    @property
    def tree(self) -> ast.Module:
        return parsed(self.path)

    def imports(self) -> Iterator[Import]:
        yield from self._imports(self.tree, while_loading=True, typing_only=False)

    def _imports(self, node: ast.AST, *, while_loading: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), node.lineno, while_loading, typing_only)
        elif isinstance(node, ast.ImportFrom):
            yield from self._imports_from(node, while_loading, typing_only)
        inside = isinstance(node, FUNCTIONS)
        typed = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            yield from self._imports(
                child, while_loading=while_loading and not inside, typing_only=typing_only or typed
            )

    def _imports_from(self, node: ast.ImportFrom, while_loading: bool, typing_only: bool) -> Iterator[Import]:
        names = tuple(alias.name for alias in node.names)
        if not node.level:
            yield Import(node.module or "", names, node.lineno, while_loading, typing_only)
            return
        folder = self.path.parent.relative_to(PACKAGE.parent).parts
        base = folder[: len(folder) - node.level + 1]
        if node.module:
            yield Import(".".join((*base, node.module)), names, node.lineno, while_loading, typing_only)
        else:
            for name in names:
                yield Import(".".join((*base, name)), (), node.lineno, while_loading, typing_only)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(path: Path) -> str:
    root = PACKAGE.parent if path.is_relative_to(PACKAGE) else CHECKOUT
    return path.relative_to(root).as_posix()


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
SOURCES = [
    *(module.path for module in MODULES),
    *(
        path
        for room in ("tests", "benchmarks", "example_suites")
        for path in sorted(CHECKOUT.glob(f"{room}/**/*.py"))
    ),
]
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: named(module.path))
each_source = pytest.mark.parametrize("path", SOURCES, ids=named)


def permitted(table: dict[str, str], room: str) -> set[str]:
    return {name for name, rooms in table.items() if room in rooms.split()}


@each_module
def test_a_room_imports_only_along_the_arrows(module: Module) -> None:
    if module.room == EVERYTHING:
        return
    assert module.room in ARROWS, f"room {module.room!r} is new: give it a line in ARROWS"
    allowed = {*ARROWS[module.room].split(), module.room}
    wrong = [
        f"line {found.line}: {found.module}"
        for found in module.imports()
        if found.top == PACKAGE.name and [*found.module.split("."), "__init__"][1] not in allowed
    ]
    assert not wrong


def test_no_arrows_form_a_circle() -> None:
    below: dict[str, set[str]] = {}
    while len(below) < len(ARROWS):
        ready = {
            room for room, uses in ARROWS.items() if room not in below and below.keys() >= set(uses.split())
        }
        assert ready, f"a circle among {ARROWS.keys() - below.keys()}"
        below.update({room: set() for room in ready})


@each_module
def test_third_party_imports_stand_where_they_may(module: Module) -> None:
    wrong = []
    for found in module.imports():
        foreign = found.top not in {*sys.stdlib_module_names, PACKAGE.name}
        if not foreign or (found.typing_only and found.top == "pytest" and module.room == "plugin"):
            continue
        loads = found.while_loading and not found.typing_only
        allowed = permitted(AT_LOAD if loads else INSIDE_FUNCTIONS, module.room)
        if found.top not in allowed and (loads or module.room != ENGINES):
            wrong.append(f"line {found.line}: {found.module}")
    assert not wrong


@each_module
def test_annotations_are_not_evaluated(module: Module) -> None:
    if any(isinstance(node, (*IMPORTS, *DEFINITIONS)) for node in ast.walk(module.tree)):
        future = [found for found in module.imports() if found.module == "__future__"]
        assert [found.names for found in future] == [("annotations",)]


def definitions(tree: ast.Module) -> set[str]:
    """Public functions and classes; hooks are found by pytest, by their names."""
    names = {node.name for node in tree.body if isinstance(node, DEFINITIONS)}
    return {name for name in names if not name.startswith(("_", "pytest_"))}


def declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@each_module
def test_all_of_a_public_module_is_complete_and_true(module: Module) -> None:
    offers_something = any(not isinstance(node, (ast.Expr, ast.ImportFrom)) for node in module.tree.body)
    if not module.public or not offers_something:
        return
    names = declared(module.tree)
    assert names is not None, "a public module says what it offers, in __all__"
    assert definitions(module.tree) <= set(names)
    assert len(names) == len(set(names))
    name = ".".join((PACKAGE.name, *(part for part in module.dotted if part != "__init__")))
    there = __import__(name, fromlist=["__all__"])
    assert [name for name in names if not hasattr(there, name)] == []


@each_module
def test_what_a_room_takes_from_another_is_public_there(module: Module) -> None:
    offers = {".".join((PACKAGE.name, *other.dotted)): declared(other.tree) for other in MODULES}
    wrong = [
        f"line {found.line}: {found.module}.{name}"
        for found in module.imports()
        if found.module.split(".")[1:2] != [module.room] and offers.get(found.module) is not None
        for name in found.names
        if name not in (offers[found.module] or ()) and f"{found.module}.{name}" not in offers
    ]
    assert not wrong


@each_source
def test_a_file_is_under_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@each_source
def test_a_function_is_under_50_lines(path: Path) -> None:
    functions = [node for node in ast.walk(parsed(path)) if isinstance(node, FUNCTIONS)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines >= 50} == {}


IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore|pragma|mypy:|ruff:)")
WITH_REASON = re.compile(
    r"# (noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*( - |  # )"
    r"|type: ignore\[[\w, -]+\]  # "
    r"|pragma: no (cover|branch) - )\S.* \S"
)


@each_source
def test_every_ignore_comment_gives_its_reason(path: Path) -> None:
    """``noqa: X - why``, ``noqa: X  # why``, ``type: ignore[x]  # why``, ``pragma: no cover - why``."""
    assert [
        comment for comment in comments(path) if IGNORE.match(comment) and not WITH_REASON.match(comment)
    ] == []


def comments(path: Path) -> Iterator[str]:
    """From where an ignore begins to the end of its line."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


PROBE = """
import json, sys
def pytest_unconfigure():
    with open("loaded.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def loaded_by_a_run(folder: Path, *options: str) -> set[str]:
    """Modules in memory at the end of a run of one plain test, with no plugins but those named."""
    (folder / "conftest.py").write_text(PROBE)
    (folder / "test_plain.py").write_text("def test_plain():\n    assert True\n")
    paths = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "benchmark", *options],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTHONPATH": paths},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    found: list[str] = json.loads((folder / "loaded.json").read_text())
    return set(found)


def test_a_run_without_the_fixture_loads_nothing_of_others(tmp_path: Path) -> None:
    installed = [point for point in entry_points(group="pytest11") if point.name == "parallelism"]
    plugin = "parallelism" if installed else "pytest_parallelism.plugin"
    loaded = loaded_by_a_run(tmp_path, "-p", plugin)
    assert "pytest_parallelism.plugin" in loaded
    more = {name.partition(".")[0] for name in loaded - loaded_by_a_run(tmp_path)}
    assert more - {*sys.stdlib_module_names, PACKAGE.name} == set()
