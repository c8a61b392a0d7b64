"""What waits for a module is done when that is loaded, and nobody who imports it sees a difference."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pytest_parallelism.envelope._loading import when_loaded


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that is not loaded."""
    name = "seldom_used_module"
    (tmp_path / f"{name}.py").write_text("READY = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_what_waits_is_done_before_the_importer_has_the_module(module: str) -> None:
    done: list[bool] = []
    when_loaded(module, lambda: done.append(sys.modules[module].READY))
    assert not done
    importlib.import_module("json")
    assert not done
    found = importlib.import_module(module)
    assert done == [True]
    assert found.READY
    del sys.modules[module]


def test_the_module_is_as_if_nobody_had_waited(module: str) -> None:
    plain = importlib.import_module(module)
    del sys.modules[module]
    finders = list(sys.meta_path)
    when_loaded(module, lambda: None)
    waited = importlib.import_module(module)
    assert sys.meta_path == finders
    assert type(waited.__loader__) is type(plain.__loader__)
    assert waited.__spec__ == plain.__spec__
    assert importlib.reload(waited) is waited
    del sys.modules[module]


def test_several_wait_in_their_order(module: str) -> None:
    done: list[int] = []
    for number in range(3):
        when_loaded(module, lambda number=number: done.append(number))  # type: ignore[misc]  # mypy knows no such lambda
    importlib.import_module(module)
    assert done == [0, 1, 2]
    when_loaded(module, lambda: done.append(3))
    assert done == [0, 1, 2, 3]
    del sys.modules[module]


def test_a_module_that_is_not_there_is_not_found_as_ever() -> None:
    finders = list(sys.meta_path)
    when_loaded("module_of_nobody", lambda: pytest.fail("it was never loaded"))
    with pytest.raises(ModuleNotFoundError, match="No module named 'module_of_nobody'"):
        importlib.import_module("module_of_nobody")
    assert sys.meta_path == finders
