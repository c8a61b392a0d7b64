"""Every error of ours, each saying what is wrong, what was found and what to do.

::

    ParallelismError
    ├── UsageError              a marker, option, or call is wrong
    │   └── UnknownStrategy     no strategy has that name
    ├── Unsuitable              this workload cannot run on this strategy: the test is skipped
    ├── WorkloadError           the workload cannot be measured truly
    │   ├── NotRepeatable       two sequential rounds disagree
    │   ├── ItemsChanged        running the workload changes its items
    │   └── WrongResult         the parallel result differs from the sequential one
    └── PoolError               the strategy could not do what it promises
        ├── WorkersMissing      fewer (or more) workers ran than were asked for
        ├── WorkerLost          a worker died
        ├── TaskTimeout         a map did not end in time (also a TimeoutError)
        ├── TaskExit            a task raised SystemExit or KeyboardInterrupt
        ├── TaskFailed          a task failed with an exception that cannot travel
        └── NotTransferable     a function, item or result cannot be sent to a worker or back

    ParallelismWarning          a measurement survives it, and its reader should know (a UserWarning)
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ItemsChanged",
    "NotRepeatable",
    "NotTransferable",
    "ParallelismError",
    "ParallelismWarning",
    "PoolError",
    "TaskExit",
    "TaskFailed",
    "TaskTimeout",
    "UnknownStrategy",
    "Unsuitable",
    "UsageError",
    "WorkerLost",
    "WorkersMissing",
    "WorkloadError",
    "WrongResult",
    "did_you_mean",
]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``. Did you mean 'x'?`` where something near is known, else nothing."""
    from difflib import get_close_matches  # not wanted by a run without a mistake

    near = get_close_matches(name, list(known), n=1)
    return f". Did you mean {near[0]!r}?" if near else ""


class ParallelismError(Exception):
    """Base of every error that this package raises on purpose."""


class ParallelismWarning(UserWarning):
    """Something that a measurement survives and its reader should know: unchecked parts, heavy functions."""


class UsageError(ParallelismError):
    """A marker argument, an option or a call is wrong; the message is one sentence for the user."""


class UnknownStrategy(UsageError):
    """No strategy has that name; the message lists the known ones and the nearest."""


class Unsuitable(ParallelismError):
    """This workload cannot run on this strategy; the point is skipped with this sentence."""


class WorkloadError(ParallelismError):
    """The workload cannot be measured truly."""


class NotRepeatable(WorkloadError):
    """Two sequential rounds of the workload gave different results."""


class ItemsChanged(WorkloadError):
    """Running the workload changed its items, so that later rounds would do other work."""


class WrongResult(WorkloadError):
    """The parallel result differs from the sequential one."""


class PoolError(ParallelismError):
    """A strategy could not do what it promises."""


class WorkersMissing(PoolError):
    """Not exactly the asked-for number of workers ran at once."""


class WorkerLost(PoolError):
    """A worker died (killed, out of memory, hard exit) while it was needed."""


class TaskTimeout(PoolError, TimeoutError):
    """A map did not end within its timeout; its workers were ended where that is possible."""


class TaskExit(PoolError):
    """A task raised SystemExit or KeyboardInterrupt: a failed task, never the end of the test run."""


class TaskFailed(PoolError):
    """A task failed with an exception that cannot be sent to the parent; the message holds its text."""


class NotTransferable(PoolError):
    """A function, an item or a result cannot be sent to a worker or back."""
