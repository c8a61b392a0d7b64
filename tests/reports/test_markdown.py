from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_parallelism.measurement import Interval, Outcome, Verdict
from pytest_parallelism.record import Contention, Entry
from pytest_parallelism.reports.markdown import LIMIT, render
from pytest_parallelism.reports.results import Results

Make = Callable[..., Entry]


def verdict(outcome: Outcome, sentence: str = "") -> Verdict:
    return Verdict(gate="speedup", outcome=outcome, claim=1.5, found=1.2, sentence=sentence)


def cells(made: str, start: str) -> list[str]:
    """Of the first row of a table that starts so."""
    row = next(line for line in made.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_verdicts_come_first(entry: Make) -> None:
    points = [
        entry("processes", 2, 1.9, verdicts=(verdict(Outcome.PASSED), verdict(Outcome.NOT_JUDGED))),
        entry("loky", 2, 1.2, verdicts=(verdict(Outcome.FAILED, "below"),)),
        entry("threads", 4, status="skipped", reason="2 usable cores"),
        entry("ray", 2, status="error", reason="no"),
    ]
    first, *_ = render(Results.of(points)).splitlines()
    verdicts = "1 passed, **1 failed**, 1 not judged"
    assert first == f"### Parallelism: {verdicts}; points: 1 skipped, **1 error**"


def test_without_gates_it_says_so(entry: Make) -> None:
    assert render(Results.of([entry("threads", 2, 1.9)])).startswith("### Parallelism: no verdicts\n")


def test_each_test_has_its_answer(entry: Make) -> None:
    points = [
        entry("sequential", 1, 1.0),
        entry("processes", 2, 1.9, 0.04, verdicts=(verdict(Outcome.PASSED),)),
        entry("processes", 4, 1.95, verdicts=(verdict(Outcome.NOT_JUDGED),)),
        entry("threads", 2, 0.98, test="test_other.py::test_draw"),
        entry("threads", 2, 1.5, test="test_other.py::test_traced", tracing="coverage"),
    ]
    made = render(Results.of(points))
    passed = ["1.90 ±.04", "95%", "1 passed, 1 not judged"]
    assert cells(made, "test_parse") == ["test_parse", "use processes with 2 workers", *passed]
    assert cells(made, "test_draw") == ["test_draw", "run it sequentially", "", "", ""]
    assert cells(made, "test_traced") == ["test_traced", "no advice", "", "", ""]


def test_missed_gates_have_their_sentence_once_for_all_points_that_it_is_about(entry: Make) -> None:
    missed, other = verdict(Outcome.FAILED, "speedup too low"), verdict(Outcome.FAILED, "efficiency too low")
    points = [
        entry("processes", 2, 1.2, verdicts=(missed,)),
        entry("loky", 2, 1.2, verdicts=(missed, other)),
        entry("threads", 2, 1.2, verdicts=(verdict(Outcome.INCONCLUSIVE, "who knows"),)),
    ]
    made = render(Results.of(points))
    assert "- **test_parse**, processes-w2, loky-w2: speedup too low\n" in made
    assert "- **test_parse**, loky-w2: efficiency too low\n" in made
    assert "who knows" not in made


def test_points_that_ended_without_figures_are_named_with_the_reason(entry: Make) -> None:
    points = [
        entry("processes", 2, status="failed", reason="a wrong result"),
        entry("loky", 2, status="error"),
        entry("threads", 4, status="skipped", reason="2 usable cores"),
    ]
    made = render(Results.of(points))
    assert "- **test_parse**, processes-w2: failed: a wrong result\n" in made
    assert "- **test_parse**, loky-w2: error: no reason given\n" in made
    assert "threads-w4: skipped" not in made


def test_all_points_stand_in_details_below_the_name_of_their_test(entry: Make) -> None:
    points = [
        entry("sequential", 1, 1.0),
        entry("processes", 2, 1.9, 0.04, verdicts=(verdict(Outcome.FAILED),)),
        entry("threads", 4, status="skipped", reason="2 usable cores"),
    ]
    _, details = render(Results.of(points)).split("<details><summary>3 points</summary>\n\n")
    assert cells(details, "test_parse")[:2] == ["test_parse", "sequential"]
    assert cells(details, " | processes") == [
        *("", "processes-w2", "1.90 ±.04", "95%", "430 ms", "182 MB", "**failed**"),
    ]
    assert cells(details, " | threads") == ["", "threads-w4", "", "", "", "", "skipped: 2 usable cores"]
    assert "\n\n</details>\n" in details


def test_the_conditions_close_it(entry: Make) -> None:
    made = render(Results.of([entry("threads", 2, 1.9)]))
    assert made.splitlines()[-1].startswith("2 usable cores of AMD EPYC 9R14, Python 3.11.7, GIL on")


def against(now: list[Entry], *then: list[Entry]) -> str:
    others = [Results.of(run, name=f"000{number}_base") for number, run in enumerate(then)]
    return render(Results.of(now, others=others))


def test_beside_one_run_it_shows_changes_bold_where_noise_cannot_explain_them(entry: Make) -> None:
    made = against(
        [entry("processes", 2, 1.2), entry("loky", 2, 1.1), entry("mpire", 2, 1.1)],
        [entry("processes", 2, 1.8), entry("loky", 2, 1.12)],
    )
    assert cells(made, "test ")[4] == "change since 0000_base"
    assert cells(made, "test_parse | use")[4] == "**-33.3 %**"
    assert cells(made, "test_parse | processes")[6] == "**-33.3 %**"
    assert cells(made, " | loky")[6] == "-1.8 %"
    assert cells(made, " | mpire")[6] == ""


def test_beside_none_or_several_runs_it_shows_no_change(entry: Make) -> None:
    now = [entry("processes", 2, 1.2)]
    assert "change" not in against(now)
    assert "change" not in against(now, now, now)


def test_where_nothing_gains_any_more_it_shows_what_became_of_what_did(entry: Make) -> None:
    made = against(
        [entry("loky", 2, 0.99), entry("processes", 2, 0.99)],
        [entry("loky", 2, 1.4), entry("processes", 2, 1.8)],
    )
    assert cells(made, "test_parse")[1:5] == ["run it sequentially", "", "", "processes-w2 **-45.0 %**"]


def test_other_surroundings_are_not_compared_and_named(entry: Make) -> None:
    made = against(
        [entry("processes", 2, 1.2), entry("loky", 2, 1.2)],
        [entry("processes", 2, 1.8, usable_cores=4), entry("loky", 2, 1.8, usable_cores=4)],
    )
    assert "%" not in cells(made, "test_parse | processes")[6]
    assert "Not compared: usable cores were 4 and are 2 (2 points)\n" in made


DOUBTS: dict[str, dict[str, Any]] = {
    "a single pair": {"speedup": Interval(estimate=1.8, low=1.8, high=1.8, confidence=0.0)},
    "a tracer": {"tracing": "coverage"},
}


@pytest.mark.parametrize("changes", DOUBTS.values(), ids=DOUBTS)
def test_figures_that_prove_nothing_are_not_compared_and_why_is_said(
    entry: Make, changes: dict[str, Any]
) -> None:
    made = against([entry("processes", 2, 1.2)], [entry("processes", 2, 1.8, **changes)])
    assert cells(made, "test_parse | processes")[6] == ""
    assert re.search(r"Not compared: .*0000_base .*\(1 point\)\n", made)


def test_a_change_of_a_loaded_point_names_the_estimate_that_was_compared(entry: Make) -> None:
    alone = Interval(estimate=1.89, low=1.8, high=1.98, confidence=0.98)
    busy = Contention(sequential=0.5, parallel=0.5, reference_speedup=None, contended=True)
    now = entry("processes", 2, 1.2, contention=busy, uncontended_speedup=alone)
    made = against([now], [entry("processes", 2, 1.9)])
    assert cells(made, "test_parse | processes")[6] == "-0.5 % to 1.89 ±.09 (uncontended)"


def test_several_runs_stand_in_a_table_by_machine(entry: Make) -> None:
    big = {"python": "3.13.1", "gil": False, "cpu_model": "Xeon|"}
    machines = [
        ("big", "c0ffee" * 4, [entry("threads", 8, 6.2, usable_cores=16, environment=big)]),
        ("traced", "unversioned", [entry("loky", 2, 1.9, tracing="coverage")]),
    ]
    others = [Results.of(run, name=name, commit=commit) for name, commit, run in machines]
    made = render(Results.of([entry("processes", 2, 1.91)], others=others))
    assert cells(made, "big")[2:] == ["c0ffeec0ff", "16", "Xeon\\", "", "3.13.1", "off", "182 MB"]
    assert cells(made, "traced")[1:4] == ["", "", "2"]
    assert cells(made, "test | big") == ["test", "big", "traced", "this run"]
    used = ["6.20 ±.03 threads-w8, 182 MB", "no advice", "1.91 ±.03 processes-w2, 182 MB"]
    assert cells(made, "test_parse | 6.20")[1:] == used


def test_more_runs_than_have_room_are_left_out(entry: Make) -> None:
    others = [Results.of([entry("loky", 2, 1.9)], name=f"{n:04}" + "x" * 90) for n in range(1_200)]
    made = render(Results.of([entry("loky", 2, 1.9)], others=others))
    assert len(made.encode()) <= LIMIT
    assert re.search(r"^\d+ of 1201 runs are left out here\.$", made, re.MULTILINE)
    assert "1 of 1 tests are left out here." in made


def test_under_parallel_strict_what_could_not_be_judged_is_a_failure(entry: Make) -> None:
    verdicts = (verdict(Outcome.INCONCLUSIVE, "who knows"), verdict(Outcome.PASSED))
    made = render(Results.of([entry("threads", 2, 1.2, verdicts=verdicts)], strict=True))
    assert made.startswith("### Parallelism: 1 passed, **1 inconclusive**\n")
    assert "- **test_parse**, threads-w2: who knows\n" in made
    assert cells(made, "test_parse | threads")[-1] == "**inconclusive**, passed"


def test_what_was_expected_to_fail_is_neither_bold_nor_a_failure(entry: Make) -> None:
    made = render(Results.of([entry("loky", 2, status="failed", reason="as expected: bug 7")]))
    assert made.startswith("### Parallelism: points: 1 xfailed\n")
    assert cells(made, "test_parse | loky")[-1] == "xfailed: as expected: bug 7"
    assert "**" not in made


HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of details": "</details>",
    "comment": "<!-- x",
    "pipes": "a|b\\|c\\\\|",
    "backslash": "a\\",
    "code": "`a` ``b``",
    "emphasis": "**b** *i* _i_ __init__ ~~s~~",
    "mentions": "@octocat and @org/team",
    "references": "#123 GH-45 gh-6 owner/repo#7",
    "links": "[x](http://e.com) ![i](j) <http://e.com> [ ]",
    "addresses": "http://e.com www.e.com a@b.com",
    "entities": "&lt;b&gt; &#64;octocat &#x23;1",
    "blocks": "# h",
    "list": "- x",
    "numbers": "1. x",
    "quote": "> x",
    "rule": "---",
    "fence": "``` x",
    "mathematics": "$x^2$ $$y$$",
    "ordinary": "test_a_b[x-1]",
}


