"""Processes of ours: how they start, which are ours, how they are fed, and how they end."""

from __future__ import annotations

from .crew import Crew, Feed, OutOfTime
from .reaping import Started, adopting, bounded, descendants, end, fate, hidden_main, lost, quiet_fork
from .worker import Job

__all__ = [
    "Crew",
    "Feed",
    "Job",
    "OutOfTime",
    "Started",
    "adopting",
    "bounded",
    "descendants",
    "end",
    "fate",
    "hidden_main",
    "lost",
    "quiet_fork",
]
