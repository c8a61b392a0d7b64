"""A local HTTP server that answers each request after a stated latency, in a process of its own.

Run as a script, it reads one line of JSON from its standard input (``{"latency": seconds, "files": [...]}``),
holds the files in memory, and prints the URL that they lie under: the first at ``…/0``. It listens on
loopback only, under a path that nobody can guess. It ends when its standard input does, so it cannot
outlive the run that started it, however that ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Served", "serving"]

BACKLOG = 1024  # as many connections as asyncio opens at once


@dataclass(frozen=True)
class Served:
    """Documents and where they are served, in the same order."""

    urls: list[str]
    files: list[Path]

    @property
    def bodies(self) -> list[bytes]:
        """What the server answers."""
        return [file.read_bytes() for file in self.files]

    @property
    def size(self) -> int:
        """Bytes together."""
        return sum(file.stat().st_size for file in self.files)


@contextmanager
def serving(files: list[Path], latency: float) -> Iterator[Served]:
    """Serve ``files`` until the context is left, each request after ``latency`` seconds."""
    command = [sys.executable, "-I", str(Path(__file__).resolve())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(
                json.dumps({"latency": latency, "files": [str(file) for file in files]}) + "\n"
            )
            server.stdin.flush()
            root = server.stdout.readline().strip()
            if not root:
                raise RuntimeError("The document server did not start; what it says stands above.")
            yield Served([f"{root}/{i}" for i in range(len(files))], files)
        finally:
            server.stdin.close()


async def serve(bodies: Sequence[bytes], latency: float) -> None:
    """Answer until the process ends."""
    token = secrets.token_urlsafe(16)
    documents = {f"/{token}/{i}".encode(): body for i, body in enumerate(bodies)}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(latency)
            writer.write(response(documents.get(head.split(maxsplit=2)[1])))
            await writer.drain()
        except (OSError, EOFError, IndexError):  # the client went away, or speaks no HTTP
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=BACKLOG)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/{token}", flush=True)  # noqa: T201 - this is the script's answer
    await server.serve_forever()


def response(body: bytes | None) -> bytes:
    """A whole HTTP answer."""
    status = "404 Not Found" if body is None else "200 OK"
    body = body or b""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def end_with_stdin() -> None:
    """End this process when its standard input ends, that is, when the starting process does."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too; the run that started it ends it
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(serve([Path(file).read_bytes() for file in request["files"]], request["latency"]))
