"""Every fault on every local strategy, and on the pools that people use without us, as two tables.

``python benchmarks/faults.py --write`` runs both and writes ``benchmarks/results/faults.txt`` and the tables
of ``docs/faults.md``; ``--ours NAME …`` and ``--stock NAME …`` run some of them and print.

Stock pools run in a Python of their own each, as their documentation shows them, with their own timeout where
a task hangs; what has not ended after 5 s hangs.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest_parallelism.conformance as package
from pytest_parallelism.conformance import FAULTS, Ends, Fault, Outcome, played
from pytest_parallelism.conformance._alone import full_memory_wrapper, large_items
from pytest_parallelism.conformance._harm import sleep_noted
from pytest_parallelism.conformance._matrix import Stage
from pytest_parallelism.conformance._traces import end_session, in_session
from pytest_parallelism.registry import load
from pytest_parallelism.strategy import Strategy, StrategyOptions

BOUND_SECONDS = 5.0
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "faults.md"
RESULTS = ROOT / "benchmarks" / "results" / "faults.txt"
GENTLE = [fault for fault in FAULTS.values() if fault.gentle]
OTHERS = [fault for fault in FAULTS.values() if not fault.gentle]


# Ours.


def ours(names: Sequence[str]) -> tuple[str, list[str]]:
    """The table of latencies, and sentences on what went wrong."""
    heads = ["strategy", f"{len(GENTLE)} of tasks", *(fault.name for fault in OTHERS), "longest closing"]
    rows, wrong = [], []
    for name in names:
        strategy = load()[name]
        obstacle = strategy.obstacle(2)
        if obstacle:
            wrong.append(f"not run: {obstacle}")
            continue
        outcomes = dict(one_strategy(strategy))
        gentle = [came for fault, came in outcomes.items() if FAULTS[fault].gentle]
        cells = [cell(gentle), *(cell([outcomes[f.name]] if f.name in outcomes else []) for f in OTHERS)]
        rows.append([f"`{name}`", *cells, f"{1000 * max(c.closing for c in outcomes.values()):.0f}"])
        wrong += [f"{name}: {text.strip()}" for came in outcomes.values() for text in came.wrong]
        print(" ".join(rows[-1]), flush=True)
    return table(heads, rows), list(dict.fromkeys(wrong))


def one_strategy(strategy: Strategy) -> Iterator[tuple[str, Outcome]]:
    options = StrategyOptions(by_value=(package,))
    gentle = [fault for fault in GENTLE if isinstance(fault.ends(strategy), Ends)]
    for faults in (gentle, *([fault] for fault in OTHERS)):
        if isinstance(faults[0].ends(strategy), Ends):
            with tempfile.TemporaryDirectory() as folder:
                came = failing_to_play(strategy, options, faults, Path(folder))
            yield from zip((fault.name for fault in faults), came, strict=True)


def failing_to_play(
    strategy: Strategy, options: StrategyOptions, faults: Sequence[Fault], folder: Path
) -> list[Outcome]:
    """What a defect raises outside of a map is an outcome too."""
    try:
        return played(strategy, options, faults, folder)
    except Exception as exc:  # noqa: BLE001  # it stands in the table
        text = f"{', '.join(fault.name for fault in faults)}: {type(exc).__name__}: {exc}"
        return [Outcome(type(exc).__name__, 0.0, (text,))] * len(faults)


def cell(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "-"
    text = f"{1000 * max(0.0, *(outcome.seconds for outcome in outcomes)):.0f}"
    return f"{text} ✗" if any(outcome.wrong for outcome in outcomes) else text


# Promises: what each fault ends in.


def promises() -> str:
    places = [load()["processes"], load()["threads"], load()["sequential"]]
    heads = ["fault", "what happens", "tasks in processes", "tasks in threads", "tasks in the caller"]
    rows = [
        [fault.name, fault.says, *(promised(fault.ends(place)) for place in places)]
        for fault in FAULTS.values()
    ]
    return table(heads, rows)


def promised(ends: Ends | str) -> str:
    if isinstance(ends, str):
        return ends
    return f"`{ends.error.__name__}`" if ends.error else "works"


# Stock pools.


class Stock:
    """A stock pool with the one verb of ours, so that the same faults run on it; its chunks have one item."""

    workers = 2

    def __init__(self, run: Callable[..., list[Any]]) -> None:
        self.run = run

    def map(self, fn: Any, items: Any, *, timeout: float | None = None, **_: Any) -> Any:
        return self.run(fn, items, timeout)


@contextmanager
def thread_pool_executor() -> Iterator[Stock]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as executor:
        yield Stock(lambda fn, items, timeout: list(executor.map(fn, items, timeout=timeout)))


@contextmanager
def process_pool_executor() -> Iterator[Stock]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as executor:
        yield Stock(lambda fn, items, timeout: list(executor.map(fn, items, timeout=timeout)))


@contextmanager
def multiprocessing_pool() -> Iterator[Stock]:
    from multiprocessing import get_context

    with get_context("fork").Pool(2) as pool:
        yield Stock(lambda fn, items, timeout: pool.map_async(fn, items, chunksize=1).get(timeout))


@contextmanager
def joblib_parallel() -> Iterator[Stock]:
    from joblib import Parallel, delayed

    yield Stock(
        lambda fn, items, timeout: Parallel(n_jobs=2, timeout=timeout)(delayed(fn)(item) for item in items)
    )


STOCK: Mapping[str, tuple[Callable[[], Any], str]] = {
    "ThreadPoolExecutor": (thread_pool_executor, "threads"),
    "ProcessPoolExecutor": (process_pool_executor, "processes"),
    "multiprocessing.Pool": (multiprocessing_pool, "processes"),
    "joblib.Parallel": (joblib_parallel, "processes"),
}


def stock(names: Sequence[str]) -> str:
    rows = []
    for fault in FAULTS.values():
        rows.append([fault.name, *(stock_cell(name, fault) for name in names)])
        print(" | ".join(rows[-1]), flush=True)
    return table(["fault", *(f"`{name}`" for name in names)], rows)


def stock_cell(name: str, fault: Fault) -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        output = Path(folder, "output")
        wrapper = full_memory_wrapper() if fault.name == "full shared memory" else ()
        with output.open("w") as file:
            program = subprocess.Popen(
                [*wrapper, sys.executable, __file__, "--child", name, fault.name, folder],
                stdout=file,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))},
                start_new_session=True,
            )
        if fault.name == "Ctrl-C":
            wait_for(Path(folder, "started").exists)
            os.killpg(program.pid, signal.SIGINT)
        hung = not wait_for(lambda: program.poll() is not None)
        wait_for(lambda: hung or not in_session(program.pid), 1.0)
        left = 0 if hung else len(in_session(program.pid))
        end_session(program.pid)
        program.wait()
        return told(fault, output.read_text().strip(), None if hung else program.returncode, left)


def told(fault: Fault, said: str, code: int | None, left: int) -> str:
    """A cell: what the map said, how the program ended (None: it hung), and how many processes it left."""
    text = f"`{said}`" if said and said != "works" else said
    if fault.name == "raises" and said == "LookupError":
        text = "own error"
    if code is None:
        return f"{text}, then **hangs**" if text else "**hangs**"
    if not text:
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        as_python_does = fault.name == "Ctrl-C" and ended == "SIGINT"
        text = "`KeyboardInterrupt`" if as_python_does else f"program ended: {ended}"
    return f"{text}; left behind: {left} process{'es' * (left > 1)}" if left else text


def child(name: str, fault: Fault, folder: Path) -> None:
    """One fault on one stock pool; says how the map ended, and closes the pool."""
    make, alike = STOCK[name]
    stage = Stage(folder)
    with make() as pool:
        try:
            if fault.name == "Ctrl-C":
                pool.map(partial(sleep_noted, str(folder / "started")), range(4))
            elif fault.name == "full shared memory":
                pool.map(len, large_items())
            else:
                fault.run(pool, load()[alike], stage)
        except BaseException as exc:
            if fault.name != "Ctrl-C":
                print(type(exc).__name__, flush=True)
            else:
                raise
        else:
            print("works", flush=True)


def wait_for(condition: Callable[[], object], seconds: float = BOUND_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# Output.


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def written(name: str, text: str) -> None:
    """Between the marks of that name in the documentation."""
    page = DOCS.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    DOCS.write_text(before + begin + text + end + after, encoding="utf-8")


def local() -> list[str]:
    return [name for name, strategy in load().items() if strategy.group == "local"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--ours", nargs="*")
    parser.add_argument("--stock", nargs="*")
    parser.add_argument("--child", nargs=3)
    given = parser.parse_args()
    if given.child:
        name, fault, folder = given.child
        child(name, FAULTS[fault], Path(folder))
        return
    parts: dict[str, str] = {}
    if given.ours is not None or given.write:
        latencies, wrong = ours(given.ours or local())
        parts |= {"promises": promises(), "latencies": latencies, "wrong": "\n".join(wrong) or "Nothing."}
    if given.stock is not None or given.write:
        parts["stock"] = stock(given.stock or list(STOCK))
    machine = f"Python {platform.python_version()}, {platform.system()}, {len(os.sched_getaffinity(0))} cores"
    text = "\n\n".join([machine, *(f"{name}:\n\n{part}" for name, part in parts.items())])
    print(text)
    if given.write:
        RESULTS.write_text(text + "\n", encoding="utf-8")
        for name in ("promises", "latencies", "stock"):
            written(name, parts[name])


if __name__ == "__main__":
    main()
