"""Usable cores, found on fake machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_parallelism.resources import usable_cores

V2 = "30 23 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
V1 = "33 31 0:30 {root} {point} rw - cgroup cgroup rw,cpu,cpuacct\n"
CPUSET = "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"


def v2(root: str = "/", point: str = "/sys/fs/cgroup") -> str:
    return V2.format(root=root, point=point)


def v1(root: str = "/", point: str = "/sys/fs/cgroup/cpu") -> str:
    return V1.format(root=root, point=point)


Machine = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Builds the files of a machine with 8 cores in the affinity mask."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)

    def build(cgroup: str, mounts: str, **files: str) -> Path:
        contents = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, **files}
        for name, text in contents.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return build


def test_without_any_limit_the_affinity_counts(machine: Machine) -> None:
    found = usable_cores(machine("0::/\n", v2()))
    assert (found.usable, found.affinity, found.quota) == (8, 8, None)


def test_a_system_without_proc_has_no_quota(tmp_path: Path) -> None:
    assert usable_cores(tmp_path).quota is None


def test_a_v2_quota_is_floored(machine: Machine) -> None:
    root = machine("0::/job\n", v2(), **{"/sys/fs/cgroup/job/cpu.max": "250000 100000\n"})
    found = usable_cores(root)
    assert (found.usable, found.quota) == (2, 2.5)


def test_a_quota_below_one_core_leaves_one(machine: Machine) -> None:
    root = machine("0::/job\n", v2(), **{"/sys/fs/cgroup/job/cpu.max": "50000 100000\n"})
    assert usable_cores(root).usable == 1


def test_a_quota_above_the_affinity_does_not_add_cores(machine: Machine) -> None:
    root = machine("0::/job\n", v2(), **{"/sys/fs/cgroup/job/cpu.max": "1600000 100000\n"})
    assert usable_cores(root).usable == 8


@pytest.mark.parametrize("tightest", ["/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b"])
def test_the_tightest_ancestor_counts(machine: Machine, tightest: str) -> None:
    folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b"]
    limits = {f"{folder}/cpu.max": "700000 100000" for folder in folders}
    root = machine("0::/a/b\n", v2(), **{**limits, f"{tightest}/cpu.max": "300000 100000"})
    assert usable_cores(root).quota == 3.0


def test_max_in_the_group_leaves_the_ancestors_limit(machine: Machine) -> None:
    files = {"/sys/fs/cgroup/a/cpu.max": "max 100000", "/sys/fs/cgroup/cpu.max": "400000 100000"}
    assert usable_cores(machine("0::/a\n", v2(), **files)).quota == 4.0


def test_a_v1_quota_counts(machine: Machine) -> None:
    folder = "/sys/fs/cgroup/cpu/job"
    files = {f"{folder}/cpu.cfs_quota_us": "150000\n", f"{folder}/cpu.cfs_period_us": "50000\n"}
    root = machine("5:cpuset:/x\n4:cpu,cpuacct:/job\n", CPUSET + v1(), **files)
    assert usable_cores(root).quota == 3.0


def test_minus_one_is_no_v1_quota(machine: Machine) -> None:
    folder = "/sys/fs/cgroup/cpu"
    files = {f"{folder}/cpu.cfs_quota_us": "-1\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    assert usable_cores(machine("4:cpu:/\n", v1(), **files)).quota is None


def test_hybrid_mounts_are_both_read(machine: Machine) -> None:
    files = {
        "/sys/fs/cgroup/cpu/j/cpu.cfs_quota_us": "500000",
        "/sys/fs/cgroup/cpu/j/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/unified/k/cpu.max": "600000 100000",
    }
    root = machine("4:cpu:/j\n0::/k\n", v1() + v2(point="/sys/fs/cgroup/unified"), **files)
    assert usable_cores(root).quota == 5.0
    (root / "sys/fs/cgroup/unified/k/cpu.max").write_text("200000 100000")
    assert usable_cores(root).quota == 2.0


@pytest.mark.parametrize("path", ["/host/docker/abc", "/../../elsewhere"])
def test_a_path_of_the_host_means_the_containers_own_mount(machine: Machine, path: str) -> None:
    root = machine(f"0::{path}\n", v2(), **{"/sys/fs/cgroup/cpu.max": "200000 100000"})
    assert usable_cores(root).quota == 2.0


def test_a_mounted_subtree_is_found_by_its_root(machine: Machine) -> None:
    root = machine("4:cpu:/docker/abc/in\n", v1(root="/docker/abc"))
    folder = root / "sys/fs/cgroup/cpu/in"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("200000")
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores(root).quota == 2.0


def test_a_mount_point_with_a_space_is_found(machine: Machine) -> None:
    root = machine("0::/\n", v2(point="/my\\040groups"), **{"/my groups/cpu.max": "200000 100000"})
    assert usable_cores(root).quota == 2.0


@pytest.mark.parametrize("garbage", ["", "x", "1 2 3", "-5 100000", "100000 0", "1e5 1e5", "\xff\x00"])
def test_garbage_sets_no_limit(machine: Machine, garbage: str) -> None:
    root = machine("0::/\nnonsense\n", "short line\n" + v2(), **{"/sys/fs/cgroup/cpu.max": garbage})
    assert usable_cores(root).usable == 8


def test_this_machine_has_an_answer() -> None:
    found = usable_cores()
    assert 1 <= found.usable <= found.affinity <= found.logical
