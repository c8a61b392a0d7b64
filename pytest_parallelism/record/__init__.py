"""A measurement as it stands in pytest-benchmark's JSON, in ``extra_info["parallelism"]``, versioned.

Times are seconds and sizes bytes. Numbers are finite and scalars are Python's own types: NaN breaks strict
JSON parsers, and execnet (which carries entries from xdist workers) refuses subclasses such as numpy's.
"""

from __future__ import annotations

from ._making import CONDITIONS, make
from ._shapes import (
    SCHEMA,
    Contention,
    Cpu,
    Entry,
    Io,
    Record,
    Shipped,
    Status,
    Switches,
    Throughput,
    from_json,
    speedup_of,
    to_json,
)

__all__ = [
    "CONDITIONS",
    "SCHEMA",
    "Contention",
    "Cpu",
    "Entry",
    "Io",
    "Record",
    "Shipped",
    "Status",
    "Switches",
    "Throughput",
    "from_json",
    "make",
    "speedup_of",
    "to_json",
]
