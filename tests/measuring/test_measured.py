"""What `measure` gives back and shows: text, a fragment for notebooks, files, and a bar meanwhile."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_parallelism import Measured, measure
from pytest_parallelism.errors import UsageError
from pytest_parallelism.measurement import Interval
from pytest_parallelism.record import Entry
from pytest_parallelism.reports.results import Results


def work(x: int) -> int:
    return sum(i * x for i in range(300))


@pytest.fixture(scope="module")
def small() -> Measured:
    """A small workload at four points, two of them measured."""
    return measure(work, range(8), strategies=["threads", "asyncio"], workers=[1, 2], rounds=2, name="small")


def test_it_prints_as_the_terminal_report(small: Measured) -> None:
    lines = str(small).splitlines()
    assert lines[0].startswith("small   8 items")
    assert any(line.startswith("  threads ") for line in lines)
    assert any("asyncio runs coroutine functions only" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)
    assert "--benchmark" not in str(small)


def test_its_repr_is_one_line_and_ipython_prints_the_report(small: Measured) -> None:
    assert repr(small) == "<Measured small: 4 points, nothing faster>" or ", best threads-w" in repr(small)
    told: list[str] = []

    class Printer:
        text = staticmethod(told.append)

    small._repr_pretty_(Printer(), False)
    assert told == [str(small)]


def with_speedups(found: Measured, *speedups: float) -> Measured:
    """The same, its measured points with these speedups ± .05."""
    entries: list[Entry] = []
    for entry, speedup in zip((e for e in found.points if e.record), speedups, strict=True):
        assert entry.record
        interval = Interval(estimate=speedup, low=speedup - 0.05, high=speedup + 0.05, confidence=0.98)
        entries.append(replace(entry, record=replace(entry.record, speedup=interval, tracing=None)))
    return Measured(results=Results.of(entries))


def test_the_best_is_the_recommended_point_and_none_where_nothing_gains(small: Measured) -> None:
    best = with_speedups(small, 1.2, 1.9).best
    assert best is not None
    assert best.workers == 2
    near = with_speedups(small, 1.88, 1.9).best
    assert near is not None
    assert near.workers == 1
    assert with_speedups(small, 0.9, 0.8).best is None
    assert repr(with_speedups(small, 1.2, 1.9)) == "<Measured small: 2 points, best threads-w2 1.90x>"


def test_a_notebook_gets_a_fragment_that_needs_nothing_else(small: Measured) -> None:
    fragment = small._repr_html_()
    page = ElementTree.fromstring(fragment)
    names = [row.findtext("th") for row in page.iterfind("table/tbody/tr")]
    assert [n and n.removesuffix(" (best)") for n in names] == [
        "threads-w1",
        "threads-w2",
        "asyncio-w1",
        "asyncio-w2",
    ]
    assert page.findtext("h4") == "small"
    assert len(page.findall("figure")) == 1
    everything = "".join(page.itertext())
    assert "skipped: asyncio runs coroutine functions only" in everything
    assert "usable core" in everything
    links = fragment.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not any(word in links for word in ("http", "<script", "<link", "src=", "@import", "url("))


def test_two_fragments_on_one_page_share_no_ids(small: Measured) -> None:
    def ids() -> set[str]:
        page = ElementTree.fromstring(small._repr_html_())
        return {element.attrib["id"] for element in page.iter() if "id" in element.attrib}

    first = ids()
    assert first
    assert first.isdisjoint(ids())


def test_hostile_names_and_reasons_are_text(small: Measured) -> None:
    evil = '<script>alert("x")</script><b>&\u202e' + "x" * 5000
    entries = [replace(e, test=evil, nodeid=evil + str(n), reason=evil) for n, e in enumerate(small.points)]
    fragment = Measured(results=Results.of(entries))._repr_html_()
    ElementTree.fromstring(fragment)  # it must be well-formed
    assert "<script" not in fragment
    assert "<b>" not in fragment
    assert "\u202e" not in fragment
    assert len(fragment) < 20_000


def test_it_exports_what_the_suffix_says(small: Measured, tmp_path: Path) -> None:
    assert small.export(tmp_path / "rounds.csv") == [tmp_path / "rounds.csv"]
    assert "threads" in (tmp_path / "rounds.csv").read_text("utf-8")
    with pytest.raises(UsageError, match="its suffix must be one of"):
        small.export(str(tmp_path / "rounds.docx"))


# --- progress ---


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_printed_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    measure(work, range(4), strategies=["threads", "processes"], workers=2, rounds=2)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("pytest_parallelism.measuring._progress.EVERY", 0.0)
    measure(work, range(4), strategies=["threads"], workers=[1, 2], rounds=2)
    shown = terminal.getvalue()
    assert "work:" in shown
    assert "2/2" in shown
    assert "threads-w2: 1 pair, speedup " in shown
    assert "threads-w2: 2 pairs, speedup " in shown
    assert shown.rpartition("\r")[2] == ""
    assert shown.rstrip("\r").rpartition("\r")[2].strip() == ""


def test_on_a_terminal_without_tqdm_nothing_is_shown_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(UsageError, match="show_progress needs tqdm, not installed here"):
        measure(work, range(4), strategies="threads", workers=1, rounds=2, show_progress=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    measure(work, range(4), strategies="sequential", rounds=2)
    assert terminal.getvalue() == ""
