"""Ray clusters: one started here, on the loopback interface, or the user's own.

Ray is connected to one cluster at a time in a process.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import Any
from urllib.parse import unquote

from ..errors import PoolError, UsageError
from ..workers.environment import variables
from ..workers.site import Site
from ._addresses import located, reached
from ._engine import Answer, EngineCluster, Payload
from ._ray_process import answers, close_logs, connection, loopback, quiet
from ._ray_tasks import Tasks

__all__ = ["RayCluster", "start_ray"]

_IN_HAND = 4
"""Chunks a worker that Ray has at once: with fewer, workers wait for their next (our measurement)."""
_WATCH_SECONDS = 0.25
_ELSEWHERE_SECONDS = 2.0
"""How often a head is asked whether it is there; our own is looked at more often."""
_REACH_SECONDS = 4.0
_CLIENT = "ray"
_CLIENT_PORT, _HEAD_PORT = 10001, 6379
"""Ray's own defaults."""
_LIKE = "ray://head:10001"
Gone = Callable[[], "str | None"]
"""What has been lost of a cluster beside workers, in words."""


class RayCluster(EngineCluster):
    """Ray, to which this process is connected.

    ``gone`` is asked every ``seconds``, since Ray itself notices what was lost after minutes, if at all.
    ``most``: chunks that it gets at once. ``apart``: see `Tasks`. ``stack``: what ends the connection, and
    the cluster where it is ours.
    """

    name = "Ray"

    def __init__(
        self,
        ray: Any,
        workers: int,
        *,
        ours: bool,
        most: int,
        apart: bool,
        gone: Gone,
        seconds: float,
        stack: contextlib.ExitStack,
    ) -> None:
        super().__init__(workers)
        self.ours = ours
        self._ray = ray
        self._stack = stack
        self._tasks = Tasks(ray, most, apart=apart)
        self._over = threading.Event()
        self._watch = threading.Thread(
            target=self._watching, args=(gone, seconds), daemon=True, name="ray-watch"
        )
        self._watch.start()

    def prepare(self, function: bytes) -> Any:
        """See `EngineCluster`."""
        return self._tasks.put(function)

    def submit(self, prepare: bytes, function: Any, payload: Payload, start: int) -> Future[Answer]:
        """See `EngineCluster`."""
        return self._tasks.submit(prepare, function, payload, start)

    def lost(self, exc: BaseException) -> str | None:
        """See `EngineCluster`."""
        ended = isinstance(exc, (BrokenExecutor, self._ray.exceptions.RayError))
        return str(exc).strip().partition("\n")[0] if ended else None

    def stop(self, futures: Sequence[Future[Answer]]) -> bool:
        """See `EngineCluster`; what runs cannot be ended without a risk for this process."""
        for future in futures:
            future.cancel()
        return False

    def usable(self) -> bool:
        """See `EngineCluster`."""
        return self._tasks.failed is None and self._tasks.idle()

    def close(self) -> None:
        """See `EngineCluster`."""
        self._over.set()
        self._watch.join()
        self._tasks.fail(BrokenExecutor("Ray was shut down"))
        self._tasks.close()
        self._stack.close()

    @property
    def native(self) -> Any:
        """The module ``ray``, connected."""
        return self._ray

    def _watching(self, gone: Gone, seconds: float) -> None:
        while not self._over.wait(seconds):
            said = gone()
            if said:
                self._tasks.fail(BrokenExecutor(said))
                return


def start_ray(workers: int, address: str | None = None) -> RayCluster:
    """A Ray cluster of that many workers on this machine, or a connection to the user's own.

    Raises `PoolError` where this process is connected already, and `UsageError` for a wrong address.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        return _embedded(workers, stack) if address is None else _elsewhere(workers, address, stack)


def _embedded(workers: int, stack: contextlib.ExitStack) -> RayCluster:
    site = Site()
    heads: list[tuple[str, Any]] = []
    stack.callback(_ended, heads)  # so that none of its processes is waited for when it is garbage
    stack.callback(site.end)
    with (
        loopback(),
        site.starting(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
            RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE="1",  # where shared memory is small, a file does
            RAY_USAGE_STATS_ENABLED="0",
            SPT_NOENV="1",  # when workers name themselves, they keep their environment, and so our mark
        ),
    ):
        ray = stack.enter_context(
            connection(
                address="local",
                num_cpus=workers,
                num_gpus=0,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(site.folder),
            )
        )
    stack.callback(site.remember)  # what tasks had started becomes our child when Ray ends its parent
    close_logs(site.folder)
    processes = ray._private.worker._global_node.all_processes
    heads += [(name, one.process) for name, started in processes.items() for one in started]
    return RayCluster(
        ray,
        workers,
        ours=True,
        most=_IN_HAND * workers,
        apart=True,
        gone=functools.partial(_ended, heads),
        seconds=_WATCH_SECONDS,
        stack=stack.pop_all(),
    )


def _ended(heads: Sequence[tuple[str, Any]]) -> str | None:
    ended = [name for name, process in heads if process.poll() is not None]
    lost = [name for name in ("gcs_server", "raylet") if name in ended]
    return f"Ray lost its {lost[0]}" if lost else None


def _elsewhere(workers: int, address: str, stack: contextlib.ExitStack) -> RayCluster:
    client = address.startswith(f"{_CLIENT}://")
    parts = located(
        address if "://" in address else f"head://{address}",
        engine="Ray",
        like=_LIKE,
        port=_CLIENT_PORT if client else _HEAD_PORT,
    )
    host, port = str(parts.hostname), int(parts.port or (_CLIENT_PORT if client else _HEAD_PORT))
    if parts.scheme not in (_CLIENT, "head"):
        raise UsageError(f"Ray needs an address such as {_LIKE}, not one of the scheme {parts.scheme}")
    reached(host, port, engine="Ray", seconds=_REACH_SECONDS)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": unquote(parts.password)} if parts.password else {}
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with variables(token), loopback() if answers(place, client=client) else contextlib.nullcontext():
        ray = stack.enter_context(connection(address=f"{_CLIENT}://{place}" if client else place))
    cores = int(ray.cluster_resources().get("CPU", 0))
    if not cores:
        raise PoolError(f"the Ray cluster at {place} has no CPUs")
    workers = min(workers, cores)
    return RayCluster(
        ray,
        workers,
        ours=False,
        most=workers,  # so that no more of them run there
        apart=not client,
        gone=functools.partial(_silent, host, port),
        seconds=_ELSEWHERE_SECONDS,
        stack=stack.pop_all(),
    )


def _silent(host: str, port: int) -> str | None:
    try:
        reached(host, port, engine="Ray", seconds=_REACH_SECONDS)
    except UsageError:
        return f"the head of Ray at {host}:{port} does not answer any more"
    return None
