"""Processes of ours: how they start, which are ours, how they are fed, and how they end."""

from __future__ import annotations

from .crew import Crew, Feed, OutOfTime
from .reaping import (
    Aside,
    Started,
    adopting,
    bounded,
    descendants,
    end,
    end_of,
    fate,
    hidden_main,
    kill_group,
    lost,
    quiet_fork,
    runs,
)
from .waiting import SLICE_SECONDS, in_slices
from .worker import Job

__all__ = [
    "SLICE_SECONDS",
    "Aside",
    "Crew",
    "Feed",
    "Job",
    "OutOfTime",
    "Started",
    "adopting",
    "bounded",
    "descendants",
    "end",
    "end_of",
    "fate",
    "hidden_main",
    "in_slices",
    "kill_group",
    "lost",
    "quiet_fork",
    "runs",
]
