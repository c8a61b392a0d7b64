"""The pools, and what a script must do where processes import it again."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from ..errors import UsageError
from ..resources import default_start_method
from ..strategy import HasStream, StrategyOptions

__all__ = ["processes_pool", "refuse_while_main_is_imported", "threads_pool"]

_PROCESSES = ("processes", "process-pool-executor-spawn")
"""Workers of our own need a POSIX system."""


def threads_pool(workers: int, native_threads: int | None) -> AbstractContextManager[HasStream]:
    """The pool of `threads`."""
    return _opened(("threads",), workers, StrategyOptions(native_threads=native_threads))


@contextlib.contextmanager
def processes_pool(workers: int, native_threads: int | None) -> Iterator[HasStream]:
    """The pool of `processes`; `UsageError` where it cannot start because of the main script."""
    again = _imports_main()
    initializer = _repeat_refusal if again else None
    options = StrategyOptions(native_threads=native_threads, initializer=initializer)
    with contextlib.ExitStack() as stack:
        try:
            pool = stack.enter_context(_opened(_PROCESSES, workers, options))
        except UsageError:
            raise
        except Exception as exc:
            if not again:
                raise
            raise UsageError(f"the worker processes did not start ({exc}): {_GUARD}") from exc
        yield pool


@contextlib.contextmanager
def _opened(names: Sequence[str], workers: int, options: StrategyOptions) -> Iterator[HasStream]:
    """The pool of the first of the strategies that can run here."""
    from ..registry import load  # it looks at what is installed

    known = load()
    obstacles = {name: known[name].obstacle(workers) for name in names}
    able = [name for name in names if not obstacles[name]]
    if not able:
        raise UsageError(str(obstacles[names[-1]]))
    with known[able[0]].open(workers, options) as pool:
        assert isinstance(pool, HasStream)
        yield pool


_GUARD = (
    'put the calls of the script under `if __name__ == "__main__":`, '
    "because processes that are started from another thread than the main one import it again"
)
_REFUSAL = f"this was called by a script that a new process imports again: {_GUARD}"
_refused = False


def _imports_main() -> bool:
    """Whether worker processes will import our main module again: pools hide it in the main thread only."""
    main = sys.modules["__main__"]
    found = getattr(main, "__spec__", None) or getattr(main, "__file__", None)
    in_main_thread = threading.current_thread() is threading.main_thread()
    return bool(found) and not in_main_thread and default_start_method() != "fork"


def refuse_while_main_is_imported() -> None:
    """Ends what would start processes without end: each importing the script, which calls `parallel_map`.

    In a process that multiprocessing starts, `_inheriting` says that it is not ready (multiprocessing reads
    it for the same purpose), and the name ``__mp_main__`` that it has imported the script. A thread that the
    script has started may call later, so a process of the second kind may not start more of its kind.
    """
    global _refused
    importing = (
        getattr(multiprocessing.current_process(), "_inheriting", False) and default_start_method() != "fork"
    )
    if importing or (sys.modules["__main__"].__name__ == "__mp_main__" and _imports_main()):
        _refused = True
        raise UsageError(_REFUSAL)


def _repeat_refusal() -> None:
    """Tells the parent what this worker has refused, where nobody there would hear of it."""
    if _refused:
        raise UsageError(_REFUSAL)
