"""Temporary folders, and what becomes of them when their process is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_parallelism.envelope import owned_folder

KILLED = """
import os, signal, sys
from pytest_parallelism.envelope import owned_folder
folder = owned_folder(sys.argv[1])
open(os.path.join(folder, "file"), "x").close()
print(folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="without /proc nobody tells who has ended")


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """By a process that was killed."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    folder = Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    assert (folder / "file").exists()
    yield folder
    assert not folder.exists()


def test_what_a_killed_process_leaves_goes_with_the_next_folder(left: Path) -> None:
    own = [Path(owned_folder(str(left.parent))) for _ in range(2)]
    assert not left.exists()
    assert all(folder.is_dir() for folder in own)


def test_that_of_another_container_goes_a_day_later(left: Path) -> None:
    pid, namespace, rest = left.name.removeprefix("pytest-parallelism-").split("-", 2)
    there = left.rename(left.with_name(f"pytest-parallelism-{pid}-1{namespace}-{rest}"))
    owned_folder(str(left.parent))
    assert there.exists()
    os.utime(there, (0, 0))
    owned_folder(str(left.parent))
    assert not there.exists()


def test_what_bears_no_owner_stays(left: Path) -> None:
    others = [
        left.with_name(name) for name in ("pytest-parallelism-abc", "pytest-parallelism-1-x", "another")
    ]
    for other in others:
        shutil.copytree(left, other)
    owned_folder(str(left.parent))
    assert all(other.exists() for other in others)


def test_it_stands_by_default_where_temporary_files_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Path(owned_folder()).parent == tmp_path
