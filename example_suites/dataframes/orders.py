"""Orders of a year as CSV files, and the price lists of its quarters: made up, the same in every run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["COUNTRIES", "QUARTERS", "Orders", "generated"]

QUARTERS = ("2025Q1", "2025Q2", "2025Q3", "2025Q4")
COUNTRIES = ("AR", "BR", "DE", "ES", "FR", "GB", "IN", "JP", "KE", "NG", "US", "ZA")
CATEGORIES = ("books", "clothes", "food", "garden", "music", "sports", "tools", "toys")
PRODUCTS = 2_000


@dataclass(frozen=True)
class Orders:
    """Where they lie."""

    parts: list[str]
    """Files with columns order, quarter, country, product and quantity; each has orders of all quarters."""
    prices: str
    """A file with columns quarter, product, category and cents."""

    @property
    def size(self) -> int:
        """Bytes together."""
        return sum(Path(file).stat().st_size for file in (*self.parts, self.prices))


def generated(folder: Path, rows: int, parts: int) -> Orders:
    """``rows`` orders in ``parts`` files in this folder."""
    random = np.random.default_rng(2025)
    prices = folder / "prices.csv"
    products = np.arange(PRODUCTS)
    pd.DataFrame(
        {
            "quarter": np.repeat(QUARTERS, PRODUCTS),
            "product": np.tile(products, len(QUARTERS)),
            "category": np.tile(np.take(CATEGORIES, products % len(CATEGORIES)), len(QUARTERS)),
            "cents": random.integers(99, 50_000, PRODUCTS * len(QUARTERS)),
        }
    ).to_csv(prices, index=False)
    files = []
    for numbers in np.array_split(np.arange(rows), parts):
        count = len(numbers)
        orders = pd.DataFrame(
            {
                "order": numbers,
                "quarter": np.take(QUARTERS, random.integers(0, len(QUARTERS), count)),
                "country": np.take(COUNTRIES, random.integers(0, len(COUNTRIES), count)),
                # A few products are ordered often, most of them seldom.
                "product": (PRODUCTS * random.power(0.3, count)).astype(int),
                "quantity": random.integers(1, 20, count),
            }
        )
        files.append(folder / f"orders-{len(files):02}.csv")
        orders.to_csv(files[-1], index=False)
    return Orders([str(file) for file in files], str(prices))
