"""How items are divided among workers: into chunks that are sent as workers come free, or into parts."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

__all__ = ["CHUNKS_PER_WORKER", "auto_chunk", "balanced"]

CHUNKS_PER_WORKER = range(8, 3, -1)
"""Few enough that sending (about 0.1 ms a chunk by our measurement) costs little, and enough for balance."""


def auto_chunk(items: int, workers: int) -> int:
    """Items per chunk, such that each worker gets 4 to 8 chunks (one item each where items are few).

    Among these counts, the one after which items of equal cost end first; the smaller chunk of equals,
    because real items differ.
    """
    sizes = [max(1, math.ceil(items / (workers * count))) for count in CHUNKS_PER_WORKER]
    return min(sizes, key=lambda size: size * math.ceil(math.ceil(items / size) / workers))


def balanced(costs: Sequence[float], parts: int) -> list[list[int]]:
    """Indices of the items in each of at most ``parts`` parts, none of them empty; the dearest come first.

    Longest processing time first: each item, dearest first, goes to the part that is cheapest so far. The
    dearest part then costs at most 4/3 - 1/(3 parts) times as much as under the best division (R. L. Graham,
    "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17 (1969) 416-429). Equal costs go
    round: 0 to the first part, 1 to the second.
    """
    if not costs or min(costs) == max(costs):
        parts = min(parts, len(costs))
        return [list(range(part, len(costs), parts)) for part in range(parts)]
    divided: list[list[int]] = [[] for _ in range(min(parts, len(costs)))]
    loads = [(0.0, 0, part) for part in range(len(divided))]  # its cost, its items, and which it is
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        load, count, part = heapq.heappop(loads)
        divided[part].append(index)
        heapq.heappush(loads, (load + costs[index], count + 1, part))
    return [part for part in divided if part]
