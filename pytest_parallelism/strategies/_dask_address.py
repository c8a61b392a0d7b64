"""The user's own Dask cluster: the address of a scheduler, or a class that makes a cluster, with arguments.

Such a class stands in dask-kubernetes, dask-jobqueue, dask-cloudprovider or dask-gateway.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ._addresses import located, reached

__all__ = ["Maker", "maker", "scheduler"]

_LIKE = "tcp://host:8786 or dask_kubernetes.operator.KubeCluster(name='tests')"
_PORT = 8786
_REACH_SECONDS = 4.0
_SCHEMES = ("tcp", "tls", "ws", "wss")
_VERBS = ("scale", "close", "get_client")
"""What makes a class one of clusters."""


def scheduler(address: str) -> str:
    """The address of a scheduler, which answers there. Raises `UsageError`."""
    parts = located(address, engine="Dask", like=_LIKE, port=_PORT)
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"Dask needs an address such as {_LIKE}, not one of {parts.scheme}://")
    port = parts.port or _PORT
    reached(str(parts.hostname), port, engine="Dask", seconds=_REACH_SECONDS)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    where = f"{parts.scheme}://{host}:{port}{parts.path}"
    try:
        with ThreadPoolExecutor(1) as apart:  # a loop may run in this thread
            apart.submit(asyncio.run, _greeted(where)).result()
    except (OSError, ValueError, asyncio.TimeoutError) as exc:
        raise UsageError(
            f"no Dask scheduler answers at {host}:{port} ({type(exc).__name__}): is it one, and does Dask's "
            f"configuration (distributed.comm.tls) have what a tls:// address needs?"
        ) from exc
    return where


async def _greeted(where: str) -> None:
    """Returns once the scheduler has greeted, for which Dask's own client waits without end."""
    from distributed import Security
    from distributed.comm import connect

    security: Any = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(where, timeout=_REACH_SECONDS, **security), _REACH_SECONDS)
    await comm.close()


@dataclass(frozen=True)
class Maker:
    """A class of clusters and what to call it with, which may be secret."""

    module: str
    name: str
    arguments: tuple[Any, ...] = field(repr=False)
    keywords: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def made(self, workers: int) -> Any:
        """A new cluster; of so many workers where the arguments do not give their number.

        Raises `UsageError`.
        """
        kind = self._class()
        try:
            cluster = kind(*self.arguments, **self.keywords)
        except Exception as exc:
            raise UsageError(f"{self} could not be made: {type(exc).__name__}: {exc}") from exc
        if "n_workers" not in self.keywords:
            try:
                cluster.scale(workers)
            except BaseException:
                with contextlib.suppress(Exception):
                    cluster.close()
                raise
        return cluster

    def _class(self) -> Any:
        try:
            found = getattr(importlib.import_module(self.module), self.name, None)
        except ImportError as exc:
            raise UsageError(f"{self} cannot be imported: {exc}") from exc
        if not isinstance(found, type) or not all(hasattr(found, verb) for verb in _VERBS):
            raise UsageError(f"{self} is not a class of Dask clusters")
        return found


def maker(address: str) -> Maker | None:
    """What ``package.Class(argument=literal, …)`` says; None for what is no call.

    Nothing is evaluated: arguments are literals. Raises `UsageError` for any other.
    """
    try:
        call = ast.parse(address.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(call, ast.Call):
        return None
    module, _, name = ast.unparse(call.func).rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise UsageError(f"Dask needs a class with its module, such as {_LIKE}")
    try:
        arguments = tuple(map(ast.literal_eval, call.args))
        keywords = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords if one.arg}
    except (ValueError, TypeError):
        raise UsageError(
            f"arguments of {module}.{name} must be literals: texts, numbers, lists, dicts"
        ) from None
    if len(keywords) < len(call.keywords):
        raise UsageError(f"arguments of {module}.{name} must be given one by one, without **")
    return Maker(module, name, arguments, keywords)
