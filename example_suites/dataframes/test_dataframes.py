"""One pipeline in pandas, and in what promises to be a parallel pandas: Modin, Dask and Spark.

Each is what ``pool.native`` gives, and is measured against pandas itself. On every other strategy, pandas
runs in the workers: a map over the files.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

pd = pytest.importorskip("pandas")

from .pipeline import earnings, earnings_of_part, plain, together  # noqa: E402  # it needs pandas

if TYPE_CHECKING:
    from .orders import Orders

# What these libraries think of their own defaults, and of pandas', is nobody's business here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parallel_strategies("processes", "dask", "spark", "modin-ray", "modin-dask", workers=[1, 2])
def test_earnings(parallel: Any, orders: Orders) -> None:
    """The sequential baseline is pandas."""
    table = parallel.measure(partial(pipeline, orders), size=orders.size)
    assert table["orders"].sum() == 800_000


def pipeline(orders: Orders, pool: Any) -> Any:
    frames, current = parallel_pandas(pool)
    if frames is None and pool.strategy != "sequential":
        earned = pool.map(partial(earnings_of_part, prices=orders.prices), orders.parts, chunk_size=1)
        return plain(together(earned))
    with current:
        return plain(earnings(frames or pd, orders.parts, orders.prices))


def parallel_pandas(pool: Any) -> tuple[Any, AbstractContextManager[Any]]:
    """What has the interface of pandas on this pool, if anything has, and the context in which it works."""
    if pool.strategy == "dask":
        return pytest.importorskip("dask.dataframe"), pool.native.as_current()
    if pool.strategy == "spark":
        return pytest.importorskip("pyspark.pandas"), nullcontext(pool.native)
    return (pool.native if pool.strategy.startswith("modin-") else None), nullcontext()
