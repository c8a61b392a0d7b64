"""Spark: chunks as partitions of an RDD, in the Python workers of its executors."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES"]

_JAVA = 17
"""The oldest that Spark 4 runs on."""


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from ._chunks import extras
    from ._executors import opened
    from ._spark_cluster import SparkPool

    extras(options, "spark")
    return opened(SparkPool(workers, options))


def _without_java(_workers: int) -> str | None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    wanted = f"install Java {_JAVA} or later (a JRE is enough), on PATH or where JAVA_HOME says"
    if java is None:
        return f"spark needs Java, and none is {'in JAVA_HOME' if home else 'on PATH'}: {wanted}"
    version = _version(Path(java))
    return f"spark needs Java {_JAVA}, and finds {version}: {wanted}" if 0 < version < _JAVA else None


def _version(java: Path) -> int:
    """Of a Java, by the file that stands beside each; 0 where there is none."""
    release = java.resolve().parents[1] / "release"
    try:
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


STRATEGIES = (
    Strategy(
        name="spark",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="spark://host:7077",
        requires=("pyspark",),
        install="pytest-parallelism[spark]",
        distribution="pyspark",
        noun="processes",
        available=_without_java,
    ),
)
