"""The face of a pool that a workload sees: ``map``, ``imap``, ``executor`` and ``native``."""

from __future__ import annotations

from ..envelope import shipped
from ._options import MapOptions, seconds
from ._pool import WorkPool

__all__ = ["MapOptions", "WorkPool", "seconds", "shipped"]
