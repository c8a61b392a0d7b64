"""Which strategy, and how many workers, for documents? CPU-bound, I/O-bound and mixed work."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .server import Served
from .workloads import digest, fetch, fetch_and_digest, fetch_async

# Documents are parsed as Python, and what Python thinks of their style is nobody's business here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parallel_strategies("threads", "processes", "joblib-loky", workers=[1, 2, 4, 8])
@pytest.mark.parallel_strategies(
    "processes", workers=[2], min_speedup={2: 1.2}
)  # any two free cores reach it
def test_digest(parallel: Any, bodies: list[bytes], complexity: int) -> None:
    """CPU-bound."""
    digests = parallel.map(partial(digest, complexity=complexity), bodies, chunk_size=1, size=len)
    assert len(digests) == len(bodies)


@pytest.mark.parallel_strategies("threads", "asyncio", workers="io")
def test_fetch(parallel: Any, to_fetch: Served) -> None:
    """I/O-bound: asyncio runs the async function, threads and the sequential baseline the blocking one."""
    fetched = parallel.map(fetch, to_fetch.urls, async_fn=fetch_async, chunk_size=1, size=to_fetch.size)
    assert fetched == to_fetch.bodies


@pytest.mark.parallel_strategies("threads", "processes", workers=[1, 2, 4, 8])
def test_fetch_and_digest(parallel: Any, to_digest: Served, complexity: int) -> None:
    """Mixed."""
    work = partial(fetch_and_digest, complexity=complexity)
    digests = parallel.map(work, to_digest.urls, chunk_size=1, size=to_digest.size)
    assert len(digests) == len(to_digest.urls)
