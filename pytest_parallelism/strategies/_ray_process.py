"""What Ray does to the process that uses it, kept within bounds."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import PoolError, UsageError
from ..workers import bounded
from ..workers.environment import variables
from ._silence import silenced

__all__ = ["answers", "close_logs", "connection", "loopback", "quiet"]

_SHUTDOWN_SECONDS = 5.0
_REACH_SECONDS = 4.0
_PATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "1000000"}
"""Otherwise Ray ends this process a minute after it has lost its head."""
_UNLUCKY = "Starting Ray client server failed"
_TRIES = 3
"""A head forks for each client, and the child may fail in gRPC's handlers of forks: for 8 of 30 clients on a
loaded machine (Ray 2.60, grpcio 1.85), for none of 42 with GRPC_ENABLE_FORK_SUPPORT=0 there."""


@contextlib.contextmanager
def connection(**arguments: Any) -> Iterator[Any]:
    """The module ``ray``, connected by ``ray.init(**arguments)``; it is shut down afterwards."""
    with _unwarned(), _own_hooks():
        import ray

        if ray.is_initialized():
            raise PoolError("Ray is initialized in this process already: call ray.shutdown() first")
        with variables(_PATIENT):
            _reread()
            _connect(ray, arguments)
    try:
        yield ray
    finally:
        bounded(ray.shutdown, _SHUTDOWN_SECONDS)
        _reread()


def _connect(ray: Any, arguments: dict[str, Any]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            ray.init(configure_logging=False, log_to_driver=False, **arguments)
            return
        except BaseException as exc:
            bounded(_forget_client, _SHUTDOWN_SECONDS)
            bounded(ray.shutdown, _SHUTDOWN_SECONDS)
            if left and _UNLUCKY in str(exc):
                continue
            if isinstance(exc, Exception):
                raise PoolError(f"Ray did not start: {_brief(exc)}") from exc
            raise


def _forget_client() -> None:
    """Ends a client connection that was given up halfway, which Ray itself would take for one that lasts."""
    try:
        from ray.util.client import ray
    except ImportError:  # grpcio is not there, and so no client
        return
    context = ray.get_context()
    worker, context.client_worker = context.client_worker, None
    if worker is not None:
        worker.close()


def _brief(exc: Exception) -> str:
    """What was said first, and the error that a head's traceback ends with."""
    first, *rest = str(exc).strip().splitlines() or [type(exc).__name__]
    return " ".join((first, *rest[-1:])) if first.endswith(":") else first


def _reread() -> None:
    """Has Ray read the environment again, which it does but once, when it is imported."""
    from ray._raylet import AuthenticationTokenLoader, Config

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def loopback() -> Iterator[None]:
    """Ray meanwhile takes the loopback interface for this machine, as it does on Windows and macOS."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Meanwhile Ray logs and prints nothing here."""
    with _unwarned():
        from ray._private import worker
    printing = worker.print_to_stdstream
    with silenced(logging.getLogger("ray")):
        worker.print_to_stdstream = _print_nothing
        try:
            yield
        finally:
            worker.print_to_stdstream = printing


def _print_nothing(*_: Any, **__: Any) -> None:
    pass


@contextlib.contextmanager
def _unwarned() -> Iterator[None]:
    """Shows no warnings of Ray's import, and gives back the hook for uncaught errors that it takes.

    The libraries that Ray brings are found after the user's own: psutil among them.
    """
    hook, path = sys.excepthook, list(sys.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.excepthook = hook
        sys.path[:] = path + [entry for entry in sys.path if entry not in path]


@contextlib.contextmanager
def _own_hooks() -> Iterator[None]:
    """Gives back what Ray takes as it connects: SIGTERM, and variables such as PYTHONBREAKPOINT."""
    handler, environment = signal.getsignal(signal.SIGTERM), dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def close_logs(folder: Path) -> None:
    """Points the log files there that Ray's core has open in this process, for good, at nothing."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a device
        for entry in Path("/proc/self/fd").glob("*"):
            with contextlib.suppress(OSError):
                target = entry.readlink()
                if target.is_relative_to(folder) and target.suffix == ".log":
                    os.dup2(nothing.fileno(), int(entry.name))


def answers(place: str, *, client: bool) -> bool:
    """Raises `UsageError` where what listens there is no Ray, or wants another token.

    Whether its nodes are known by addresses of the loopback interface, as far as a head tells.
    """
    try:
        import grpc
    except ImportError as exc:
        said = "a Ray cluster is reached by grpcio: pip install 'pytest-parallelism[ray]'"
        raise UsageError(said) from exc
    with _unwarned():
        from ray._private.grpc_utils import init_grpc_channel

    _reread()
    with init_grpc_channel(place) as channel:
        try:
            return _pinged(channel) if client else _on_loopback(channel)
        except grpc.RpcError as exc:
            if exc.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise UsageError(f"Ray at {place} wants another RAY_AUTH_TOKEN") from None
            what = "client server (ray start --ray-client-server-port)" if client else "head"
            raise UsageError(f"what listens at {place} is no {what} of Ray") from None


def _pinged(channel: Any) -> bool:
    from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc

    ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
    ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(ping, timeout=_REACH_SECONDS)
    return False


def _on_loopback(channel: Any) -> bool:
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    asked = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
    told = asked.GetAllNodeInfo(gcs_service_pb2.GetAllNodeInfoRequest(), timeout=_REACH_SECONDS)
    return any(node.node_manager_address.startswith("127.") for node in told.node_info_list)
