"""Every fault ends in its error in bounded time, and nothing is left behind."""

from __future__ import annotations

import re
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ..alarm import limit
from ..errors import PoolError, WorkerLost
from ..strategy import HasPids, Isolation, Pool, Strategy, StrategyOptions
from ._alone import ALONE
from ._matrix import FAULTS, HUNG_SECONDS, Ends, Fault, Outcome, Stage
from ._tasks import OUTSIDE, as_task, counted, double
from ._traces import lasting, own_temporary_files, remaining, state

__all__ = ["Faults", "played"]

_GRACE_SECONDS = 2.0
"""How long what was killed may take to be gone."""

_GENTLE = [fault for fault in FAULTS.values() if fault.gentle]
_OTHERS = [fault for fault in FAULTS.values() if not fault.gentle]
_warm: set[str] = set()


class Faults:
    """The fault matrix, for one strategy."""

    @pytest.mark.parametrize("fault", _OTHERS, ids=lambda fault: fault.name.replace(" ", "-"))
    def test_a_fault_ends_as_promised(
        self, strategy: Strategy, options: StrategyOptions, fault: Fault, tmp_path: Path
    ) -> None:
        """With nothing left behind; then a fresh pool works."""
        ends = fault.ends(strategy)
        if isinstance(ends, str):
            pytest.skip(f"{strategy.name}, {fault.name}: {ends}")
        (outcome,) = played(strategy, options, [fault], tmp_path)
        assert "\n".join(outcome.wrong) == ""
        with limit(HUNG_SECONDS, "a fresh pool hangs"), strategy.open(1, options) as pool:
            assert pool.map(as_task(strategy, double), [4]) == [8]

    def test_a_pool_survives_faults_of_tasks(
        self, strategy: Strategy, options: StrategyOptions, tmp_path: Path
    ) -> None:
        """One pool meets all of them, works after each, and leaves nothing behind."""
        faults = [fault for fault in _GENTLE if not isinstance(fault.ends(strategy), str)]
        outcomes = played(strategy, options, faults, tmp_path)
        assert "\n".join({wrong for outcome in outcomes for wrong in outcome.wrong}) == ""


def played(
    strategy: Strategy, options: StrategyOptions, faults: Sequence[Fault], folder: Path
) -> list[Outcome]:
    """Opens a pool, lets the faults happen in it, closes it and looks for what is left; what came of each.

    ``folder``: an empty one. More than one fault only where all are gentle.
    """
    if faults and faults[0].name in ALONE:
        # Python's fork server makes a socket among its temporary files, whose path may have 107 bytes: beside
        # xdist, the folder of a test is too long for that.
        with tempfile.TemporaryDirectory(prefix="pp-", ignore_cleanup_errors=True) as short:
            return [ALONE[faults[0].name](strategy, options, Path(short), _GRACE_SECONDS)]
    notes, temporary = folder / "notes", folder / "temporary"
    notes.mkdir()
    temporary.mkdir()
    stage = Stage(notes)
    with own_temporary_files(temporary):
        _warm_up(strategy, options)
        before = state(temporary)
        try:
            outcomes, closing = _opened(strategy, options, faults, stage)
            wrong = sorted(lasting(lambda: _unnamed_threads(before, stage), _GRACE_SECONDS))
            if strategy.isolation not in OUTSIDE:
                stage.end_own()
            left = remaining(
                before,
                temporary,
                _GRACE_SECONDS,
                stage.started(),
                engine=strategy.isolation is Isolation.REMOTE,
            )
        finally:
            stage.end_own()
    wrong += [f"left behind: {name}" for name in sorted(left)]
    return [outcome._replace(wrong=(*outcome.wrong, *wrong), closing=closing) for outcome in outcomes]


def _warm_up(strategy: Strategy, options: StrategyOptions) -> None:
    """Makes what Python and libraries keep for a session: trackers, servers, their descriptors."""
    if strategy.name not in _warm:
        with strategy.open(counted(strategy, 2), options) as pool:
            pool.map(as_task(strategy, double), range(4))
        _warm.add(strategy.name)


