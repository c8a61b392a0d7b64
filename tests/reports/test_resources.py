"""What the points used, as ``-v`` shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pytest_parallelism.measurement import Memory
from pytest_parallelism.record import Cpu, Entry, Io, Shipped, Switches, Throughput
from pytest_parallelism.reports import text
from pytest_parallelism.reports.resources import resources
from pytest_parallelism.reports.terminal import render

Make = Callable[..., Entry]

CPU = Cpu(
    seconds=0.43,
    sequential_seconds=0.41,
    utilization=1.9,
    sequential_share=1.0,
    user_seconds=0.41,
    system_seconds=0.02,
    delay_seconds=0.0012,
)
THROUGHPUT = Throughput(
    items_per_second=297.0, bytes_per_second=65.8e6, items_per_cpu_second=149.0, items_per_gigabyte=352.0
)


def processes(entry: Make) -> Entry:
    memory = Memory(
        peak_bytes=182_000_000,
        per_worker_bytes=20_000_000,
        per_worker_pss_bytes=24_500_000,
        helpers_bytes=12_300_000,
    )
    return entry(
        "processes-forkserver",
        2,
        1.9,
        cpu=CPU,
        throughput=THROUGHPUT,
        memory=memory,
        context_switches=Switches(voluntary=312.4, involuntary=12.2),
        io=Io(read_bytes=0, written_bytes=4096, read_chars=14_300_000, written_chars=120),
        shipped=Shipped(out_bytes=14_200_000, in_bytes=8200),
    )


def threads(entry: Make) -> Entry:
    return entry(
        "threads",
        2,
        0.98,
        cpu=CPU,
        throughput=THROUGHPUT,
        memory=Memory(peak_bytes=35_000_000),
        context_switches=Switches(voluntary=1400.0, involuntary=0.3),
        io=Io(read_bytes=0, written_bytes=0, read_chars=14_300_000, written_chars=120),
        shipped=Shipped(out_bytes=0, in_bytes=0),
    )


AT_80 = """\
                           items    bytes
                              /s       /s     cpu    user  system
  processes-forkserver-w2    297  65.8 MB  430 ms  410 ms   20 ms
  threads-w2                 297  65.8 MB  430 ms  410 ms   20 ms
                                           items  memory   worker
                           cores   delay  /cpu s    peak      PSS
  processes-forkserver-w2   1.90  1.2 ms     149  182 MB  24.5 MB
  threads-w2                1.90  1.2 ms     149   35 MB
                           worker           items
                              USS  helpers    /GB  threads  switches
  processes-forkserver-w2   20 MB  12.3 MB    352        2    312+12
  threads-w2                                  352        2    1.4k+0
                           shipped  shipped  storage    calls    calls
                               out       in  written     read  written
  processes-forkserver-w2  14.2 MB   8.2 kB   4.1 kB  14.3 MB    120 B
  threads-w2                   0 B      0 B      0 B  14.3 MB    120 B"""

AT_160 = """\
                           items    bytes                                          items  memory   worker  worker
                              /s       /s     cpu    user  system  cores   delay  /cpu s    peak      PSS     USS
  processes-forkserver-w2    297  65.8 MB  430 ms  410 ms   20 ms   1.90  1.2 ms     149  182 MB  24.5 MB   20 MB
  threads-w2                 297  65.8 MB  430 ms  410 ms   20 ms   1.90  1.2 ms     149   35 MB
                                    items                     shipped  shipped  storage    calls    calls
                           helpers    /GB  threads  switches      out       in  written     read  written
  processes-forkserver-w2  12.3 MB    352        2    312+12  14.2 MB   8.2 kB   4.1 kB  14.3 MB    120 B
  threads-w2                          352        2    1.4k+0      0 B      0 B      0 B  14.3 MB    120 B"""  # noqa: E501  # the text as printed, 160 wide


def shown(entries: Sequence[Entry], width: int) -> str:
    return "\n".join(row for row, _ in resources(entries, width))


@pytest.mark.parametrize(("width", "expected"), [(80, AT_80), (160, AT_160)])
def test_the_figures_of_points_stand_below_each_other(entry: Make, width: int, expected: str) -> None:
    assert shown([processes(entry), threads(entry)], width) == expected


def test_figures_that_no_point_knows_and_those_that_are_nothing_everywhere_have_no_column(
    entry: Make,
) -> None:
    report = shown([threads(entry)], 160)
    assert not {"PSS", "USS", "helpers", "shipped", "storage"} & set(report.split())
    assert {"calls", "switches", "threads"} <= set(report.split())


def test_points_without_figures_have_no_row_and_alone_no_table(entry: Make) -> None:
    failed = entry("joblib-loky", 2, status="failed", reason="17")
    assert "joblib" not in shown([threads(entry), failed], 160)
    assert shown([failed], 160) == ""


def test_heads_are_dim_and_figures_are_not(entry: Make) -> None:
    assert [style for _, style in resources([threads(entry)], 160)] == ["dim", "dim", ""]


@pytest.mark.parametrize("width", range(40, 200))
def test_no_line_is_wider_than_the_terminal(entry: Make, width: int) -> None:
    long = replace(processes(entry), strategy="語" * 40)
    assert all(text.cells(row) <= width for row, _ in resources([long, threads(entry)], width))


@pytest.mark.parametrize("verbose", [True, False])
def test_the_report_shows_resources_on_request_and_explains_them_once(entry: Make, verbose: bool) -> None:
    entries = [processes(entry), replace(threads(entry), test="other", nodeid="other")]
    report = "\n".join(line.text for line in render(entries, width=160, saved=True, verbose=verbose))
    assert report.count("switches  ") == 2 * verbose
    assert report.count("resources: of a parallel round") == verbose
