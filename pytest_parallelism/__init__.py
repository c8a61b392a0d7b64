"""Does this workload get faster in parallel, with what, how many workers, and does it stay that way?

The pytest plugin lives in `pytest_parallelism.plugin`; these are the names for programs and for
strategies of your own. Each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conformance import StrategyConformance
    from .errors import ParallelismError, ParallelismWarning
    from .maps import parallel_map, threaded_map
    from .measurement import Measurement, Verdict
    from .measuring import Measured, measure
    from .strategy import Counts, Isolation, Pool, Strategy, StrategyOptions

__version__ = "0.1.0"

__all__ = [
    "Counts",
    "Isolation",
    "Measured",
    "Measurement",
    "ParallelismError",
    "ParallelismWarning",
    "Pool",
    "Strategy",
    "StrategyConformance",
    "StrategyOptions",
    "Verdict",
    "__version__",
    "measure",
    "parallel_map",
    "threaded_map",
]

_HOMES = {
    "Counts": "strategy",
    "Isolation": "strategy",
    "Measured": "measuring",
    "Measurement": "measurement",
    "ParallelismError": "errors",
    "ParallelismWarning": "errors",
    "Pool": "strategy",
    "Strategy": "strategy",
    "StrategyConformance": "conformance",
    "StrategyOptions": "strategy",
    "Verdict": "measurement",
    "measure": "measuring",
    "parallel_map": "maps",
    "threaded_map": "maps",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
