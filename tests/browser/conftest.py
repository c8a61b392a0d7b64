"""A report as a project has it, in a real browser."""

from __future__ import annotations

import importlib.util
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_parallelism.history import Seen, Series
from pytest_parallelism.measurement import Interval, Kind, Memory, Outcome, Verdict
from pytest_parallelism.record import Contention, Cpu, Entry, Record, Switches, Throughput
from pytest_parallelism.reports.results import Results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Each test: sequential seconds, and the share of the work that cannot run in parallel.
TESTS = {
    "suite/test_documents.py::test_parse": (0.412, 0.03),
    "suite/test_documents.py::test_index": (1.31, 0.12),
    "suite/test_documents.py::test_tokenize[utf-8]": (0.233, 0.05),
    "suite/test_documents.py::test_tokenize[latin-1]": (0.228, 0.05),
    "suite/test_images.py::TestThumbnails::test_resize": (2.85, 0.01),
    "suite/test_images.py::TestThumbnails::test_encode": (1.92, 0.02),
    "suite/test_numbers.py::test_matrix": (0.87, 0.35),
    "suite/test_numbers.py::test_monte_carlo": (3.4, 0.004),
    "suite/test_web.py::test_download": (1.05, 0.02),
    "suite/test_web.py::test_tiny_tasks": (0.012, 1.3),
}
# Each strategy: the share of the ideal gain that it reaches, and seconds to open.
STRATEGIES = {
    "processes": (1.0, 0.09),
    "joblib-loky": (0.97, 0.31),
    "threads": (0.02, 0.001),
    "mpire": (1.01, 0.12),
    "processes-threads": (0.8, 0.1),
}
ENVIRONMENT = {
    "python": "3.11.7",
    "gil": True,
    "blas_threads": 1,
    "cpu_model": "AMD EPYC 9R14 96-Core Processor",
    "cores": 8,
    "quota": None,
}


# What all records have in common.
SAME: dict[str, Any] = {
    "schema": 1,
    "strategy_version": "1.5.1",
    "strategy_info": {},
    "chunk_size": None,
    "usable_cores": 4,
    "scaling": "strong",
    "pairs": 14,
    "items": 64,
    "size_bytes": 14_200_000,
    "uncontended_speedup": None,
    "elapsed_seconds": 9.0,
    "workload_seconds": 8.8,
    "contention": Contention(sequential=0.004, parallel=0.006, reference_speedup=None),
    "serial_fraction": 0.02,
    "result": "equal",
    "verdicts": (),
    "notes": (),
    "tracing": None,
    "environment": ENVIRONMENT,
}


def interval(value: float, share: float) -> Interval:
    return Interval(estimate=value, low=value * (1 - share), high=value * (1 + share), confidence=0.98)


def record(test: str, strategy: str, workers: int, speedup: float, noise: float, **more: Any) -> Record:
    seconds, _ = TESTS[test]
    opening = STRATEGIES.get(strategy, (1.0, 0.0))[1]
    parallel = seconds / speedup
    dearer = 1 + 0.03 * (workers - 1)
    values: dict[str, Any] = {
        "test": test,
        "strategy": strategy,
        "workers": workers,
        "workers_requested": workers,
        "isolation": "thread" if strategy == "threads" else "process",
        "kind": Kind.IO if "web" in test else Kind.CPU,
        "sequential_seconds": (seconds,),
        "sequential_median": seconds,
        "first_sequential_seconds": seconds * 1.04,
        "parallel_seconds": parallel,
        "speedup": interval(speedup, noise),
        "efficiency": interval(speedup / workers, noise),
        "cold_speedup": seconds / (parallel + opening),
        "open_seconds": opening,
        "close_seconds": opening / 9,
        "throughput": Throughput(items_per_second=64 / parallel, bytes_per_second=14.2e6 / parallel),
        "cpu": Cpu(
            seconds=seconds * dearer,
            sequential_seconds=seconds,
            utilization=seconds * dearer / parallel,
            sequential_share=1.0,
        ),
        "memory": Memory(peak_bytes=90_000_000 + 41_000_000 * workers, per_worker_bytes=20_000_000),
        "context_switches": Switches(voluntary=100 * workers, involuntary=20),
        "threads": workers,
    }
    return Record(**(SAME | values | more))


def entry(test: str, strategy: str, workers: int, found: Record | None, status: Any, why: str = "") -> Entry:
    return Entry(
        nodeid=f"{test}[{strategy}-w{workers}]",
        test=test,
        strategy=strategy,
        workers_requested=workers,
        workers=workers,
        status=status,
        reason=why,
        record=found,
    )


