"""Open, warm, run paired rounds, close: all under clocks, nothing judged.

The procedure, measured to be the one that noise spoils least: a sequential round and the parallel rounds
beside it form a pair, in alternating order, and only their ratio counts. Between the two clock readings of a
round stands nothing but the user's workload.
"""

from __future__ import annotations

from ._plan import Plan
from ._point import check, measure

__all__ = ["Plan", "check", "measure"]
