"""Words and figures as people read them: widths in cells, foreign characters, units, times."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from ..measurement import Interval

__all__ = [
    "amount",
    "cells",
    "change",
    "clean",
    "commit",
    "counted",
    "half_width",
    "interval",
    "known",
    "moment",
    "padded",
    "percent",
    "seconds",
    "shorten",
    "size",
    "speedup",
    "wrapped",
]

ELLIPSIS = "…"


def clean(text: str) -> str:
    """``text`` on one line, with ``?`` for what moves the cursor, changes direction or cannot be printed.

    These are the Unicode categories C* (control, format such as right-to-left marks, surrogates, private,
    unassigned) and the line and paragraph separators.
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join("?" if _unprintable(char) else char for char in line)


def _unprintable(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")


def cells(text: str) -> int:
    """Terminal cells of a clean text: two for wide characters (Unicode annex 11), one for all others.

    Combining characters count as one too: rather too much than a line beyond the width.
    """
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def padded(text: str, width: int) -> str:
    """``text`` with spaces behind it up to ``width`` cells."""
    return text + " " * (width - cells(text))


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, its middle left out: names differ at both ends."""
    if cells(text) <= width:
        return text
    tail = _start(text[::-1], width // 2)[::-1]
    head = _start(text, width - 1 - cells(tail))
    return head + ELLIPSIS + tail


def _start(text: str, width: int) -> str:
    """The longest start of ``text`` in at most ``width`` cells."""
    # A start of more than ``width`` characters never fits, however narrow they are.
    start = text[: max(0, width)]
    while cells(start) > width:
        start = start[:-1]
    return start


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most ``width`` cells: ``first`` stands before the first one, ``rest`` before the others."""
    lines, line, empty = [], first, True
    for word in text.split():
        while word:
            gap = "" if empty else " "
            if cells(line) + len(gap) + cells(word) <= width:
                line, word, empty = line + gap + word, "", False
            elif empty:
                # Wider than a whole line: broken where the line ends, at one character at least.
                start = _start(word, width - cells(line)) or word[0]
                line, word, empty = line + start, word[len(start) :], False
            else:
                lines.append(line)
                line, empty = rest, True
    return [*lines, line]


def counted(number: int, noun: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def speedup(value: float) -> str:
    """Two decimals below 10, one above, none above 1,000."""
    if 0 < value < 0.005:
        return "<.01"
    return f"{value:.{_decimals(value)}f}" if value < 99_999.5 else f"{value:.0e}"


def half_width(interval: Interval) -> str:
    """``±.03``, with the decimals of the estimate: half of (high - low), never shown as nothing.

    ``±?`` where the confidence is 0: a single pair has no spread.
    """
    if not interval.confidence:
        return "±?"
    half = max(0.0, (interval.high - interval.low) / 2)
    decimals = _decimals(interval.estimate)
    if half > 0:
        half = max(half, 10.0**-decimals)
    text = f"{half:.{decimals}f}" if half < 9_999.5 else f"{half:.0e}"
    return "±" + text.removeprefix("0" if "." in text else "")


def _decimals(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 999.95 else 0


def interval(found: Interval) -> str:
    """``1.91 ±.03``."""
    return f"{speedup(found.estimate)} {half_width(found)}"


def percent(share: float) -> str:
    """``96%``."""
    return f"{share:.0%}" if share < 999 else f"{100 * share:.0e}%"


def change(ratio: float) -> str:
    """``-12.3 %``: a ratio of now to then."""
    return f"{(ratio - 1) * 100:+.1f} %"


def seconds(value: float) -> str:
    """``412 ms``, ``1.23 s``: three digits and the unit that suits them."""
    if value == 0:
        return "0 s"
    return _scaled(value, (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)))


def size(number: float) -> str:
    """``14.2 MB``: decimal units of bytes."""
    return _scaled(number, (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)))


def amount(number: float) -> str:
    """``149``, ``14.2k``: how many, in three digits and thousands, millions or milliards of them."""
    if number == 0:
        return "0"
    return _scaled(number, (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))).replace(" ", "")


def known(form: Callable[[float], str], value: float | None) -> str:
    """Nothing where the value is unknown."""
    return "" if value is None else form(value)


def moment(when: str) -> str:
    """Of ISO 8601 in UTC: ``2025-11-22 08:41 UTC``."""
    return f"{when[:16].replace('T', ' ')} UTC" if when else ""


def commit(name: str) -> str:
    """The first ten characters; nothing for ``unversioned``, which pytest-benchmark says outside of git."""
    return "" if name == "unversioned" else name[:10]


def _scaled(value: float, units: Sequence[tuple[str, float]]) -> str:
    # 0.9995 of a unit is rounded to 1 of it, not to 1000 of the next smaller.
    unit, factor = next((u for u in units if value >= 0.9995 * u[1]), units[-1])
    figure = value / factor
    if figure >= 999.5:
        return f"{figure:,.0f} {unit}" if figure < 1e9 else f"{figure:.0e} {unit}"
    return f"{figure:.3g} {unit}"
