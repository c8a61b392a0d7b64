"""Hooks of ours that a conftest.py or another plugin may implement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from ..strategy import Strategy

__all__ = ["pytest_parallelism_strategies"]


def pytest_parallelism_strategies(config: pytest.Config) -> Iterable[Strategy]:  # type: ignore[empty-body]  # a hook specification has no body
    """More strategies for this session. A name that is taken is an error.

    Only conftest files that pytest loads at its start (beside the rootdir and the command line's
    arguments) are asked.
    """
