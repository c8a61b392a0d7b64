"""What the HTML page consists of: one section is one function here and one template of its name.

What is about a whole run is listed in `PAGE`, what is repeated for each test in `TEST`.
"""

from __future__ import annotations

from ..results import Results
from .answers import answers, attention
from .details import conditions, plots, points, resources, startup, untried, verdicts
from .runs import compared, history, machines
from .shapes import Content, Group, Section, filled, groups

__all__ = ["PAGE", "TEST", "filled"]


def _tests(results: Results) -> Content:
    # One after another as the page is written: a thousand tests are not held as tables all at once.
    found = groups(results)
    return {"groups": ((group, filled(TEST, group)) for group in found)} if found else None


PAGE: tuple[Section[Results], ...] = (
    Section("answers", "Answers", answers),
    Section("attention", "Needs attention", attention),
    Section("compared", "Compared", compared),
    Section("machines", "By machine", machines),
    Section("history", "History", history),
    Section("tests", "Tests", _tests),
    Section("words", "Words", lambda _: {}),
)

TEST: tuple[Section[Group], ...] = (
    Section("plots", "Plots", plots),
    Section("points", "Points", points),
    Section("verdicts", "Verdicts", verdicts),
    Section("untried", "Without figures", untried),
    Section("startup", "Start-up, closing and method", startup),
    Section("resources", "Resources", resources),
    Section("conditions", "Conditions", conditions),
)
