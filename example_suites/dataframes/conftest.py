"""What the tests of tables work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .orders import Orders

# Half a second of pandas: engines that spread tables over a cluster have little to win below.
ROWS = 800_000
PARTS = 8


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Orders:
    """Orders and prices, as files."""
    from .orders import generated

    return generated(tmp_path_factory.mktemp("orders"), ROWS, PARTS)
