import ast
import sysconfig
from pathlib import Path

import pytest


def count_names(file):
    """Pure Python work on one real file, as linters do it."""
    tree = ast.parse(file.read_bytes())
    return sum(isinstance(node, ast.Name) for node in ast.walk(tree))


@pytest.fixture
def sources():
    return sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:48]


@pytest.mark.parallel_strategies("threads", "processes", workers=2)
def test_count_names(parallel, sources):
    counts = parallel.map(count_names, sources)  # measured
    assert len(counts) == len(sources)  # an ordinary assertion on the real result
