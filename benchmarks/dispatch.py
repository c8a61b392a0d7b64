"""What our strategies cost above a loop written by hand on the same mechanism: at most 5 %.

Usage: python benchmarks/dispatch.py [--only NAME] [--workload NAME] [--pairs N] [--quick]

Each hand-written loop is the idiom of its library's documentation (hand_written.py). Both sides have two
workers, open and warm. Each pair is one round of ours and one of theirs, a few milliseconds apart and in
alternating order, so that foreign load meets both. The ratio is the Hodges-Lehmann estimate of the log
ratios with its signed-rank interval (pytest_parallelism.inference). Pools are opened anew in each of five
sessions, since where workers land differs more between sessions than within; from the third on, a row that
is decided gets no more rounds, and the interval pays for the three looks (Bonferroni). ``ok``: the interval
lies below the limit; ``MISSED``: above; else ``undecided``.

Workloads: ``one``: 1,000 no-op tasks, chunk 1; ``best``: the same, one chunk a worker; ``payload``: 32 items
of 1 MiB, there and back; ``memory``: PSS of a worker after each of seven sessions. Exit status 1 where a
row is missed, 2 where one is undecided.

A row ``kept heap`` is told after a payload that is not ok, and does not count: the same, with malloc told on
both sides to give nothing back to the system (mallopt(3)). Otherwise a fresh interpreter asks the kernel
for up to 2.6 MB a task again, a page fault for every 4 KB, wherever nothing small happens to lie above what
it has freed: as much work as all the rest, met by either side by chance of how its heap lies.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dispatch_arms as arms

from pytest_parallelism.inference import ALPHA, ratio_interval
from pytest_parallelism.registry import load
from pytest_parallelism.resources import environment, usable_cores
from pytest_parallelism.workers import end, hidden_main
from pytest_parallelism.workers.environment import variables

PAIRS = 100
SESSIONS = 5
FIRST_LOOK = 3
MEMORY_SESSIONS = 7
"""With fewer, no signed-rank interval of 98 % is finite."""
ROUND_SECONDS = 0.01
"""Shorter maps are repeated within a round, or the clock and a cold cache would be measured."""
MEMORY_LIMIT = 1.10
KEPT_HEAP = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""The latter is the highest that malloc takes."""
PATIENCE = 120.0
"""Seconds after which a side that does not answer has failed."""
HEADER = (
    f"{'strategy':34}{'against':21}{'workload':10}{'ours':>9}{'by hand':>9}   ratio (98 %)           pairs"
)


@dataclass
class Row:
    """Paired figures of one workload: seconds a task, or bytes a worker."""

    workload: str
    limit: float
    scale: float
    pairs: list[tuple[float, float]] = field(default_factory=list)
    of: str = ""
    """What is run, where it has another name."""

    def __str__(self) -> str:
        found = self.interval()
        ours, theirs = (statistics.median(side) * self.scale for side in zip(*self.pairs, strict=True))
        ratio = f"{found.estimate:6.3f} [{found.low:.3g}, {found.high:.3g}]"
        return f"{self.workload:10}{ours:9.2f}{theirs:9.2f}  {ratio:24}{len(self.pairs):4}  {self.verdict()}"

    def interval(self) -> Any:
        logs = [math.log(ours / theirs) for ours, theirs in self.pairs]
        looks = 1 if self.workload == "memory" else SESSIONS - FIRST_LOOK + 1
        return ratio_interval(logs, alpha=ALPHA / looks)

    def wanted(self, session: int) -> bool:
        """Whether it gets more pairs in that session."""
        return session < FIRST_LOOK or self.verdict() == "undecided"

    def verdict(self) -> str:
        found = self.interval()
        if found.confidence and found.high < self.limit:
            return "ok"
        return f"MISSED {self.limit:.2f}" if found.confidence and found.low > self.limit else "undecided"


class Side:
    """The process of one side, as seen from here."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, question: Any) -> None:
        self._connection.send(question)

    def answer(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise TimeoutError(f"no answer within {PATIENCE:g} s")
        return self._connection.recv()

    def seconds(self, workload: str, times: int) -> float:
        self.ask((workload, times))
        found: float = self.answer()
        return found


@contextmanager
def side(which: str, name: str, number: int, size: arms.Size) -> Iterator[Side]:
    """One side, its pool open and warm."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=arms.serve, args=(there, which, name, number, size))
    with hidden_main():
        process.start()
    there.close()
    opened = Side(here)
    try:
        assert opened.answer() == "open"
        yield opened
        opened.ask("end")
        process.join(PATIENCE)
    finally:
        end([process])
        here.close()


