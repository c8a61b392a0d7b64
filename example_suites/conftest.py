"""Options of the example suites, and the corpus that they choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from example_suites.documents.corpus import Corpus, CorpusError, folder, standard_library

CHOSEN = pytest.StashKey[Corpus]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("example suites")
    group.addoption("--corpus", metavar="DIR", type=Path, help="measure on the text files in this folder")
    group.addoption(
        "--complexity", metavar="N", type=int, default=1, help="CPU work per document (default 1)"
    )
    group.addoption(
        "--full",
        action="store_true",
        help="3 workloads x 3 size classes x every local strategy x 1, 2, 4, 8 workers: over an hour",
    )


def pytest_configure(config: pytest.Config) -> None:
    if (complexity := config.getoption("--complexity")) < 1:
        raise pytest.UsageError(f"--complexity: {complexity} is too small; give 1 or more.")
    if (chosen := config.getoption("--corpus")) is not None:
        try:
            config.stash[CHOSEN] = folder(chosen)
        except CorpusError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The full matrix takes the place of the default tests."""
    unwanted = "test_documents.py" if config.getoption("--full") else "test_matrix.py"
    return True if collection_path.name == unwanted else None


@pytest.fixture(scope="session")
def corpus(pytestconfig: pytest.Config) -> Corpus:
    """The documents of ``--corpus``, or the standard library's sources."""
    return pytestconfig.stash.get(CHOSEN, None) or standard_library()
