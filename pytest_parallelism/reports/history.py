"""A point's speedup over stored runs, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..history import Seen, Series
from . import text

__all__ = ["render"]


def render(shown: Sequence[Series]) -> Iterator[str]:
    """A heading for each point and a line for each run, the oldest first."""
    for number, one in enumerate(shown):
        if number:
            yield ""
        yield f"{one.point}   {len(one.seen)} run{'s' * (len(one.seen) != 1)}"
        width = max((len(seen.run) for seen in one.seen), default=0)
        for seen in one.seen:
            yield _line(seen, width)


def _line(seen: Seen, width: int) -> str:
    found = seen.speedup
    figures = f"{found.estimate:6.2f} [{found.low:.2f}, {found.high:.2f}]"
    step = "" if seen.step is None else f"  step of {(seen.step - 1) * 100:+.0f} %"
    commit = text.commit(seen.commit)
    return f"  {seen.run:{width}}  {seen.when[:16]:16}  {commit[:8]:8}  {figures:20}{step}".rstrip()
