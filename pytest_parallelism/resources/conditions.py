"""The conditions that a measurement ran under, for the record."""

from __future__ import annotations

import glob
import platform
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .cores import Cores
from .gil import gil_enabled

__all__ = ["default_start_method", "disturbing", "environment", "tracing"]

Scalar = str | int | float | bool | None


def default_start_method() -> str:
    """The one that processes are started by where none is asked for."""
    from multiprocessing import get_all_start_methods, get_start_method

    # Without allow_none it would fix the default for the user's whole process.
    return get_start_method(allow_none=True) or get_all_start_methods()[0]


def environment(cores: Cores) -> Mapping[str, Scalar]:
    """Plain facts of interpreter and machine that speedups depend on.

    ``blas_threads`` is the limit in force in this process, None where no BLAS is loaded; ``gil`` is
    whether the GIL is on now; ``cores`` are the machine's logical cores and ``quota`` the cgroup's.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": gil_enabled(),
        "platform": platform.platform(),
        "cpu_model": _cpu_model(),
        "cores": cores.logical,
        "usable_cores": cores.usable,
        "quota": cores.quota,
        "blas_threads": _blas_threads(),
    }


def tracing() -> str | None:
    """What traces or profiles Python code in this process now, None when nothing does.

    Looks at trace and profile functions of this thread and of threads to come, and at the tools of
    ``sys.monitoring`` (Python 3.12+; coverage's sysmon core, cProfile, debuggers). Traced threads made a
    speedup of 1.0 read 0.07 in our measurements, so nothing is judged while this is not None.
    """
    hooks = {
        "sys.settrace": sys.gettrace(),
        "threading.settrace": threading.gettrace(),
        "sys.setprofile": sys.getprofile(),
        "threading.setprofile": threading.getprofile(),
    }
    found = [f"{_described(hook)} ({how})" for how, hook in hooks.items() if hook is not None]
    found += [f"{tool} (sys.monitoring)" for tool in _monitoring_tools()]
    return ", ".join(found) or None


def disturbing(governors: str = "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor") -> list[str]:
    """What is likely to disturb measurements here, a sentence each.

    Code that is traced now, and a processor whose frequency governor saves power (Linux tells by
    ``governors``, the kernel's Documentation/admin-guide/pm/cpufreq.rst; virtual machines have none).
    """
    found = []
    if (traced := tracing()) is not None:
        found.append(f"{traced} traces the code: the figures are its own too, and no gate is judged")
    chosen = {_said(Path(path)) for path in glob.glob(governors)}  # noqa: PTH207  # Path.glob takes no absolute pattern
    if "powersave" in chosen and not _drives_itself():
        found.append(
            "the processor saves power (cpufreq governor powersave), which makes rounds slow and uneven: "
            "choose performance"
        )
    return found


def _drives_itself() -> bool:
    """Whether the driver is one whose powersave follows the load (intel_pstate and amd_pstate, active)."""
    states = ("/sys/devices/system/cpu/intel_pstate/status", "/sys/devices/system/cpu/amd_pstate/status")
    return any(_said(Path(path)) == "active" for path in states)


def _said(path: Path) -> str:
    """Nothing where the file cannot be read: those of processors that are switched off cannot."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _described(hook: object) -> str:
    """Where a hook comes from: ``coverage.tracer.CTracer``, ``pdb.Pdb.trace_dispatch``."""
    named = hook if hasattr(hook, "__qualname__") else type(hook)
    owner = getattr(hook, "__self__", None)
    module = getattr(named, "__module__", None) or type(owner).__module__
    return f"{module}.{getattr(named, '__qualname__', named)}"


def _monitoring_tools() -> list[str]:
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12+
    # PEP 669 gives tools the ids 0 to 5; 6 and 7 are the interpreter's own.
    return [tool for tool in map(monitoring.get_tool, range(6)) if tool] if monitoring else []


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _blas_threads() -> int | None:
    from threadpoolctl import threadpool_info

    return max((lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"), default=None)
