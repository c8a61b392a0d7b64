"""What tests of clusters share: a fake engine, and a cluster of it that is the user's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def address() -> Iterator[str]:
    """Of a cluster that is not ours."""
    from tests.clusters import fake_engine

    process, port = fake_engine.host(fake_engine.PASSWORD)
    yield f"fake://{fake_engine.USER}:{fake_engine.PASSWORD}@127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