def visible(rendered: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", rendered))


@pytest.mark.parametrize("test", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(entry: Make, test: str) -> None:
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
    environment = {"python": test, "gil": True, "cpu_model": "A CPU"}
    verdicts = (verdict(Outcome.FAILED, test),)
    points = [
        entry("processes", 2, 1.9, test=test, environment=environment, verdicts=verdicts),
        entry("loky", 2, status="error", test=test, reason=test),
    ]
    then = Results.of([entry("processes", 2, 1.8, test=test)], name=test)
    page = render(Results.of(points, others=[then]))
    made = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(page)
    ours = "h3 p strong ul li table thead tbody tr th td details summary"
    assert set(re.findall(r"</?(\w*)", made)) <= set(ours.split())
    assert "<!--" not in made
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>[^\0]*?</tr>", made)]
    assert [len(row) for row in rows] == [6, 6, 8, 8, 8]
    assert visible(rows[1][0]).replace("\u200b", "") == test
    assert re.findall(r"(@|#|GH-)\w", visible(made), re.IGNORECASE) == []


def test_links_are_none_for_githubs_own_reading_either(entry: Make) -> None:
    made = render(Results.of([entry("processes", 2, 1.9, test="http://e.com www.e.com ftp://e.com")]))
    assert re.findall(r"\w://|www\.", made) == []


def test_control_characters_and_marks_of_direction_are_replaced(entry: Make) -> None:
    hostile = "a\u202eb\nc\x1b[1m\ud800"
    points = [
        entry("loky", 2, 1.9, test=hostile),
        entry("loky", 4, status="error", test=hostile, reason=hostile),
    ]
    made = render(Results.of(points, others=[Results.of([], name=hostile)]))
    assert cells(made, "a")[0] == "a?b c?\\[1m?"
    assert "since a?b c?" in made
    assert "error: a?b c?" in made
    assert made.replace("\n", "").isprintable()


def test_5_000_characters_are_shortened_in_their_middle(entry: Make) -> None:
    name = "test_" + "x" * 5_000 + "_end"
    made = render(Results.of([entry("processes", 2, status="error", test=name, reason=name)]))
    assert len(made) < 2_000
    assert re.fullmatch(r"test_x+…x+_end", cells(made, "test_")[0])


def left_out(made: str, what: str) -> tuple[int, int]:
    found = re.search(rf"^([\d]+) of (\d+) {what} are left out here\.$", made, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


LARGE = {
    "short ids": "t.py::test_{}",
    "long ids": "t.py::test_" + "x" * 500 + "[{}]",
    "wide ids": "t.py::test_" + "\U0001f600|" * 500 + "[{}]",
    "ids to escape": "t.py::test_" + "@" * 500 + "[{}]",
}


@pytest.mark.parametrize("name", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("failing", [False, True])
def test_it_is_at_most_60_kb_and_says_what_it_leaves_out(entry: Make, name: str, failing: bool) -> None:
    def point(strategy: str, number: int) -> Entry:
        test, environment = name.format(number), {"python": f"3.11.{number}", "cpu_model": name}
        verdicts = (verdict(Outcome.FAILED, f"{test} {strategy}"),) if failing else ()
        return entry(strategy, 2, 1.9, test=test, environment=environment, verdicts=verdicts)

    points = [point(strategy, number) for number in range(400) for strategy in ("loky", "processes")]
    made = render(Results.of(points, others=[Results.of(points, name=name)]))
    assert LIMIT == 60_000
    assert 0.8 * LIMIT < len(made.encode()) <= LIMIT
    heads, rest = made.split("<details>")
    tests = len(re.findall(r"^\| t", heads, re.MULTILINE)) - 1
    listed = len(re.findall(r"^\|.*\| (?:loky|processes)-w2 \|", rest, re.MULTILINE))
    missed = len(re.findall(r"^- ", heads, re.MULTILINE))
    assert left_out(heads, "tests") == ((400 - tests, 400) if tests < 400 else (0, 0))
    assert left_out(rest, "points") == (800 - listed, 800)
    assert left_out(heads, "failures") == ((800 - missed, 800) if failing else (0, 0))
    assert "</details>" in rest


def test_what_fits_is_complete(entry: Make) -> None:
    made = render(Results.of([entry("loky", 2, 1.9, test=f"t.py::test_{number}") for number in range(200)]))
    assert "left out" not in made
    assert made.count("loky-w2") == 200


def test_without_points_there_is_nothing_but_the_heading() -> None:
    assert render(Results.of([])) == "### Parallelism: no verdicts\n"
