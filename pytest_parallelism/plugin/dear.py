"""Points on clusters: ordered so that each cluster is started once, which is kept from one to the next."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from .. import clusters

if TYPE_CHECKING:
    from .session import State

__all__ = ["keep", "order", "release"]

_KEEPS: pytest.StashKey[bool] = pytest.StashKey()


def order(state: State, items: list[pytest.Item]) -> None:
    """Moves dear points behind the last of all points, those of one strategy and worker count together.

    Whatever else there is stays in its order, and so do points of one cluster. With ``--stepwise`` all does:
    what it leaves out next time is what stood before the test that failed, by the order that it has seen.
    """
    if state.config.getoption("stepwise", False):
        return
    by_cluster: dict[tuple[str, int], list[pytest.Item]] = {}
    end = 0
    for index, item in enumerate(items, 1):
        point = state.point_of(item)
        if point is not None:
            end = index
            if point.strategy.dear and item.get_closest_marker("skip") is None:
                by_cluster.setdefault((point.strategy.name, point.workers), []).append(item)
    moved = set(chain.from_iterable(by_cluster.values()))
    stay = [item for item in items[:end] if item not in moved]
    items[:end] = [*stay, *chain.from_iterable(by_cluster.values())]


def keep(config: pytest.Config) -> None:
    """From now to the end of the session, however that ends, a cluster stays for the next points."""
    if _KEEPS not in config.stash:
        config.stash[_KEEPS] = True
        stack = ExitStack()
        config.add_cleanup(stack.close)
        stack.enter_context(clusters.keeping())


def release(state: State, nextitem: pytest.Item | None) -> None:
    """Ends the cluster that was kept, unless the next test is for one: nothing shall run beside it."""
    point = state.point_of(nextitem) if nextitem is not None else None
    if _KEEPS in state.config.stash and not (point is not None and point.strategy.dear):
        clusters.end_kept()