def judged(test: str, strategy: str, workers: int, found: Interval) -> tuple[Verdict, ...]:
    """The gate that every point with 2 or 4 workers has."""
    if workers not in (2, 4, 8) or strategy not in ("processes", "joblib-loky"):
        return ()
    claim = {2: 1.5, 4: 2.5, 8: 5.0}[workers]
    outcome, what = Outcome.PASSED, "reaches"
    if workers > 4:
        outcome, what = Outcome.NOT_JUDGED, "is not judged against"
    elif found.high < claim:
        outcome, what = Outcome.FAILED, "is below"
    elif found.low < claim:
        outcome, what = Outcome.INCONCLUSIVE, "is too near to tell from"
    figures = f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    sentence = (
        f"speedup {figures} with {workers} workers {what} {claim:.2f} (14 pairs, 4 usable cores, GIL on)"
    )
    if outcome is Outcome.NOT_JUDGED:
        sentence += ": the work is CPU-bound and 8 workers share 4 usable cores"
    return (Verdict(gate="speedup", outcome=outcome, claim=claim, found=found.estimate, sentence=sentence),)


def points(seed: int, slower: str = "") -> Iterator[Entry]:
    chance = random.Random(seed)
    for test, (_, serial) in TESTS.items():
        yield entry(
            test, "sequential", 1, record(test, "sequential", 1, 1.0, 0.01, isolation="none"), "measured"
        )
        for strategy, (gain, _) in STRATEGIES.items():
            for workers in (1, 2, 4, 8):
                if strategy == "mpire" and "web" in test:
                    why = "mpire needs mpire, not installed here: pip install 'pytest-parallelism[mpire]'"
                    yield entry(test, strategy, workers, None, "skipped", why)
                    continue
                if strategy == "joblib-loky" and "tiny" in test and workers == 8:
                    yield entry(
                        test, strategy, workers, None, "failed", "item 3 is 17, sequentially it was 18"
                    )
                    continue
                if strategy == "processes-threads" and workers == 8:
                    yield entry(test, strategy, workers, None, "not measured", "run once for correctness")
                    continue
                cores = workers if "download" in test else min(workers, 4)
                ideal = 1 / (serial + (1 - serial) / cores)
                reached = gain if "download" not in test else max(gain, 0.95)
                speedup = (1 + (ideal - 1) * reached) * chance.uniform(0.96, 1.01)
                speedup *= 0.8 if slower and slower in test else 1.0
                speedup *= 0.93 if workers > 4 and "download" not in test else 1.0
                noise = chance.choice((0.01, 0.02, 0.04, 0.07))
                made = record(
                    test,
                    strategy,
                    workers,
                    speedup,
                    noise,
                    verdicts=judged(test, strategy, workers, interval(speedup, noise)),
                )
                yield entry(test, strategy, workers, made, "measured")


def over_time(test: str, strategy: str, workers: int, level: float, step: float | None) -> Series:
    chance = random.Random(test)
    seen = []
    for run in range(14):
        changed = step if step and run >= 9 else 1.0
        seen.append(
            Seen(
                run=f"{run:04}_main",
                when=f"2025-11-{run + 1:02}T08:00:00",
                commit=f"{chance.getrandbits(160):040x}",
                speedup=interval(level * changed * chance.uniform(0.98, 1.02), 0.03),
                step=step if run == 9 else None,
            )
        )
    return Series(point=f"{test}[{strategy}-w{workers}]", seen=tuple(seen))


def realistic() -> Results:
    """Ten tests, five strategies at four counts, gates, history, and a run to compare with."""
    stored = Results.of(points(2), name="0013_main", when="2025-11-14T08:00:00", commit="c0ffee" * 6)
    series = [
        over_time(test, "processes", 4, 3.2, 0.8 if "index" in test else None) for test in list(TESTS)[:6]
    ]
    return Results.of(
        points(1, slower="test_index"),
        when="2025-11-22T02:41:38",
        commit="5eed5eed" * 5,
        history=series,
        others=[stored],
    )


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as `--parallel-export=report.html` writes it."""
    if importlib.util.find_spec("jinja2") is None:
        pytest.skip("the HTML page needs jinja2, which is not installed")
    from pytest_parallelism.reports import html

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.render(realistic()), encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three runs on two machines."""
    if importlib.util.find_spec("jinja2") is None:
        pytest.skip("the HTML page needs jinja2, which is not installed")
    from pytest_parallelism.reports import html

    others = [Results.of(points(seed), name=name) for seed, name in ((2, "small"), (3, "large"))]
    path = tmp_path_factory.mktemp("beside") / "report.html"
    path.write_text(html.render(Results.of(points(1), others=others)), encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright drives the browser and is not installed: pip install --group browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, which containers do.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own; what it asks for and what its console says are in ``page.requests`` and …"""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()
