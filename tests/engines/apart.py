"""Clusters that are started apart from ours, by an engine's own commands, as users do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["dask_apart"]

_CHECKOUT = Path(__file__).parents[2]
_SECONDS = 60


@contextlib.contextmanager
def dask_apart(folder: Path, workers: int) -> Iterator[str]:
    """The address of a Dask scheduler with so many workers of one thread; their files stand in the folder."""
    file = folder / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        _begun(stack, ["dask_scheduler", *common, "--port", "0", "--scheduler-file", str(file)], folder)
        limit = time.monotonic() + _SECONDS
        while not (file.exists() and '"address"' in file.read_text()) and time.monotonic() < limit:
            time.sleep(0.05)
        address = file.read_text().split('"address": "')[1].split('"')[0]
        for _ in range(workers):
            _begun(stack, ["dask_worker", address, *common, "--no-nanny", "--nthreads", "1"], folder)
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=_SECONDS)
        yield address


def _begun(stack: contextlib.ExitStack, command: list[str], folder: Path) -> None:
    module, *arguments = command
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.enter_context(process)
    stack.callback(process.kill)
