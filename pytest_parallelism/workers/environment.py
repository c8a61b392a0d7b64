"""Variables of this process that are others for a while."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["restored", "variables"]


@contextmanager
def restored(names: Iterable[str]) -> Iterator[None]:
    """Afterwards these variables are as before."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Meanwhile these have these values."""
    with restored(values):
        os.environ.update(values)
        yield
