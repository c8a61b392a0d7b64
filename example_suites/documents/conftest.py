"""What the document tests work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .corpus import Corpus
from .server import Served, serving

LATENCY_SECONDS = 0.010
# Sequential rounds of about a quarter of a second: long beside what dispatching costs, short enough for
# tens of them in the ten seconds that a point may take.
ROUND_BYTES = 450_000
ROUND_FETCHES = 20
ROUND_MIXED = 12


@pytest.fixture
def size_class() -> str | None:
    """None: documents of all sizes. Parametrize it to choose one of `SIZE_CLASSES`."""
    return None


@pytest.fixture
def chosen(corpus: Corpus, size_class: str | None) -> Corpus:
    """The documents of that size class."""
    return corpus.size_class(size_class) if size_class else corpus


@pytest.fixture
def bodies(chosen: Corpus) -> list[bytes]:
    """Documents in memory, for CPU-bound work."""
    return [file.read_bytes() for file in chosen.about(ROUND_BYTES)]


@pytest.fixture
def to_fetch(chosen: Corpus, serve: Callable[[list[Path]], Served]) -> Served:
    """Documents to fetch, for I/O-bound work."""
    return serve(chosen.sample(ROUND_FETCHES))


@pytest.fixture
def to_digest(corpus: Corpus, size_class: str | None, serve: Callable[[list[Path]], Served]) -> Served:
    """Documents to fetch and digest, for mixed work: about as long to wait for as to work on."""
    return serve(corpus.size_class(size_class or "medium").sample(ROUND_MIXED))


@pytest.fixture
def complexity(pytestconfig: pytest.Config) -> int:
    """How much CPU work a document takes."""
    return int(pytestconfig.getoption("--complexity"))


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[list[Path]], Served]]:
    """Serve some files until the session ends; the same files are served once."""
    served: dict[tuple[Path, ...], Served] = {}
    with ExitStack() as stack:

        def start(files: list[Path]) -> Served:
            key = tuple(files)
            if key not in served:
                served[key] = stack.enter_context(serving(files, LATENCY_SECONDS))
            return served[key]

        yield start
