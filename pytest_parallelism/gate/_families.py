"""Points of which one must keep a claim."""

from __future__ import annotations

from collections.abc import Sequence

from ..measurement import Outcome, Verdict
from ._texts import number

__all__ = ["judge_any"]


def judge_any(members: Sequence[tuple[str, Verdict]]) -> Verdict:
    """The verdict on a family of points of which one must keep the claim; ``members`` are (name, verdict).

    Passed if one passed, failed if all failed, inconclusive if one of the others may yet pass, else not
    judged. Raises ValueError for an empty family.
    """
    if not members:
        raise ValueError('a family of require="any" needs one member or more')
    outcomes = [verdict.outcome for _, verdict in members]
    outcome = next(
        (o for o in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.NOT_JUDGED) if o in outcomes),
        Outcome.FAILED,
    )
    first = members[0][1]
    claim = f"{first.gate} {number(first.claim)}"
    sentence = {
        Outcome.PASSED: f"{claim} is reached by one strategy or more",
        Outcome.FAILED: f"no strategy reaches {claim}",
        Outcome.INCONCLUSIVE: f"whether a strategy reaches {claim} is open",
        Outcome.NOT_JUDGED: f"whether a strategy reaches {claim} cannot be judged here",
    }[outcome]
    listed = ", ".join(_member(name, verdict) for name, verdict in members)
    found = max((v.found for _, v in members if v.found is not None), default=None)
    return Verdict(
        gate=first.gate, outcome=outcome, claim=first.claim, found=found, sentence=f"{sentence}: {listed}"
    )


def _member(name: str, verdict: Verdict) -> str:
    figure = "" if verdict.found is None else f" {number(verdict.found)}"
    return f"{name}{figure} {verdict.outcome.value}"
