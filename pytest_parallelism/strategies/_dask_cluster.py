"""Dask clusters: one started here, on the loopback interface, or the user's own."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from ..errors import PoolError, WorkersMissing
from ..strategy import StrategyOptions
from ..workers.site import Site
from . import _dask_address
from ._dask_client import Chunk, Courier
from ._dask_host import START
from ._engine import Answer, EngineCluster, Payload
from ._silence import silenced

__all__ = ["DaskCluster", "start_dask"]

_REACH_SECONDS = 4.0
_CLOSE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_LOG = "log"


class DaskCluster(EngineCluster):
    """Workers of a Dask scheduler, and a client of it.

    ``addresses``: of the workers that may run chunks. ``workers``: chunks that these run at once. ``stack``:
    what ends the client, and the cluster where we have started it.
    """

    name = "Dask"

    def __init__(
        self,
        client: Any,
        workers: int,
        addresses: Sequence[str],
        stack: contextlib.ExitStack,
        *,
        ours: bool = False,
        info: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(workers)
        self.ours = ours
        self._client = client
        self._stack = stack
        self._info = info or {}
        self._courier = Courier(client, addresses, direct=ours)

    @classmethod
    def embedded(cls, workers: int, *, timeout: float = 60.0) -> DaskCluster:
        """A cluster of that many processes on this machine, which are there within ``timeout`` seconds."""
        from distributed import Security

        with contextlib.ExitStack() as stack:
            stack.enter_context(_quiet("distributed"))
            site = Site()
            with contextlib.ExitStack() as ending:
                ending.callback(site.end)
                process = _begun(site, workers)
                stack.enter_context(process)  # left after the end, since it waits for it
                stack.push(ending.pop_all())
            address = _address(process, timeout, site)
            # Here nothing is encrypted, whatever Dask's configuration asks of the user's own cluster.
            client = _client(address, timeout, stack, security=Security(require_encryption=False))
            addresses = _addresses(client)
            return cls(client, workers, list(addresses), stack.pop_all(), ours=True)

    def prepare(self, function: bytes) -> Any:
        """See `EngineCluster`."""
        return self._courier.put(function)

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`."""
        return self._courier.submit(Chunk(prepare, start, *payload), function)

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        if isinstance(exc, BrokenExecutor):
            return str(exc)
        return None if self._alive() else "Dask lost its scheduler"

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """See `EngineCluster`; a task that runs cannot be ended there."""
        for future in futures:
            future.cancel()
        return False

    def usable(self) -> bool:
        """See `clusters.Cluster`."""
        return self._alive() and (not self.ours or self._courier.idle())

    def close(self) -> None:
        """See `EngineCluster`."""
        self._courier.close()
        self._stack.close()

    @property
    def native(self) -> Any:
        """See `HasNative`: a ``distributed.Client``, which is not Dask's default one."""
        return self._client

    def info(self) -> Mapping[str, str | int | float | bool | None]:
        """See `EngineCluster`."""
        return self._info

    def _alive(self) -> bool:
        return bool(self._client.status == "running")


def start_dask(workers: int, options: StrategyOptions) -> DaskCluster:
    """A Dask cluster of that many workers on this machine, or workers of the user's own.

    Raises `UsageError` for a wrong address, and `WorkersMissing` where a cluster has no workers in time.
    """
    address, seconds = options.address, options.start_timeout
    if address is None:
        return DaskCluster.embedded(workers, timeout=seconds)
    import distributed  # noqa: F401  # it sets the levels of its loggers, which are then changed

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet("distributed"))
        maker = _dask_address.maker(address)
        where: Any
        if maker is None:
            where, wanted = _dask_address.scheduler(address), 1
        else:
            where, wanted = maker.made(workers), workers
            stack.callback(where.close)
        client = _client(where, _REACH_SECONDS if maker is None else seconds, stack)
        chosen = _chosen(_waited(client, wanted, seconds), workers)
        info = {"dask_cluster": str(maker)} if maker is not None else {}
        return DaskCluster(client, sum(chosen.values()), list(chosen), stack.pop_all(), info=info)


def _client(where: Any, seconds: float, stack: contextlib.ExitStack, **more: Any) -> Any:
    """A client, closed with the stack."""
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with _quiet("asyncio"), warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # Python's version is asked by the pool
        client = Client(where, set_as_default=False, timeout=seconds, **more)
    stack.callback(_close, client)
    return client


def _close(client: Any) -> None:
    with contextlib.suppress(TimeoutError, OSError):  # its scheduler may be gone
        client.close(timeout=_CLOSE_SECONDS)


def _addresses(client: Any) -> dict[str, int]:
    """Addresses of the workers, and how many tasks each runs at once."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: int(one["nthreads"]) for address, one in workers.items()}


def _waited(client: Any, wanted: int, seconds: float) -> dict[str, int]:
    """`_addresses`, as soon as they run so many tasks at once, else those that are there in time."""
    limit = time.monotonic() + seconds
    while sum((found := dict(client.nthreads())).values()) < wanted:
        if time.monotonic() > limit:
            break
        time.sleep(_POLL_SECONDS)
    if not found:
        raise WorkersMissing(f"the Dask cluster had no worker within {seconds:g} s")
    return found


def _chosen(found: Mapping[str, int], workers: int) -> dict[str, int]:
    """Of all workers those that run so many tasks at once, more where their threads do not add up to it."""
    chosen: dict[str, int] = {}
    by_threads = sorted(found, key=lambda address: -found[address])
    for address in by_threads:
        if sum(chosen.values()) + found[address] <= workers:
            chosen[address] = found[address]
    rest = [address for address in by_threads if address not in chosen]
    if rest and sum(chosen.values()) < workers:
        chosen[rest[-1]] = found[rest[-1]]
    return chosen


def _begun(site: Site, workers: int) -> subprocess.Popen[str]:
    """The process of a new cluster."""
    with (site.folder / _LOG).open("wb") as log:
        return subprocess.Popen(  # noqa: S603  # Python itself
            [sys.executable, "-c", START, str(workers), str(site.folder)],
            env={**os.environ, **site.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )


def _address(process: subprocess.Popen[str], seconds: float, site: Site) -> str:
    """The address of its scheduler, once its workers are there."""
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        address = process.stdout.readline().strip()
    finally:
        timer.cancel()
        timer.join()
    if not address:
        said = site.last_line(_LOG)
        raise PoolError(f"Dask did not start within {seconds:g} s: {said or 'it said nothing'}")
    return address


def _quiet(name: str) -> contextlib.AbstractContextManager[None]:
    """`silenced`, for the logger of that name and those under it that have a level of their own."""
    known = logging.Logger.manager.loggerDict
    under = [known[key] for key in tuple(known) if key.startswith(f"{name}.")]
    own = [logger for logger in under if isinstance(logger, logging.Logger) and logger.level]
    return silenced(logging.getLogger(name), *own)
