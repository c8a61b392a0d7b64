"""Any function of a test file works on every strategy, however pytest imported that file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_parallelism
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Isolation

RUNNABLE = [
    s
    for s in load().values()
    if s.isolation is not Isolation.NONE and not s.native_async and not s.obstacle(2)
]
TESTS = 2
SUITE = """
import functools
import sys
import threading

import pytest

from helping import added
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Isolation, StrategyOptions

KNOWN = [s for s in load().values() if s.name in "{names}".split()]


class OwnError(Exception):
    def __init__(self, item, *, hint):
        super().__init__(f"bad {item}")
        self.hint = hint


class Document:
    def __init__(self, words):
        self.words = words

    def count(self, extra):
        return len(self.words) + extra


def module_level(document):
    assert isinstance(document, Document)
    return Document(document.words[::-1])


def fails(item):
    raise OwnError(item, hint="there")


def compares(item):
    assert item == {"a": 1}


@pytest.fixture
def offset():
    return 5


@pytest.fixture(params=KNOWN, ids=lambda s: s.name)
def mapped(request):
    options = StrategyOptions(by_value=(sys.modules[__name__],))
    with request.param.open(2, options) as pool:
        yield pool.map


def test_every_kind_of_function(mapped, offset):
    documents = [Document(["a", "b"]), Document(["c"])]
    found = mapped(module_level, documents)
    assert [type(d) for d in found] == [Document, Document]
    assert [d.words for d in found] == [["b", "a"], ["c"]]

    def nested(item):
        return added(item, offset)

    assert mapped(nested, [1, 2]) == [6, 7]
    assert mapped(lambda item: nested(item) * 2, [1]) == [12]
    assert mapped(functools.partial(added, 3), [1]) == [4]
    assert mapped(documents[0].count, [1]) == [3]


def test_errors_keep_class_and_message(mapped):
    with pytest.raises(OwnError, match="bad 1") as caught:
        mapped(fails, [1])
    assert caught.value.hint == "there"
    with pytest.raises(AssertionError, match="assert 3 == {'a': 1}"):
        mapped(compares, [3])
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_any_function_of_a_test_file_works(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "tests"
    folder.mkdir(parents=True)
    (folder / "test_kinds.py").write_text(SUITE.replace("{names}", " ".join(s.name for s in RUNNABLE)))
    (tmp_path / "helping.py").write_text("def added(a, b):\n    return a + b\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nfilterwarnings = error\n")
    root = str(Path(pytest_parallelism.__file__).parents[1])
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:parallelism"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--import-mode={mode}", *plugins, str(folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": root, "PATH": os.defpath, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TESTS * len(RUNNABLE)} passed" in done.stdout
