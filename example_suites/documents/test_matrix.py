"""``--full``: three workloads x three size classes x every local strategy x four worker counts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .corpus import SIZE_CLASSES
from .server import Served
from .workloads import digest, fetch, fetch_and_digest, fetch_and_digest_async, fetch_async

pytestmark = [
    pytest.mark.parametrize("size_class", SIZE_CLASSES),
    pytest.mark.parallel_strategies("local", workers=[1, 2, 4, 8]),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_digest(parallel: Any, bodies: list[bytes], complexity: int) -> None:
    """CPU-bound; asyncio is left out, for it has nothing to wait for."""
    digests = parallel.map(partial(digest, complexity=complexity), bodies, chunk_size=1, size=len)
    assert len(digests) == len(bodies)


def test_fetch(parallel: Any, to_fetch: Served) -> None:
    """I/O-bound."""
    fetched = parallel.map(fetch, to_fetch.urls, async_fn=fetch_async, chunk_size=1, size=to_fetch.size)
    assert fetched == to_fetch.bodies


def test_fetch_and_digest(parallel: Any, to_digest: Served, complexity: int) -> None:
    """Mixed."""
    work = partial(fetch_and_digest, complexity=complexity)
    work_async = partial(fetch_and_digest_async, complexity=complexity)
    digests = parallel.map(work, to_digest.urls, async_fn=work_async, chunk_size=1, size=to_digest.size)
    assert len(digests) == len(to_digest.urls)
