"""The HTML page: one file that needs nothing else, no network, and no script to be read."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from . import svg, text
from .results import Results
from .sections import PAGE, filled
from .sections.shapes import GRAVITY

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]


def render(results: Results) -> str:
    """The whole page.

    Its content security policy allows its own style and script alone, by their hashes. Of runs with more
    than 12 tests the plots are folded away, and tests with a single point beside the baseline have none:
    so 1,000 points stay below 10 MB. Whatever a user can name is cleaned (`text.clean`), shortened where it
    is long, and escaped.
    """
    environment = _environment()
    page = environment.get_template("page.html")
    return page.render(results=results, sections=filled(PAGE, results), chart_style=svg.STYLE)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=PackageLoader(__package__, "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_plain,
    )
    environment.filters["short"] = lambda value, width: text.shorten(text.clean(value), width)
    environment.filters["counted"] = text.counted
    environment.filters["moment"] = text.moment
    environment.filters["commit"] = text.commit
    environment.filters["sha256"] = _sha256
    environment.globals["gravity"] = GRAVITY
    return environment


def _plain(value: Any) -> Any:
    """Text of users without what moves the cursor or turns directions; markup is ours."""
    return text.clean(value) if type(value) is str and not value.isprintable() else value


def _sha256(content: str) -> str:
    """As a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
