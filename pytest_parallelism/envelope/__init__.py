"""What travels to a worker and back: functions by value, items, results and errors, all as bytes.

A leaf, and all of ours that workers import: the standard library and cloudpickle. A strategy sends a packed
function and enclosed items to a worker and gives what comes back to `unpack`::

    blob = pack(fn, by_value)                             # once a map
    data = run(blob, enclose(items, by_value))            # in the worker
    results = unpack(data)                                # in the parent: results, or the task's own error

A function goes by value wherever a fresh interpreter with our ``sys.path`` could not import it, so any
function of a test file works, and its exception classes come back as the very classes of the parent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._attempting import attempt
    from ._drag import drag
    from ._ending import RunningTasks, raise_in, take_back
    from ._errors import Caught, Failure, RemoteTraceback, catch, release, task_error, unstopped
    from ._folders import owned_folder
    from ._frames import CHUNK, FUNCTION, READY, Frame, Inbox, Outbox, Rooms, line
    from ._interpreter import hand_over, open_handed, run_ending, start_interpreter
    from ._meeting import Seen, rendezvous
    from ._packing import Packer
    from ._parts import Bare, Parts
    from ._pickling import Elsewhere
    from ._recording import Recording, ThreadDelays, close_books, delay_of_thread, live_threads, taken
    from ._remote import interpreter, preparation, run_bare, run_there
    from ._serve import serve
    from ._settings import WorkerSettings, worker_settings
    from ._shipped import shipped
    from ._speech import Telling, heard
    from ._tasks import enclose, enclosed, pack, run, unpack
    from ._trying import Initializing, Outcome, Trying, note
    from ._worker import NATIVE_THREAD_VARIABLES, preparing, start_worker
    from ._wrappers import Blocking, Calling, Collecting, Each, Wrapper, adapted, is_async, named

__all__ = [
    "CHUNK",
    "FUNCTION",
    "NATIVE_THREAD_VARIABLES",
    "READY",
    "Bare",
    "Blocking",
    "Calling",
    "Caught",
    "Collecting",
    "Each",
    "Elsewhere",
    "Failure",
    "Frame",
    "Inbox",
    "Initializing",
    "Outbox",
    "Outcome",
    "Packer",
    "Parts",
    "Recording",
    "RemoteTraceback",
    "Rooms",
    "RunningTasks",
    "Seen",
    "Telling",
    "ThreadDelays",
    "Trying",
    "WorkerSettings",
    "Wrapper",
    "adapted",
    "attempt",
    "catch",
    "close_books",
    "delay_of_thread",
    "drag",
    "enclose",
    "enclosed",
    "hand_over",
    "heard",
    "interpreter",
    "is_async",
    "line",
    "live_threads",
    "named",
    "note",
    "open_handed",
    "owned_folder",
    "pack",
    "preparation",
    "preparing",
    "raise_in",
    "release",
    "rendezvous",
    "run",
    "run_bare",
    "run_ending",
    "run_there",
    "serve",
    "shipped",
    "start_interpreter",
    "start_worker",
    "take_back",
    "taken",
    "task_error",
    "unpack",
    "unstopped",
    "worker_settings",
]

_HOMES = {
    "Bare": "_parts",
    "Blocking": "_wrappers",
    "CHUNK": "_frames",
    "Calling": "_wrappers",
    "Caught": "_errors",
    "Collecting": "_wrappers",
    "Each": "_wrappers",
    "Elsewhere": "_pickling",
    "FUNCTION": "_frames",
    "Failure": "_errors",
    "Frame": "_frames",
    "Inbox": "_frames",
    "Initializing": "_trying",
    "NATIVE_THREAD_VARIABLES": "_worker",
    "Outbox": "_frames",
    "Outcome": "_trying",
    "Packer": "_packing",
    "Parts": "_parts",
    "READY": "_frames",
    "Recording": "_recording",
    "RemoteTraceback": "_errors",
    "Rooms": "_frames",
    "RunningTasks": "_ending",
    "Seen": "_meeting",
    "Telling": "_speech",
    "ThreadDelays": "_recording",
    "Trying": "_trying",
    "WorkerSettings": "_settings",
    "Wrapper": "_wrappers",
    "adapted": "_wrappers",
    "attempt": "_attempting",
    "catch": "_errors",
    "close_books": "_recording",
    "delay_of_thread": "_recording",
    "drag": "_drag",
    "enclose": "_tasks",
    "enclosed": "_tasks",
    "hand_over": "_interpreter",
    "heard": "_speech",
    "interpreter": "_remote",
    "is_async": "_wrappers",
    "line": "_frames",
    "live_threads": "_recording",
    "named": "_wrappers",
    "note": "_trying",
    "open_handed": "_interpreter",
    "owned_folder": "_folders",
    "pack": "_tasks",
    "preparation": "_remote",
    "preparing": "_worker",
    "raise_in": "_ending",
    "release": "_errors",
    "rendezvous": "_meeting",
    "run": "_tasks",
    "run_bare": "_remote",
    "run_ending": "_interpreter",
    "run_there": "_remote",
    "serve": "_serve",
    "shipped": "_shipped",
    "start_interpreter": "_interpreter",
    "start_worker": "_worker",
    "take_back": "_ending",
    "taken": "_recording",
    "task_error": "_errors",
    "unpack": "_tasks",
    "unstopped": "_errors",
    "worker_settings": "_settings",
}
"""Where each is. A worker loads what it needs: all of it would take 0.2 MB more of each."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not kept here: pytester forgets modules that a run inside of this process was the first to import, and
    # pickle takes no function whose module has been imported anew.
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
