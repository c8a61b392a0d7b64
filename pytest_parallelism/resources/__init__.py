"""What the machine offers, what rounds cost on it, and under which conditions they run.

Everything is read before and after a round, never beside it: sampling ``psutil`` every 10 ms took 13 %
of a core in our measurements. psutil, threadpoolctl and the platform's own modules are imported where
they are used, so that a pytest run that measures nothing loads none of them.
"""

from __future__ import annotations

from .conditions import default_start_method, disturbing, environment, tracing
from .cores import Cores, usable_cores
from .footprint import descendants, helpers, memory, reset_peak, thread_count
from .gil import GilProbe, gil_enabled
from .load import LoadMeter
from .meter import Meter, Snapshot
from .reference import Reference

__all__ = [
    "Cores",
    "GilProbe",
    "LoadMeter",
    "Meter",
    "Reference",
    "Snapshot",
    "default_start_method",
    "descendants",
    "disturbing",
    "environment",
    "gil_enabled",
    "helpers",
    "memory",
    "reset_peak",
    "thread_count",
    "tracing",
    "usable_cores",
]
