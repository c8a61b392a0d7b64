"""The page in a real browser: what people see and use, and an audit of what others cannot see."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def texts(page: Page, selector: str) -> list[str]:
    """What stands in these elements, of those that can be seen."""
    found = page.locator(selector).filter(visible=True)
    return [" ".join(text.split()) for text in found.all_inner_texts()]


def column(page: Page, table: str, number: int) -> list[str]:
    return texts(page, f"{table} tbody tr > :nth-child({number})")


@pytest.fixture
def opened(page: Page, report: Path) -> Page:
    page.goto(report.as_uri())
    return page


def test_from_disk_it_asks_for_nothing_else_and_has_no_complaint(page: Page, report: Path) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    page.locator("#search").fill("index")
    page.locator("#answers thead button").first.click()
    assert asked == [report.as_uri()]
    assert said == []


def test_the_policy_keeps_foreign_scripts_and_styles_out(opened: Page) -> None:
    opened.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
            document.body.setAttribute("style", "padding-top: 77px");
        }"""
    )
    assert opened.evaluate("window.foreign") is None
    assert opened.evaluate("getComputedStyle(document.body).paddingTop") != "77px"


def test_the_first_screen_has_an_answer_for_each_test(opened: Page) -> None:
    assert texts(opened, ".lead") == ["9 of 10 tests are faster in parallel, beyond noise."]
    answers = opened.locator("#answers tbody tr")
    assert answers.count() == 10
    last = answers.last.bounding_box()
    assert last is not None
    assert last["y"] + last["height"] < 900


def test_tables_sort_by_their_figures_and_not_by_their_digits(opened: Page) -> None:
    header = opened.locator("#answers thead th", has_text="Saved per run")
    assert header.get_attribute("aria-sort") is None
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    saved = [cell for cell in column(opened, "#answers table", 5) if cell]
    assert saved == ["2.53 s", "2.13 s", "1.4 s", "896 ms", "745 ms", "427 ms", "300 ms", "167 ms", "163 ms"]
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert [cell for cell in column(opened, "#answers table", 5) if cell] == saved[::-1]
    # The test without a figure is the last one in both directions.
    assert column(opened, "#answers table", 1)[-1] == "test_tiny_tasks"


def test_only_one_column_is_said_to_be_sorted(opened: Page) -> None:
    for name in ("Test", "Verdicts"):
        opened.locator("#answers thead th", has_text=name).locator("button").click()
    assert opened.locator("#answers th[aria-sort]").count() == 1
    # The worst first: of the three with failed gates the one with most of them.
    assert column(opened, "#answers table", 1)[:3] == ["test_tiny_tasks", "test_index", "test_matrix"]


def test_the_search_finds_tests_and_strategies_and_says_how_many(opened: Page) -> None:
    opened.locator("#search").fill("tokenize")
    assert column(opened, "#answers table", 1) == ["test_tokenize[utf-8]", "test_tokenize[latin-1]"]
    assert texts(opened, "article h3") == ["test_tokenize[utf-8]", "test_tokenize[latin-1]"]
    assert texts(opened, "#shown") == ["2 of 10 tests"]
    opened.locator("#search").fill("parse threads-w4")
    shown = column(opened, "#t1 .part > .scroll table", 1)
    assert shown[:2] == ["threads-w4", "processes-threads-w4"]
    opened.locator("#search").fill("")
    assert len(texts(opened, "article h3")) == 10
    assert texts(opened, "#shown") == []


def test_verdict_buttons_show_what_has_one_of_them(opened: Page) -> None:
    inconclusive = opened.locator("button[data-outcome=inconclusive]")
    inconclusive.click()
    assert inconclusive.get_attribute("aria-pressed") == "true"
    assert column(opened, "#answers table", 1) == ["test_matrix"]
    opened.locator("button[data-outcome=skipped]").click()
    assert column(opened, "#answers table", 1) == ["test_matrix", "test_download", "test_tiny_tasks"]
    inconclusive.click()
    assert column(opened, "#answers table", 1) == ["test_download", "test_tiny_tasks"]
    # A button for what no point has would only be in the way.
    assert not opened.locator("button[data-outcome=error]").is_visible()


def test_the_filter_leaves_what_is_not_about_tests(page: Page, beside: Path) -> None:
    page.goto(beside.as_uri())
    machines, recommended = "#machines .scroll:nth-of-type(1)", "#machines .scroll:nth-of-type(2)"
    page.locator("#search").fill("tokenize")
    assert column(page, machines, 1) == ["small", "large", "this run"]
    assert column(page, recommended, 1) == ["test_tokenize[utf-8]", "test_tokenize[latin-1]"]
    page.locator("#search").fill("")
    page.locator("button[data-outcome=inconclusive]").click()
    assert column(page, machines, 1) == ["small", "large", "this run"]
    assert column(page, recommended, 1) == column(page, "#answers table", 1)


def test_the_figures_of_a_plot_that_is_shown_are_shown_too(opened: Page) -> None:
    opened.locator("#search").fill("index")
    assert opened.locator("#history li").filter(visible=True).count() == 1
    opened.locator("#history li").filter(visible=True).locator("summary").first.click()
    assert len(column(opened, "#history li table", 1)) == 14


def test_the_plots_are_there_and_fit(opened: Page) -> None:
    plots = opened.locator("article svg[role=img]")
    assert plots.count() == 4 * 10
    for number in range(4):
        box = plots.nth(number).bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 150
    assert opened.locator("#history svg[role=img]").count() == 6


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_no_wider_than_the_screen(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_and_style_it_can_be_read(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.locator("#search").is_visible()
    assert len(texts(page, "article h3")) == 10
    context.close()


def test_the_keyboard_reaches_the_results_first(opened: Page) -> None:
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the results"
    box = opened.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_an_audit_finds_nothing_serious(browser: Browser, report: Path, scheme: Any, width: int) -> None:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip(
            "axe-playwright-python brings the audit and is not installed: pip install --group browser"
        )
    audit = Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('#t1 details, #t10 details').forEach(one => one.open = true)")
    page.evaluate(audit)
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    context.close()
    assert [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"][:300])
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ] == []