def compared(name: str, number: int, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of a strategy and one of its counterparts."""
    against, size = arms.counterparts()[name][number], options.size
    tasks = {"one": size.tasks, "best": size.tasks, "payload": size.items}
    chosen = [workload for workload in against.workloads if workload in options.workload]
    rows = [Row(workload, against.limit, 1e6 / tasks[workload]) for workload in chosen]
    payload = Row("kept heap", against.limit, 1e6 / size.items, of="payload")
    memory = Row("memory", MEMORY_LIMIT, 1e-6)
    weighed = "memory" in options.workload and against.limit == arms.LIMIT
    for session in range(options.weighings if weighed else options.sessions):
        asked = rows if session < options.sessions else []
        wanted = [row for row in asked if row.wanted(session)]
        if wanted or weighed:
            one_session(name, number, session, wanted, memory if weighed else None, options)
    yield from rows
    if any(row.workload == "payload" and row.verdict() != "ok" for row in rows):
        with variables(KEPT_HEAP):
            for session in range(options.sessions):
                if payload.wanted(session):
                    one_session(name, number, session, [payload], None, options)
        yield payload
    if memory.pairs:
        yield memory


def one_session(
    name: str, number: int, session: int, rows: Sequence[Row], memory: Row | None, options: argparse.Namespace
) -> None:
    """Opens both sides, and runs their share of the pairs."""
    with ExitStack() as stack:
        sides = {}
        for which in ("ours", "theirs") if session % 2 else ("theirs", "ours"):
            sides[which] = stack.enter_context(side(which, name, number, options.size))
        ours, theirs = sides["ours"], sides["theirs"]
        for row in rows:
            workload = row.of or row.workload
            times = max(1, math.ceil(options.round / theirs.seconds(workload, 1)))
            ours.seconds(workload, times)  # the first round meets cold caches
            theirs.seconds(workload, times)
            row.pairs += [pair(ours, theirs, workload, times, n) for n in range(options.pairs)]
        if memory:
            for one in (ours, theirs):
                one.ask(None)
            weights = ours.answer(), theirs.answer()
            if None not in weights:
                memory.pairs.append(weights)


def pair(ours: Side, theirs: Side, workload: str, times: int, number: int) -> tuple[float, float]:
    """Seconds of ours and of theirs, in alternating order."""
    if number % 2:
        mine = ours.seconds(workload, times)
        return mine, theirs.seconds(workload, times)
    other = theirs.seconds(workload, times)
    return ours.seconds(workload, times), other


def options() -> argparse.Namespace:
    """What the command line says."""
    workloads = (*arms.WORKLOADS, "memory")
    parser = argparse.ArgumentParser(description="Our strategies against loops written by hand.")
    parser.add_argument("--only", action="append", metavar="NAME", help="a strategy; repeatable")
    parser.add_argument("--workload", action="append", choices=workloads, help="repeatable")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"at most, in {SESSIONS} sessions")
    parser.add_argument("--quick", action="store_true", help="a few pairs of small maps: proves nothing")
    found = parser.parse_args()
    found.workload = found.workload or workloads
    found.sessions = 1 if found.quick else SESSIONS
    found.weighings = 1 if found.quick else MEMORY_SESSIONS
    found.pairs = 4 if found.quick else max(1, found.pairs // SESSIONS)
    found.size = arms.Size(tasks=20, items=2, bytes=1 << 16) if found.quick else arms.Size()
    found.round = 0.0 if found.quick else ROUND_SECONDS
    return found


def described() -> str:
    """The machine and its load."""
    where = environment(cores := usable_cores())
    load_now = ", ".join(f"{one:.1f}" for one in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{where['cpu_model']}, {cores.usable} usable cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load average {load_now}"
    )


def main(asked: argparse.Namespace) -> int:
    """The exit status."""
    known, table = load(), arms.counterparts()
    absent = sorted(set(asked.only or ()) - set(known))
    if absent:
        sys.exit(f"no strategy is named {', '.join(absent)}; known: {', '.join(sorted(known))}")
    names = [name for name in known if name in table and name in (asked.only or known)]
    # Modules come compiled, as installed ones do: Python's compiler would take 0.23 MB of a worker.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(described())
    print(
        f"{arms.WORKERS} workers a side, interleaved rounds; µs a task, MB a worker; limits "
        f"{arms.LIMIT} (time), {MEMORY_LIMIT} (memory), {arms.FASTER} (ProcessPoolExecutor)\n{HEADER}"
    )
    verdicts = [verdict for name in names for verdict in told(name, asked)]
    without = sorted(set(asked.only or known) - set(names))
    print(f"without a hand-written counterpart: {', '.join(without) or 'none'}")
    counts = {word: sum(word in verdict for verdict in verdicts) for word in ("ok", "undecided", "MISSED")}
    print(", ".join(f"{count} {word}" for word, count in counts.items()) + "\n" + described())
    return 1 if counts["MISSED"] else 2 if counts["undecided"] else 0


def told(name: str, asked: argparse.Namespace) -> Iterable[str]:
    """Prints the rows of a strategy; their verdicts."""
    if obstacle := load()[name].obstacle(arms.WORKERS):
        print(f"{name:34}not here: {obstacle}")
        return
    for number, against in enumerate(arms.counterparts()[name]):
        try:
            for row in compared(name, number, asked):
                print(f"{name:34}{against.name:21}{row}", flush=True)
                if not row.of:
                    yield row.verdict()
        except (EOFError, TimeoutError, OSError) as exc:
            print(f"{name:34}{against.name:21}MISSED: a side failed ({exc!r})", flush=True)
            yield "MISSED"


if __name__ == "__main__":
    sys.exit(main(options()))
