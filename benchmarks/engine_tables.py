"""What engines.py found, as it is kept: one JSON file, a text of it, and the tables in docs/engines.md.

    python benchmarks/engine_tables.py

writes the text and the tables anew from the JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "engines.json"
TEXT = KEPT.with_suffix(".txt")
PAGE = ROOT / "docs" / "engines.md"
SHARE = 0.85
"""Of what two bare processes gain over one, an engine's second worker brings this at least: 1.7 of 2."""

MEANING = {
    "no-ops": "1,000 no-ops",
    "payload": "32 items of 1 MiB, there and back",
    "20 ms": "64 tasks of 20 ms",
}

Entry = Mapping[str, Any]


def gained(entry: Entry) -> str:
    """``ok``, ``undecided`` or ``MISSED``, for two workers over one."""
    _, low, high = entry["scaling"]["share"]
    if low >= SHARE:
        return "ok"
    return "undecided" if high >= SHARE else f"MISSED {SHARE}"


def crowds(entry: Entry) -> str:
    """``ok`` where exactly as many tasks ran at once as there were workers."""
    right = all(int(workers) == point["at_once"] for workers, point in entry["scaling"]["points"].items())
    return "ok" if right else "MISSED"


def verdicts(entry: Entry) -> list[str]:
    """Of all rows, the gain and the workers at once."""
    return [*(row["verdict"] for row in entry["rows"]), gained(entry), crowds(entry)]


def text(name: str, entry: Entry) -> str:
    """An engine's results as lines."""
    scaling = entry["scaling"]
    points = scaling["points"]
    together = ", ".join(f"{point['at_once']} with {workers}" for workers, point in points.items())
    speedups = "; ".join(f"{workers}: {_speedups(point)}" for workers, point in points.items())
    lines = [
        f"{name} {entry['version']}; {entry['machine']}",
        f"  to open {entry['open_seconds']:.2f} s, to close {entry['close_seconds']:.2f} s (two workers)",
        f"  µs a task               ours   native   ratio (98 %)           pairs, against {entry['against']}",
        *(f"  {row['line']}" for row in entry["rows"]),
        f"  tasks at once, at most: {together} workers: {crowds(entry)}",
        f"  speedup of CPU-bound documents with {speedups}",
        f"  two workers over one: {_interval(scaling['gain'])}",
        f"  two bare processes over one, in the same rounds: {_interval(scaling['bare'])}",
        f"  the first over the second: {_interval(scaling['share'])}, at least {SHARE}: {gained(entry)}",
    ]
    return "\n".join(lines)


def table(entry: Entry) -> str:
    """An engine's results in Markdown."""
    scaling = entry["scaling"]
    points = scaling["points"]
    speedups = ", ".join(f"{_best(point)[0]:.2f} with {workers}" for workers, point in points.items())
    rows = [
        f"| {MEANING[row['workload']]} | {_time(row['microseconds'][0])} | {_time(row['microseconds'][1])} "
        f"| {_interval(row['ratio'])} |"
        for row in entry["rows"]
    ]
    told = (
        f"Two workers: opened in {entry['open_seconds']:.1f} s, closed in {entry['close_seconds']:.1f} s. "
        f"Speedup of CPU-bound documents against a sequential run: {speedups} workers. Two workers over one: "
        f"{_interval(scaling['gain'])}, where two bare processes over one gave {_interval(scaling['bare'])}. "
        f"Version {entry['version']}; {entry['machine'].partition(';')[0]}."
    )
    return "\n".join(
        [
            f"| workload, a task | our map | {entry['against']} | ratio (98 % interval) |",
            "|---|---|---|---|",
            *rows,
            "",
            told,
        ]
    )


def page(words: str, results: Mapping[str, Entry]) -> str:
    """A page, with the tables between ``<!-- measured: NAME -->`` and ``<!-- end -->`` as the results are."""

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        found = table(results[name]) if name in results else "Not measured yet."
        return f"<!-- measured: {name} -->\n{found}\n<!-- end -->"

    return re.sub(r"<!-- measured: ([\w-]+) -->\n.*?<!-- end -->", filled, words, flags=re.DOTALL)


def texts(results: Mapping[str, Entry]) -> str:
    """All engines' results."""
    return "\n\n".join(text(name, entry) for name, entry in results.items()) + "\n"


def read() -> dict[str, Entry]:
    """What is kept."""
    found: dict[str, Entry] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    return found


def keep(name: str, entry: Entry) -> None:
    """Puts an engine's results in the place of its last ones."""
    results = dict(sorted({**read(), name: entry}.items()))
    KEPT.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for path, words in written(results):
        path.write_text(words, "utf-8")


def written(results: Mapping[str, Entry]) -> Iterator[tuple[Path, str]]:
    """The files that follow from the results, and what stands in them."""
    yield TEXT, texts(results)
    yield PAGE, page(PAGE.read_text("utf-8"), results)


def _best(point: Mapping[str, Any]) -> list[float]:
    found: list[float] = point["alone"] or point["speedup"]
    return found


def _speedups(point: Mapping[str, Any]) -> str:
    alone = f" ({_interval(point['alone'])} without others)" if point["alone"] else ""
    return _interval(point["speedup"]) + alone


def _interval(found: list[float]) -> str:
    estimate, low, high = found
    return f"{estimate:.2f}" if low is None else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def _time(microseconds: float) -> str:
    return f"{microseconds:,.0f} µs" if microseconds < 10_000 else f"{microseconds / 1000:,.1f} ms"


if __name__ == "__main__":
    for file, content in written(read()):
        file.write_text(content, "utf-8")
