"""How sentences say numbers."""

from __future__ import annotations

import math

__all__ = ["counted", "number", "seconds"]


def counted(count: int, plural: str) -> str:
    singular = plural.removesuffix("es") if plural.endswith("sses") else plural.removesuffix("s")
    return f"{count} {singular if count == 1 else plural}"


def number(value: float) -> str:
    """Two decimals, half up: 1.50 less 5 % is 1.43, though the float product is 1.42499…; small ones more."""
    return f"{value * (1 + 1e-12):.2f}" if value >= 0.1 else f"{value:.2g}"


def seconds(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds > 1 else "1 s"
