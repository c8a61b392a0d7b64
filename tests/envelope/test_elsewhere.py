"""Workers of other machines have what is installed here, and not what stands in a checkout."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from pytest_parallelism.division import auto_chunk
from pytest_parallelism.envelope import Elsewhere, enclose, pack, preparation, run_there, unpack

INSTALLED: list[Callable[..., Any]] = [hypothesis.given, psutil.cpu_count, json.dumps, auto_chunk]


@pytest.mark.parametrize("fn", INSTALLED, ids=lambda fn: fn.__module__)
def test_what_is_installed_goes_by_name(fn: Callable[..., Any]) -> None:
    assert pack(fn, Elsewhere()) == pack(fn)
    assert len(pack(fn)) < 100


def test_a_package_of_the_checkout_goes_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_the_checkout.py").write_text(
        "class Thing:\n    size = 7\n\ndef made(_):\n    return Thing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import of_the_checkout  # type: ignore[import-not-found]  # written just before

    by_name, by_value = pack(of_the_checkout.made), pack(of_the_checkout.made, Elsewhere())
    items = enclose([of_the_checkout.Thing], Elsewhere())
    monkeypatch.undo()
    del sys.modules["of_the_checkout"]
    assert pickle.loads(by_value)(0).size == 7
    assert pickle.loads(items)[0].size == 7
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(by_name)


def test_pools_that_take_turns_on_a_worker_initialize_it_once_each(tmp_path: Path) -> None:
    def note(name: str) -> Callable[[], int]:
        return lambda: (tmp_path / name).write_text((tmp_path / name).read_text() + "x")

    pools = {}
    for name in "ab":
        (tmp_path / name).touch()
        pools[name] = preparation(name, ours=False, initializer=note(name))
    for name in "abab":
        answer = run_there(pools[name], pack(abs), enclose([-1]))
        assert unpack(answer) == [1]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["x", "x"]
