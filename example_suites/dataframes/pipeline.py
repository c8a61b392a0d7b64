"""What each country earned with each category in each quarter, at the prices of that quarter.

Plain functions that know nothing of pytest or of parallelism, as yours would be. Amounts are whole cents, so
that sums do not depend on the order in which they are made.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from .orders import QUARTERS

__all__ = ["earnings", "earnings_of_part", "plain", "together"]

KEYS = ["quarter", "country", "category"]
FIGURES = ["orders", "quantity", "cents"]


def earnings(frames: Any, parts: list[str], prices: str) -> Any:
    """The pipeline, in whatever has the interface of pandas: ``frames`` is such a module.

    Of a module whose frames are lazy, what is returned is lazy too.
    """
    orders = frames.concat([frames.read_csv(part) for part in parts])
    priced = frames.read_csv(prices)
    chunks = []
    for quarter in QUARTERS:
        chunk = orders[orders["quarter"] == quarter]
        joined = chunk.merge(priced[priced["quarter"] == quarter], on=["quarter", "product"])
        joined = joined.assign(orders=1, cents=joined["cents"] * joined["quantity"])
        chunks.append(joined.groupby(KEYS)[FIGURES].sum().reset_index())
    return frames.concat(chunks)


def earnings_of_part(part: str, prices: str) -> pd.DataFrame:
    """The pipeline on one of the files: a task of a map."""
    return earnings(pd, [part], prices)


def together(earned: list[pd.DataFrame]) -> pd.DataFrame:
    """The earnings of all files from those of each."""
    return pd.concat(earned).groupby(KEYS)[FIGURES].sum().reset_index()


def plain(frame: Any) -> pd.DataFrame:
    """As a frame of pandas, whatever it was: in the order of its keys, its columns of the types of pandas.

    Here it is that a lazy frame is computed.
    """
    for name in ("compute", "to_pandas", "_to_pandas"):  # of Dask, of Spark, of Modin
        if hasattr(frame, name):
            frame = getattr(frame, name)()
            break
    types = {**dict.fromkeys(KEYS, object), **dict.fromkeys(FIGURES, "int64")}
    table: pd.DataFrame = frame[KEYS + FIGURES].astype(types)
    return table.sort_values(KEYS, ignore_index=True)
