"""What is done with a document: it is fetched over HTTP, parsed, counted and summarized.

Plain functions that know nothing of pytest or of parallelism, as yours would be.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections import Counter
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

__all__ = ["Digest", "digest", "fetch", "fetch_and_digest", "fetch_and_digest_async", "fetch_async"]

WORD = re.compile(r"[^\W\d_]{2,}")
TIMEOUT_SECONDS = 30.0
COMMON_WORDS = 5
SUMMARY_LINES = 3
LONG_LINE = 5  # words beyond which a line gains little by being longer


class Digest(NamedTuple):
    """What is worth knowing of a document."""

    words: int
    definitions: int
    """Functions and classes; 0 where the document is no Python source."""
    common: tuple[tuple[str, int], ...]
    """The most frequent words and how often they stand there."""
    summary: tuple[str, ...]
    """The lines that say most, in the order of the text."""


def digest(body: bytes, complexity: int = 1) -> Digest:
    """Tokenize, parse, count and summarize one document: pure Python, bound by the CPU.

    ``complexity``: how thoroughly to summarize, in tens of passes over the text. The time grows linearly
    with it; at 4 it is about twice that at 1.
    """
    text = body.decode("utf-8", "replace")
    lines = {line.strip(): WORD.findall(line.lower()) for line in text.splitlines()}
    counts = Counter(WORD.findall(text.lower()))
    return Digest(
        words=counts.total(),
        definitions=_definitions(text),
        common=tuple(counts.most_common(COMMON_WORDS)),
        summary=_summary(lines, counts, passes=10 * complexity),
    )


def _definitions(text: str) -> int:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what ast.parse says of other text
        return 0
    wanted = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return sum(isinstance(node, wanted) for node in ast.walk(tree))


def _summary(lines: dict[str, list[str]], counts: Counter[str], passes: int) -> tuple[str, ...]:
    """A line is worth what its words are worth, and in each further pass a word what its lines are."""
    worth: dict[str, float] = dict(counts)
    scores: dict[str, float] = {}
    for _ in range(passes):
        most = max(worth.values(), default=1.0)
        scores = {line: sum(map(worth.__getitem__, words)) / most for line, words in lines.items()}
        worth = dict.fromkeys(worth, 0.0)
        for line, words in lines.items():
            for word in words:
                worth[word] += scores[line] / (len(words) + LONG_LINE)
    best = set(sorted(scores, key=scores.__getitem__, reverse=True)[:SUMMARY_LINES])
    return tuple(line for line in lines if line in best)


def fetch(url: str) -> bytes:
    """The document at ``url``, waiting for the server: bound by I/O.

    Raises `OSError` where the server does not answer with a document.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    _require_ok(url, answer.status)
    return body


async def fetch_async(url: str) -> bytes:
    """As `fetch`, without blocking the event loop."""
    return await asyncio.wait_for(_fetch_async(url, urlsplit(url)), TIMEOUT_SECONDS)


async def _fetch_async(url: str, parts: SplitResult) -> bytes:
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()  # the server closes the connection after its one answer
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    _require_ok(url, int(head.split(maxsplit=2)[1]))
    return body


def _require_ok(url: str, status: int) -> None:
    if status != 200:
        raise OSError(f"{url} answered with HTTP status {status}, not with a document.")


def fetch_and_digest(url: str, complexity: int = 1) -> Digest:
    """Fetch a document, then digest it: mixed work."""
    return digest(fetch(url), complexity)


async def fetch_and_digest_async(url: str, complexity: int = 1) -> Digest:
    """As `fetch_and_digest`; waits in the event loop, and blocks it while it digests."""
    return digest(await fetch_async(url), complexity)
