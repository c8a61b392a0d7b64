"""What is likely to disturb measurements, said before they begin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_parallelism.resources import conditions, disturbing


def test_a_governor_that_saves_power_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "_drives_itself", lambda: False)
    monkeypatch.setattr(conditions, "tracing", lambda: None)
    for core, governor in enumerate(["performance", "powersave"]):
        folder = tmp_path / f"policy{core}"
        folder.mkdir()
        (folder / "scaling_governor").write_text(f"{governor}\n")
    (found,) = disturbing(f"{tmp_path}/policy*/scaling_governor")
    assert "governor powersave" in found
    assert disturbing(f"{tmp_path}/policy0/scaling_governor") == []
    assert disturbing(f"{tmp_path}/nowhere*") == []


def test_tracing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        found = disturbing("/nowhere*")
    finally:
        sys.setprofile(before)
    assert any("traces the code" in sentence for sentence in found)
