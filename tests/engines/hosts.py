"""Several hosts on one machine: network namespaces with addresses of their own, joined by a switch.

The namespaces have no names: each lives as long as its processes, and its links with it. So nothing is left
where a test run is killed either, since the guard of the `Site` then ends the processes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from pytest_parallelism.workers.site import Site

__all__ = ["Network", "namespace", "obstacle", "remains"]

_TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}
_BLOCK = "198.18"
"""Addresses that no network has: they are for tests of networks (RFC 2544)."""
_PROBE = "ip link add probe type bridge && ip link add one type veth peer name other"


def obstacle() -> str | None:
    """Why this machine has no other hosts; None where it can have some."""
    if not sys.platform.startswith("linux"):
        return "only Linux has network namespaces"
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            return f"network namespaces need {tool}: install {package}"
    run = _run("unshare", "--net", "sh", "-c", _PROBE, check=False)
    said = run.stderr.strip().rpartition("\n")[2]
    return f"network namespaces are not allowed here ({said}): be root" if run.returncode else None


def namespace(pid: int | str = "self") -> int:
    """What tells the network namespace of a process from all others."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def remains(link: str, namespaces: Sequence[int], folder: Path | str) -> set[str]:
    """What is there of a network: its link to this host, processes on others, its folder."""
    found = {f"link {name}" for name in psutil.net_if_addrs() if name == link}
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if namespace(process.pid) in namespaces:
                found.add(f"process {process.pid}")
    return found | ({f"folder {folder}"} if Path(folder).exists() else set())


class Network:
    """So many hosts, and a switch which this process is connected to as well. Left, nothing of it stays."""

    def __init__(self, count: int) -> None:
        self.site = Site()
        self.namespaces: list[int] = []
        """What tells the switch, then the hosts."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []
        self.link = f"pp{secrets.token_hex(5)}"
        """Our end of the cable: an interface's name has 15 letters at most."""
        self._prefix = _free_prefix()
        self.here = f"{self._prefix}.1"
        """The address of this process."""
        self.addresses = [f"{self._prefix}.{number + 2}" for number in range(count)]
        try:
            self._switch = self._held()
            self._hosts = [self._held() for _ in range(count)]
            self._wire()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Network:  # noqa: PYI034  # nobody derives from it; Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends whatever runs on the hosts, and them."""
        _run("ip", "link", "delete", self.link, check=False)  # it would go with the switch, but later
        self.site.end()
        for process in self._processes:
            process.__exit__(None, None, None)

    def start(
        self, host: int, command: Sequence[str], **variables: str
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Starts a program there; the file is what it writes its output into."""
        log = self.site.folder / f"log-{len(self._logs)}"
        self._logs.append(log)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*self._on(self._hosts[host]), *command],
                env={**os.environ, **self.site.variables, **variables},
                cwd=self.site.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._processes.append(process)
        return process, log

    def cut(self, host: int) -> None:
        """Pulls its cable: no packet comes or goes, and nobody is told."""
        _run(*self._on(self._switch), "ip", "link", "set", f"port{host}", "down")

    def said(self) -> str:
        """The last lines that programs on the hosts have written."""
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in self._logs)

    def left(self) -> set[str]:
        """See `remains`."""
        return remains(self.link, self.namespaces, self.site.folder)

    def _held(self) -> int:
        """A process in a namespace of its own, which ends with its input, so with this process."""
        process = subprocess.Popen(
            ["unshare", "--net", "cat"],
            env={**os.environ, **self.site.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._processes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\n"
        self.namespaces.append(namespace(process.pid))
        return process.pid

    def _wire(self) -> None:
        switch, link = self._on(self._switch), self.link
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", str(self._switch))
        _run("ip", "address", "add", f"{self.here}/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        _run(*switch, "ip", "link", "add", "switch", "type", "bridge")
        _run(*switch, "ip", "link", "set", "switch", "up")
        for number, (pid, address) in enumerate(zip(self._hosts, self.addresses, strict=True)):
            on, pair = self._on(pid), ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
            _run(*switch, "ip", "link", "add", f"port{number}", *pair)
            _run(*on, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for name in ("lo", "eth0"):
                _run(*on, "ip", "link", "set", name, "up")
        for port in ("uplink", *(f"port{number}" for number in range(len(self._hosts)))):
            _run(*switch, "ip", "link", "set", port, "master", "switch", "up")

    @staticmethod
    def _on(pid: int) -> list[str]:
        return ["nsenter", "--target", str(pid), "--net", "--"]


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or not run.returncode, f"{' '.join(command)}: {run.stderr}"
    return run


def _free_prefix() -> str:
    """Of 254 addresses, which nobody on this machine uses."""
    used = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}
    while True:
        prefix = f"{_BLOCK}.{secrets.randbelow(256)}"
        if not any(address.startswith(f"{prefix}.") for address in used):
            return prefix
