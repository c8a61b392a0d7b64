"""What charts hold: the records' own figures, axes around them, and sentences that say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pytest_parallelism.history import Seen
from pytest_parallelism.history import Series as History
from pytest_parallelism.measurement import Interval, Kind, Memory
from pytest_parallelism.record import Cpu, Entry
from pytest_parallelism.reports import charts
from pytest_parallelism.reports.charts import Chart

Make = Callable[..., Entry]
OF_A_TEST = (charts.speedup, charts.efficiency, charts.cost, charts.memory)
each_chart = pytest.mark.parametrize("chart_of", OF_A_TEST, ids=lambda function: function.__name__)


def cpu(times: float) -> Cpu:
    return Cpu(seconds=0.4 * times, sequential_seconds=0.4, utilization=1.0, sequential_share=1.0)


@pytest.fixture
def points(entry: Make) -> list[Entry]:
    """Processes scale to the 2 usable cores, threads not at all."""
    return [
        entry("sequential", 1, 1.0),
        entry("processes", 1, 0.97, 0.02, cpu=cpu(1.05)),
        entry("processes", 2, 1.91, 0.03, cpu=cpu(1.1)),
        entry("processes", 4, 1.88, 0.05, cpu=cpu(1.3)),
        entry("threads", 2, 0.98, 0.02, memory=Memory(peak_bytes=90_000_000)),
        entry("loky", 2, status="skipped", reason="not installed"),
    ]


def run(number: int, speedup: float, step: float | None = None, confidence: float = 0.98) -> Seen:
    interval = Interval(estimate=speedup, low=0.97 * speedup, high=1.03 * speedup, confidence=confidence)
    when = f"2026-10-{number + 1:02}T10:00:00"
    return Seen(run=f"{number:04}_ab", when=when, commit="c0ffee", speedup=interval, step=step)


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def assert_sound(chart: Chart) -> None:
    """Every estimate lies within the axes; ticks are in order, within them, and told apart."""
    for axis in (chart.x, chart.y):
        places, labels = [at for at, _ in axis.ticks], [label for _, label in axis.ticks]
        assert axis.low < axis.high
        assert places == sorted(set(places))
        assert all(axis.low <= at <= axis.high for at in places)
        assert 1 <= len(places) <= 11
        assert len(set(labels)) == len(labels)
    for point in (point for series in chart.series for point in series.points):
        assert chart.x.low < point.x < chart.x.high
        assert chart.y.low < point.y < chart.y.high


def test_speedup_shows_each_strategy_with_its_intervals_but_not_the_baseline(points: list[Entry]) -> None:
    chart = drawn(charts.speedup(points))
    found = {series.name: [(p.x, p.y, p.low, p.high) for p in series.points] for series in chart.series}
    assert {name: [place[:2] for place in places] for name, places in found.items()} == {
        "processes": [(1, 0.97), (2, 1.91), (4, 1.88)],
        "threads": [(2, 0.98)],
    }
    record = points[2].record
    assert record is not None
    assert found["processes"][1][2:] == (record.speedup.low, record.speedup.high)


def test_points_stand_in_the_order_of_workers(entry: Make) -> None:
    chart = drawn(charts.speedup([entry("p", 4, 3.0), entry("p", 1, 1.0), entry("p", 2, 1.9)]))
    assert [point.x for point in chart.series[0].points] == [1, 2, 4]


def test_both_axes_of_speedup_are_log2_and_the_ideal_is_workers_times(points: list[Entry]) -> None:
    chart = drawn(charts.speedup(points))
    assert (chart.x.scale, chart.y.scale) == ("log2", "log2")
    ideal = next(line for line in chart.lines if line.label == "ideal")
    assert ideal.start[0] == ideal.start[1]
    assert ideal.end[0] == ideal.end[1] <= min(chart.x.high, chart.y.high)
    assert chart.y.high > 2  # as far as 2 usable cores could bring it


def test_efficiency_begins_at_nothing_and_has_a_line_at_100_percent(points: list[Entry]) -> None:
    chart = drawn(charts.efficiency(points))
    assert (chart.x.scale, chart.y.scale, chart.y.low) == ("log2", "linear", 0)
    assert [line.start[1] for line in chart.lines] == [line.end[1] for line in chart.lines] == [1.0]
    assert (1.0, "100%") in chart.y.ticks
    assert [point.y for point in chart.series[0].points] == [0.97, 0.955, 0.47]


def test_cost_is_a_multiple_of_the_sequential_cpu_seconds_labelled_with_the_workers(
    points: list[Entry],
) -> None:
    processes = drawn(charts.cost(points)).series[0]
    assert [point.x for point in processes.points] == pytest.approx([1.05, 1.1, 1.3])
    assert [point.label for point in processes.points] == ["1", "2", "4"]


def test_memory_is_in_bytes_from_nothing(points: list[Entry]) -> None:
    chart = drawn(charts.memory(points))
    assert (chart.x.scale, chart.x.low) == ("linear", 0)
    assert chart.series[1].points[0].x == 90_000_000
    assert "100 MB" in [label for _, label in chart.x.ticks]


@pytest.mark.parametrize("usable", [1, 2, 3])
def test_worker_counts_above_the_usable_cores_are_shaded(entry: Make, usable: int) -> None:
    points = [entry("p", n, 1.0 * n, usable_cores=usable) for n in (1, 2, 3, 4)]
    for chart in (drawn(charts.speedup(points)), drawn(charts.efficiency(points))):
        assert chart.shade is not None
        inside = [n for n in (1, 2, 3, 4) if chart.shade.low <= n <= chart.shade.high]
        assert inside == [n for n in (1, 2, 3, 4) if n > usable]
        assert f"more than {usable} usable core" in chart.shade.label
        assert chart.shade.label in chart.description


def test_nothing_is_shaded_where_there_are_enough_cores_or_none_is_needed(entry: Make) -> None:
    enough = drawn(charts.speedup([entry("p", 4, 3.0, usable_cores=4)]))
    waiting = drawn(charts.speedup([entry("p", 64, 50.0, kind=Kind.IO)]))
    assert enough.shade is None
    assert waiting.shade is None


def test_a_strategy_has_one_style_in_all_charts_of_a_test(entry: Make) -> None:
    points = [
        entry("unmeasured", 2, status="skipped"),
        entry("without-memory", 2, 1.5, memory=Memory()),
        entry("with-memory", 2, 1.4),
    ]
    styles = [{series.name: series.style for series in drawn(of(points)).series} for of in OF_A_TEST]
    assert styles[0] == {"without-memory": 1, "with-memory": 2}
    assert styles[-1] == {"with-memory": 2}
    assert all(found.items() <= styles[0].items() for found in styles)


@each_chart
def test_nothing_measured_is_no_chart(
    entry: Make, chart_of: Callable[[Sequence[Entry]], Chart | None]
) -> None:
    assert chart_of([]) is None
    assert chart_of([entry("threads", 2, status="failed", reason="wrong result")]) is None
    assert chart_of([entry("sequential", 1, 1.0)]) is None


def test_what_no_point_knows_is_no_chart(entry: Make) -> None:
    idle = replace(cpu(1.0), sequential_seconds=0.0)
    points = [entry("threads", 2, 1.0, memory=Memory(), cpu=idle)]
    assert charts.memory(points) is None
    assert charts.cost(points) is None
    assert charts.speedup(points) is not None


@each_chart
def test_a_single_pair_of_rounds_has_no_interval(
    entry: Make, chart_of: Callable[[Sequence[Entry]], Chart | None]
) -> None:
    lone = Interval(estimate=1.5, low=1.5, high=1.5, confidence=0)
    chart = drawn(chart_of([entry("p", 2, 1.5, speedup=lone, efficiency=lone)]))
    assert [(point.low, point.high) for point in chart.series[0].points] == [(None, None)]


@each_chart
@pytest.mark.parametrize(
    ("counts", "speedups"),
    [
        ([1], [1.0]),
        ([2], [0.001]),
        ([1024], [5000.0]),
        ([1, 2, 3, 4, 5, 6, 7, 8], [0.001, 0.1, 1, 2, 3, 4, 60, 5000]),
        ([1, 1024], [0.97, 411.0]),
        ([2, 2], [1.9, 1.9]),
    ],
    ids=str,
)
def test_axes_hold_whatever_was_measured(
    entry: Make,
    chart_of: Callable[[Sequence[Entry]], Chart | None],
    counts: list[int],
    speedups: list[float],
) -> None:
    points = [
        entry(f"s{n}", count, speedup, cpu=cpu(count / speedup))
        for n, (count, speedup) in enumerate(zip(counts, speedups, strict=True))
    ]
    assert_sound(drawn(chart_of(points)))


def test_an_interval_far_wider_than_the_figures_does_not_squeeze_them(entry: Make) -> None:
    wide = Interval(estimate=1.5, low=-3.0, high=1e6, confidence=0.98)
    chart = drawn(charts.speedup([entry("p", 2, 1.5, speedup=wide)]))
    assert chart.y.high < 8
    assert chart.y.low > 0.25


def test_worker_counts_are_ticks_powers_of_two_first_where_there_is_no_room(entry: Make) -> None:
    def ticks(*counts: int) -> list[str]:
        chart = drawn(charts.speedup([entry("p", n, 1.0) for n in counts]))
        return [label for _, label in chart.x.ticks]

    assert ticks(1, 2, 3, 6) == ["1", "2", "3", "6"]
    assert ticks(1, 2, 1024) == ["1", "2", "1,024"]
    assert ticks(15, 16, 17) == ["16"]


def test_the_description_names_the_best_point_and_where_it_stops_scaling(points: list[Entry]) -> None:
    said = drawn(charts.speedup(points)).description
    assert "2 strategies at 1 to 4 workers." in said
    assert "The best is 1.91x (±.03), processes with 2 workers: it stops scaling at 2 of 4." in said


def test_the_description_says_when_nothing_gains_and_when_it_may_scale_on(entry: Make) -> None:
    slow = drawn(charts.speedup([entry("threads", 2, 0.98)])).description
    assert (
        "Nothing is faster beyond noise; the highest figure is 0.98x (±.03), threads with 2 workers." in slow
    )
    traced = drawn(charts.speedup([entry("threads", 2, 1.9, tracing="coverage")])).description
    assert "No advice; the highest figure is 1.90x (±.03), threads with 2 workers." in traced
    scaling = drawn(charts.speedup([entry("p", 1, 0.98), entry("p", 2, 1.9)])).description
    assert "1.90x (±.03), p with 2 workers: no more were measured." in scaling


def test_descriptions_of_the_others_hold_the_figures_that_matter(points: list[Entry]) -> None:
    efficiency = drawn(charts.efficiency(points)).description
    assert "Efficiency of processes: 97% at 1 worker, 96% at 2 workers, 47% at 4 workers." in efficiency
    cost = drawn(charts.cost(points)).description
    assert "processes with 2 workers: 1.91x for 1.10 times the CPU time, the best speedup." in cost
    memory = drawn(charts.memory(points)).description
    assert "threads with 2 workers: 0.98x for 90 MB of memory at peak, the lowest cost." in memory


def test_names_are_clean_and_short_in_sentences(entry: Make) -> None:
    chart = drawn(charts.speedup([entry("evil\u202e\x00" + "x" * 5000, 2, 1.9)]))
    assert chart.series[0].name.startswith("evil??xxx")
    assert len(chart.description) < 300
    assert chart.description.isprintable()


def test_history_runs_from_the_oldest_to_the_newest_with_its_steps() -> None:
    seen = [run(n, 1.9) for n in range(4)] + [run(4, 1.6, step=0.85)] + [run(n, 1.62) for n in (5, 6)]
    chart = drawn(charts.over_time(History(point="test_parse[p-w2]", seen=tuple(seen))))
    (series,) = chart.series
    assert chart.title == "test_parse[p-w2]"
    assert [point.y for point in series.points] == [1.9, 1.9, 1.9, 1.9, 1.6, 1.62, 1.62]
    assert [point.x for point in series.points] == sorted(point.x for point in series.points)
    assert [label for _, label in chart.x.ticks] == ["2026-10-01", "2026-10-07"]
    (step,) = chart.lines
    assert step.label == "-15.0 %"
    assert series.points[3].x < step.start[0] == step.end[0] < series.points[4].x
    assert series.name == "1.62x"
    assert "over 7 stored runs, from 1.90x (2026-10-01) to 1.62x (2026-10-07)" in chart.description
    assert "-15.0 % at 2026-10-05" in chart.description
    assert_sound(chart)


def test_history_of_one_run_is_a_point_and_of_none_is_no_chart() -> None:
    assert charts.over_time(History(point="p", seen=())) is None
    chart = drawn(charts.over_time(History(point="p", seen=(run(0, 0.002, confidence=0),))))
    assert chart.series[0].points[0].low is None
    assert "over 1 stored run," in chart.description
    assert_sound(chart)


def test_history_shows_the_baseline_only_where_it_is_near() -> None:
    def labels(*speedups: float) -> list[str]:
        seen = tuple(run(n, speedup) for n, speedup in enumerate(speedups))
        return [line.label for line in drawn(charts.over_time(History(point="p", seen=seen))).lines]

    assert labels(0.9, 1.2) == ["sequential"]
    assert labels(3.0, 3.1) == []
