"""Addresses of clusters that users have, as they may be printed and stored: without what may be secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["scrubbed", "shown"]

_PLACE = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):[0-9]+")
_NEXT = re.compile(r"([,;])(?=[A-Za-z][A-Za-z0-9+.-]*://)")
"""Between URLs, of which Celery takes several: brokers, and where answers go."""


def shown(address: str) -> str:
    """Scheme, host and port, or the latter two where they are all; of what else is no URL, nothing."""
    return "".join(part if part in (",", ";") else _shown(part) for part in _NEXT.split(address))


def _shown(address: str) -> str:
    if _PLACE.fullmatch(address):
        return address
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "an address that cannot be read"
    if not parts.hostname:
        return f"{parts.scheme}:…" if parts.scheme else "…"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def scrubbed(text: str, address: str) -> str:
    """A text of others about that address, such as an engine's error, without its secrets."""
    parts = [part for part in _NEXT.split(address)[::2] if part]
    for part in (address, *parts):
        text = text.replace(part, shown(part))
    secrets = {secret for part in parts for secret in _secrets(part)}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    return text


def _secrets(address: str) -> Iterator[str]:
    """User, password and values of a URL; the texts among the arguments of a class."""
    for literal in re.findall(r"'([^']*)'|\"([^\"]*)\"", address):
        yield from literal
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    for text in (parts.username, parts.password):
        yield from (text or "", unquote(text or ""))
    yield parts.query
    yield from (value for _, value in parse_qsl(parts.query))
