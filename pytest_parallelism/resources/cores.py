"""Usable cores: the smaller of the CPU affinity and the cgroup quota, not ``os.cpu_count()``."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Cores", "usable_cores"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cores:
    """How many cores this process may use, and why.

    ``usable``: the answer, at least 1. ``affinity``: cores that the scheduler may put it on. ``quota``:
    CPU seconds a second that its cgroups allow, None without a limit. ``logical``: cores of the machine.
    """

    usable: int
    affinity: int
    quota: float | None
    logical: int


def usable_cores(root: Path = Path("/")) -> Cores:
    """Cores that this process can really use: ``min(affinity, floor(quota))``, at least 1.

    The quota is the smallest of the process's cgroup and all its ancestors, v1 (``cpu.cfs_quota_us``)
    and v2 (``cpu.max``), as the kernel enforces every one of them. What cannot be read sets no limit.
    ``root`` is where ``/proc`` and the cgroup mounts are looked up. Sources: cgroups(7), proc(5), the
    kernel's admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst.
    """
    logical = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    quota = min((q for folder in _cgroup_folders(root) for q in _quotas(folder)), default=None)
    usable = affinity if quota is None else max(1, min(affinity, math.floor(quota)))
    return Cores(usable=usable, affinity=affinity, quota=quota, logical=logical)


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Every folder, from this process's cgroup up to the mount, that may hold a CPU quota."""
    paths = dict(_cgroup_paths(_text(root / "proc/self/cgroup")))
    for version, mount_root, mount_point in _cgroup_mounts(_text(root / "proc/self/mountinfo")):
        if version in paths:
            top = root / mount_point.lstrip("/")
            inside = _below(paths[version], mount_root)
            yield from (top / part for part in (inside, *inside.parents))


def _cgroup_paths(text: str) -> Iterator[tuple[str, str]]:
    """Version and path of this process's cgroups with CPU quotas, from ``/proc/self/cgroup``."""
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            yield "v2", path
        elif "cpu" in controllers.split(","):
            yield "v1", path


def _cgroup_mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Version, root and mount point of the cgroup mounts, from ``/proc/self/mountinfo``."""
    for line in text.splitlines():
        mount, _, system = line.partition(" - ")
        where, kind = mount.split(" "), system.split(" ")
        if len(where) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield "v2", _unescaped(where[3]), _unescaped(where[4])
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            yield "v1", _unescaped(where[3]), _unescaped(where[4])


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)


def _below(path: str, mount_root: str) -> PurePosixPath:
    """The cgroup's folder relative to its mount; the mount itself where the cgroup is not below it.

    Containers often see a path of the host with only their own folder mounted.
    """
    try:
        inside = PurePosixPath(path).relative_to(mount_root)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in inside.parts else inside


def _quotas(folder: Path) -> Iterator[float]:
    limit_v2 = _text(folder / "cpu.max").split()
    limit_v1 = [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
    for limit in (limit_v2, limit_v1):
        # "max" (v2) and -1 (v1) mean no limit.
        if len(limit) == 2 and all(number.isdecimal() for number in limit):
            quota, period = map(int, limit)
            if quota > 0 and period > 0:
                yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