def _opened(
    strategy: Strategy, options: StrategyOptions, faults: Sequence[Fault], stage: Stage
) -> tuple[list[Outcome], float]:
    with limit(2 * HUNG_SECONDS, f"{strategy.name} hangs while it closes"):
        with strategy.open(counted(strategy, 2), options) as pool:
            outcomes = [_met(fault, pool, strategy, stage) for fault in faults]
            begin = time.monotonic()
        return outcomes, time.monotonic() - begin


def _met(fault: Fault, pool: Pool, strategy: Strategy, stage: Stage) -> Outcome:
    """The fault happens, and the map answers."""
    ends = fault.ends(strategy)
    assert isinstance(ends, Ends)
    pids = tuple(pool.pids()) if isinstance(pool, HasPids) else ()
    said = "works"
    begin = time.monotonic()
    try:
        with limit(HUNG_SECONDS, f"it hangs: no answer for {HUNG_SECONDS:g} s"):
            found = fault.run(pool, strategy, stage)
    except BaseException as exc:  # noqa: BLE001  # which one it is, is the question
        seconds = time.monotonic() - begin
        said = type(exc).__name__
        wrong = _wrong_error(exc, ends, stage, named=bool(pids))
        stage.messages.append(str(exc))
    else:
        seconds = time.monotonic() - begin
        wrong = _wrong_result(found, ends)
    if fault.gentle:
        wrong += _wrong_after(pool, strategy, ends)
    wrong = [f"{fault.name}: {text}" for text in wrong]
    return Outcome(said, seconds - (fault.timeout or 0.0), tuple(wrong))


def _wrong_error(exc: BaseException, ends: Ends, stage: Stage, *, named: bool) -> list[str]:
    if ends.starves and isinstance(exc, WorkerLost):
        return []
    shown = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    if ends.error is None or not isinstance(exc, ends.error):
        wanted = ends.error.__name__ if ends.error else "a right result"
        return [f"it should end in {wanted}, and ended in\n{shown}"]
    wrong = []
    told = str(exc)
    if (named or not ends.names_worker) and not re.search(ends.says, told):
        wrong.append(f"{told!r} does not say {ends.says!r}")
    if ends.names_worker and named and not any(str(pid) in told for pid in stage.lost()):
        wrong.append(f"{told!r} does not name the worker, {stage.lost()}")
    if ends.names_thread and not any(thread.name in told for thread in threading.enumerate()):
        wrong.append(f"{told!r} does not name the thread that was left")
    if ends.shows not in shown:
        wrong.append(f"the task's own traceback is not shown in\n{shown}")
    return wrong


def _wrong_result(found: Any, ends: Ends) -> list[str]:
    if ends.error is not None:
        return [f"it should end in {ends.error.__name__}, and gave {found!r}"]
    return [] if [*found[:2], *found[3:]] == [0, 1, 3] else [f"wrong results: {found!r}"]


def _wrong_after(pool: Pool, strategy: Strategy, ends: Ends) -> list[str]:
    try:
        with limit(HUNG_SECONDS, "it hangs"):
            found = pool.map(as_task(strategy, double), range(4), chunk_size=1)
    except BaseException as exc:  # noqa: BLE001  # as above
        allowed = ends.starves and isinstance(exc, PoolError)  # WorkerLost, or that one had ended it before
        return [] if allowed else [f"the next map ended in {exc!r}"]
    return [] if found == [0, 2, 4, 6] else [f"the next map gave {found!r}"]


def _unnamed_threads(before: set[str], stage: Stage) -> set[str]:
    """Threads that outlive the pool, and that no error named; those of a task are the user's own."""
    names = {thread.name for thread in threading.enumerate() if f"thread {thread.name}" not in before}
    told = " ".join(stage.messages)
    return {f"left behind, and not named: {name}" for name in names - {"of-a-task"} if name not in told}
