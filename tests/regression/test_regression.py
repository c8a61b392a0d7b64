"""Points against stored runs of them: what counts as worse, and what is no fair comparison."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_parallelism.errors import UsageError
from pytest_parallelism.inference import BETWEEN_RUN, ratio_interval
from pytest_parallelism.measurement import Memory, Outcome, Verdict
from pytest_parallelism.record import Record, to_json
from pytest_parallelism.regression import between_runs, compare, condition, differing, fair, incomparable
from pytest_parallelism.settings import Limit, Settings
from pytest_parallelism.stored import failed, read, runs

from .conftest import FIVE, record


def outcome(limit: Limit = FIVE, **kwargs: Any) -> Outcome:
    return compare(limit, name="0001", **{"now": record(), "then": record(), **kwargs}).outcome


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "loss"), [("speedup:5", 0.05), ("memory:10%", 0.1), (" efficiency:0.5 ", 0.005)]
    )
    def test_are_metric_and_percents(self, text: str, loss: float) -> None:
        assert Limit.parse(text, "x").loss == pytest.approx(loss)

    @pytest.mark.parametrize(
        "text", ["speedup", "speedup:", "speedup:0", "speedup:100", "speedup:x", "mean:5", ""]
    )
    def test_others_are_refused_in_a_sentence(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"^--here "):
            Limit.parse(text, "--here")

    def test_need_a_run_to_compare_with(self) -> None:
        with pytest.raises(UsageError, match="add --parallel-compare=latest"):
            Settings.parse({"compare_fail": ("--parallel-compare-fail", "speedup:5")})

    def test_several_stand_in_one_value(self) -> None:
        settings = Settings.parse(
            {"compare": ("c", "latest"), "compare_fail": ("f", "speedup:5,memory:20 speedup:7")}
        )
        assert [(limit.metric, limit.loss) for limit in settings.compare_fail] == [
            ("speedup", 0.07),
            ("memory", 0.2),
        ]


class TestVerdicts:
    def test_the_same_passes_and_a_great_loss_fails(self) -> None:
        assert outcome() is Outcome.PASSED
        assert outcome(now=record(1.5)) is Outcome.FAILED
        assert outcome(now=record(2.0)) is Outcome.PASSED

    def test_what_may_be_noise_does_neither(self) -> None:
        assert outcome(now=record(1.7)) is Outcome.INCONCLUSIVE
        assert outcome(now=record(1.5, spread=0.3)) is Outcome.INCONCLUSIVE
        assert outcome(now=record(1.5), then=record(spread=0.3)) is Outcome.INCONCLUSIVE

    def test_a_faster_baseline_never_fails(self) -> None:
        found = compare(FIVE, now=record(1.5, sequential=0.5), then=record(), name="0001")
        assert found.outcome is Outcome.PASSED
        assert "the sequential ones more so" in found.sentence

    def test_a_contended_machine_does_not_fail(self) -> None:
        found = compare(FIVE, now=record(1.5), then=record(), name="0001", contended=0.4)
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "40 % of its runnable time" in found.sentence

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"strategy_version": "2"}, "threads was 2 and is 1"),
            ({"usable_cores": 4}, "usable cores were 4 and are 2"),
            ({"workers": 4}, "workers were 4 and are 2"),
            ({"environment": {"cpu_model": "B", "python": "3.11.7", "gil": True}}, "CPU was B and is A"),
            (
                {"environment": {"cpu_model": "A", "python": "3.12.1", "gil": True}},
                "Python was 3.12 and is 3.11",
            ),
            ({"environment": {"cpu_model": "A", "python": "3.11.7", "gil": False}}, "GIL was off and is on"),
        ],
    )
    def test_another_machine_is_named_and_not_judged(self, change: dict[str, Any], said: str) -> None:
        then = record(2.4, **change)
        found = compare(FIVE, now=record(), then=then, name="0001")
        assert found.outcome is Outcome.NOT_JUDGED
        assert said in found.sentence
        assert outcome(then=then, anyway=True) is Outcome.FAILED

    def test_a_newer_patch_of_python_is_the_same(self) -> None:
        other = record(environment={"cpu_model": "A", "python": "3.11.9", "gil": True})
        assert differing(record(), other) is None

    @pytest.mark.parametrize(
        ("value", "told"), [(True, "on"), (False, "off"), (None, "unknown"), ("3.11.7", "3.11.7"), (2, "2")]
    )
    def test_conditions_are_said_in_words(self, value: Any, told: str) -> None:
        assert condition(record(environment={"x": value}), "x") == told

    def test_memory_may_not_grow(self) -> None:
        limit = Limit(metric="memory", loss=0.1)
        more = record(memory=Memory(peak_bytes=130_000_000))
        assert outcome(limit) is Outcome.PASSED
        assert outcome(limit, now=more) is Outcome.FAILED
        assert outcome(limit, then=more) is Outcome.PASSED
        assert outcome(limit, now=record(memory=Memory())) is Outcome.NOT_JUDGED

    def test_throughput_is_of_this_machine_alone_and_needs_a_greater_loss(self) -> None:
        limit = Limit(metric="throughput", loss=0.05)
        assert outcome(limit, now=record(sequential=1.2)) is Outcome.INCONCLUSIVE
        assert outcome(limit, now=record(sequential=2.0)) is Outcome.FAILED

    def test_a_traced_run_is_not_judged(self) -> None:
        assert outcome(then=record(tracing="coverage")) is Outcome.NOT_JUDGED


class TestIncomparable:
    """What the page and Markdown say of a pair of records, where no limit asks for a verdict."""

    def busy(self, **changes: Any) -> Record:
        now = record(1.0)
        return replace(now, contention=replace(now.contention, contended=True), **changes)

    def said(self, now: Record, then: Record) -> str | None:
        return incomparable("speedup", now=now, then=then, name="0001")

    def test_is_what_no_verdict_can_be_given_on(self) -> None:
        for then in (record(2.4, workers=4), record(tracing="coverage"), self.busy()):
            found = compare(FIVE, now=record(), then=then, name="0001")
            assert found.outcome is Outcome.NOT_JUDGED
            assert found.sentence.endswith(f": {self.said(record(), then)}")
        assert self.said(record(), record(1.2)) is None

    def test_is_a_loaded_point_without_an_estimate(self) -> None:
        assert self.said(self.busy(), record()) == "the machine was busy with other things during this run"
        estimated = self.busy(uncontended_speedup=record(1.7).speedup)
        assert self.said(estimated, record()) is None
        assert fair(estimated) == record(1.7).speedup
        assert fair(record()) == record().speedup

    def test_is_no_throughput_of_a_loaded_machine_though_an_estimate_is_there(self) -> None:
        estimated = self.busy(uncontended_speedup=record(1.7).speedup)
        assert incomparable("throughput", now=estimated, then=record(), name="0001")
        assert incomparable("memory", now=estimated, then=record(), name="0001") is None


class TestSpread:
    def test_needs_five_runs(self) -> None:
        assert between_runs("speedup", [record()] * 4) is None
        assert between_runs("speedup", [record()] * 5) == pytest.approx(0)

    def test_is_what_the_rounds_do_not_explain(self) -> None:
        chance = np.random.default_rng(5)
        stored = [record(float(1.8 * math.exp(0.1 * chance.normal()))) for _ in range(200)]
        assert between_runs("speedup", stored) == pytest.approx(0.1, rel=0.15)

    def test_makes_a_verdict_of_unsteady_machines_careful(self) -> None:
        stored = [record(speedup) for speedup in (1.6, 2.0, 1.7, 1.9, 1.8, 1.5)]
        assert outcome(now=record(1.5), stored=stored) is Outcome.INCONCLUSIVE

    def test_false_alarms_are_rare_and_losses_found(self) -> None:
        """Sessions of 20 pairs, 5 % noise a pair, 1 % between sessions; nothing lost, or 20 %."""
        chance = np.random.default_rng(7)

        def session(true: float) -> Record:
            shift = BETWEEN_RUN * chance.normal()
            logs = math.log(true) + shift + 0.05 * chance.normal(size=20)
            found = ratio_interval([float(x) for x in logs])
            return replace(record(found.estimate), speedup=found)

        same = [outcome(now=session(1.8), then=session(1.8)) for _ in range(2000)]
        lost = [outcome(now=session(1.8 * 0.8), then=session(1.8)) for _ in range(300)]
        assert same.count(Outcome.FAILED) <= 2
        assert lost.count(Outcome.FAILED) >= 0.95 * len(lost)


class TestStoredRuns:
    def write(self, folder: Path, number: int, *records: Record, **changes: Any) -> Path:
        path = folder / f"{number:04}_run.json"
        benchmarks = [
            {"fullname": f"t[{i}]", "extra_info": {"parallelism": to_json(one)}}
            for i, one in enumerate(records)
        ]
        foreign = {"fullname": "other", "extra_info": {}}
        whole = {"benchmarks": [*benchmarks, foreign], "datetime": f"2026-01-{number:02}", **changes}
        path.write_text(json.dumps(whole))
        return path

    def test_are_read_newest_first(self, tmp_path: Path) -> None:
        paths = [self.write(tmp_path, number, record()) for number in (2, 3, 1)]
        found, unread = runs(paths)
        assert [run.name for run in found] == ["0003_run", "0002_run", "0001_run"]
        assert unread == []
        assert found[0].record("t[0]") == record()
        assert found[0].record("t[1]") is None
        assert set(found[0].points) == {"t[0]"}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "no whole JSON"),
            ('{"benchmarks": [', "no whole JSON"),
            ("[1, 2]", "not of pytest-benchmark"),
            ('{"benchmarks": 3}', "not of pytest-benchmark"),
            ("[" * 100_000, "no whole JSON"),
            ("\x00\xff", "no whole JSON"),
        ],
    )
    def test_a_file_that_is_none_gets_a_sentence(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "0001_bad.json"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(UsageError, match=f"^0001_bad.json .*{said}"):
            read(path)
        assert len(runs([path, self.write(tmp_path, 2, record())])[0]) == 1

    def test_a_broken_record_gets_a_sentence_when_it_is_asked_for(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, 1, record())
        path.write_text(path.read_text().replace('"speedup"', '"speed"', 1))
        with pytest.raises(UsageError, match=r"^0001_run.json: .*speedup"):
            read(path).record("t[0]")

    def test_a_missed_gate_is_no_baseline(self) -> None:
        missed = Verdict(gate="speedup", outcome=Outcome.FAILED, claim=1.9, found=1.8, sentence="")
        assert failed(record(verdicts=(missed,)))
        assert not failed(record())
