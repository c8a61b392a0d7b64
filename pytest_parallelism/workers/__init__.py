"""Processes of ours: how they start, which are ours, how they are fed, and how they end."""

from __future__ import annotations

from .reaping import Started, bounded, descendants, end, fate, hidden_main, lost, quiet_fork

__all__ = [
    "Started",
    "bounded",
    "descendants",
    "end",
    "fate",
    "hidden_main",
    "lost",
    "quiet_fork",
]
