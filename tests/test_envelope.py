"""Functions, items, results and errors as bytes."""

from __future__ import annotations

import asyncio
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_parallelism import envelope
from pytest_parallelism.envelope import Blocking, Calling, Collecting, enclose, pack, run, unpack
from pytest_parallelism.errors import NotTransferable, TaskExit, TaskFailed

HERE = sys.modules[__name__]
TABLE = list(range(400_000))


class OwnError(Exception):
    def __init__(self, item: int, *, hint: str) -> None:
        super().__init__(f"bad {item}")
        self.hint = hint


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class Sum:
    def __init__(self, value: int) -> None:
        self.value = value

    def plus(self, item: int) -> int:
        return self.value + item


class Quits:
    def __reduce__(self) -> Any:
        raise SystemExit(5)


def there_and_back(fn: Callable[..., Any], items: list[Any], start: int = 0) -> list[Any]:
    return unpack(run(pack(fn, (HERE,)), enclose(items, (HERE,)), start))


def in_another_process(fn: Callable[..., Any], items: list[Any]) -> list[Any]:
    """Runs the chunk in an interpreter that cannot import this module."""
    code = (
        "import pickle, sys; from pytest_parallelism.envelope import run;"
        "sys.stdout.buffer.write(run(*pickle.load(sys.stdin.buffer)))"
    )
    sent = pickle.dumps((pack(fn, (HERE,)), enclose(items, (HERE,))))
    root = Path(envelope.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, cwd=root, check=True, timeout=60
    )
    return unpack(done.stdout)


def test_results_come_back_in_order() -> None:
    assert there_and_back(lambda item: item * 2, [1, 2, 3]) == [2, 4, 6]


def test_classes_of_a_test_module_keep_identity_through_another_process() -> None:
    def check(item: Sum) -> tuple[bool, Sum]:
        return isinstance(item, Sum), Sum(item.plus(1))

    method = Sum.plus
    found = in_another_process(check, [Sum(4)])
    assert (found[0][0], type(found[0][1]) is Sum, found[0][1].value) == (True, True, 5)
    assert Sum.plus is method, "loading a result must not fill the user's class anew"


def test_exceptions_of_a_test_module_keep_identity_message_and_attributes() -> None:
    def fails(item: int) -> int:
        raise OwnError(item, hint="there")

    with pytest.raises(OwnError, match=r"^bad 7$") as caught:
        in_another_process(fails, [7])
    assert caught.value.hint == "there"
    assert "in fails" in str(caught.value.__cause__)
    assert "item 0" in str(caught.value.__cause__)


def test_assertion_messages_survive() -> None:
    def compares(item: int) -> None:
        assert item == 3

    with pytest.raises(AssertionError, match="assert 4 == 3"):
        in_another_process(compares, [4])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes from Python 3.11 on")
def test_notes_travel() -> None:
    def noted(_: int) -> None:
        error = ValueError("x")
        getattr(error, "add_note")("look here")  # noqa: B009  # mypy checks for 3.10
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        there_and_back(noted, [1])
    assert getattr(caught.value, "__notes__") == ["look here"]  # noqa: B009  # the same


def test_os_errors_keep_their_file_name() -> None:
    def opens(_: int) -> None:
        raise FileNotFoundError(2, "not there", "some.txt")

    with pytest.raises(FileNotFoundError) as caught:
        there_and_back(opens, [1])
    assert caught.value.filename == "some.txt"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_an_error_is_told_where_the_task_has_left_no_file_to_open(in_python: Callable[[str], str]) -> None:
    code = (
        "import resource, sys, threading, pytest_parallelism.errors\n"
        "from pytest_parallelism.envelope import run, start_worker, unpack\n"
        "start_worker()\n"
        "was = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (0, was[1]))\n"
        "answer = run(b'cbuiltins\\nabs\\n.', ['x'])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, was)\n"
        "early = 'traceback' in sys.modules\n"
        "try:\n"
        "    unpack(answer)\n"
        "except Exception as exc:\n"
        "    print(early, exc, exc.__cause__)\n"
    )
    said = in_python(code)
    assert said.startswith("False ")
    assert "bad operand type for abs(): 'str'" in said
    assert "Traceback (most recent call last):\n  File" in said


def test_an_exception_that_cannot_travel_is_told_by_type_text_and_traceback() -> None:
    def fails(_: int) -> None:
        raise Locked

    with pytest.raises(TaskFailed, match=r"Locked.*holds a lock") as caught:
        there_and_back(fails, [1])
    assert "in fails" in str(caught.value.__cause__)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_is_a_failed_task(kind: type[BaseException]) -> None:
    def leaves(_: int) -> None:
        raise kind

    with pytest.raises(TaskExit, match=kind.__name__):
        there_and_back(leaves, [1])


def test_ctrl_c_is_not_taken_for_a_failed_task() -> None:
    with pytest.raises(KeyboardInterrupt):
        envelope.attempt(lambda _: signal.raise_signal(signal.SIGINT), [1])


def test_a_result_that_cannot_travel_is_named() -> None:
    with pytest.raises(NotTransferable, match=r"result of item 12 \(lock\)"):
        there_and_back(lambda item: threading.Lock() if item else item, [0, 0, 1], start=10)


def test_a_result_whose_pickling_exits_is_named() -> None:
    with pytest.raises(NotTransferable, match="result of item 0"):
        there_and_back(lambda _: Quits(), [1])


def test_results_that_only_cloudpickle_can_send_come_back() -> None:
    assert there_and_back(lambda item: lambda: item, [5])[0]() == 5


class Counted(Sequence[int]):
    """A sequence whose iterator does not know how much is left."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> Any:
        return (2, 1, 0)[index]

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(3))


@pytest.mark.parametrize("items", [[2, 1, 0], (2, 1, 0), range(2, -1, -1), Counted()], ids=type)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_the_item_that_failed_is_known(items: Sequence[int], failing: int) -> None:
    def fail(item: int) -> None:
        if item == items[failing]:
            raise StopIteration(item)

    results, failure = envelope.attempt(fail, items)
    assert failure is not None
    assert (results, failure.position, type(failure.error)) == ([], failing, StopIteration)


def test_an_item_that_cannot_travel_is_named() -> None:
    with pytest.raises(NotTransferable, match=r"item 21 \(lock\)"):
        enclose([1, threading.Lock()], start=20)


def test_a_function_that_cannot_travel_is_named() -> None:
    lock = threading.Lock()

    def locks(_: int) -> None:
        lock.acquire()

    with pytest.raises(NotTransferable, match="locks cannot be sent to a worker"):
        pack(functools.partial(locks))


def test_a_task_that_a_worker_cannot_load_says_so() -> None:
    with pytest.raises(NotTransferable, match="a worker cannot load the task"):
        unpack(run(b"nonsense", enclose([1])))


def test_a_function_is_packed_the_same_each_time() -> None:
    def adds(item: Sum) -> int:
        return Sum(1).plus(item.value)

    assert pack(adds, (HERE,)) == pack(adds, (HERE,))


def test_modules_that_a_worker_cannot_import_go_by_value_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("nowhere_to_be_found")
    module.__file__ = str(tmp_path / "nowhere_to_be_found.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(
        compile(
            "def base(x):\n  return x + 1\n\ndef fn(x):\n  return base(x) * 2\n", module.__file__, "exec"
        ),
        module.__dict__,
    )
    assert in_another_process(functools.partial(module.fn), [3]) == [8]


def test_the_by_value_registry_is_left_as_it_was() -> None:
    import cloudpickle

    before = cloudpickle.list_registry_pickle_by_value()
    pack(Sum(1).plus, (HERE,))
    assert cloudpickle.list_registry_pickle_by_value() == before


# ---- wrappers


def test_collecting_returns_errors_through_the_envelope() -> None:
    def fails(item: int) -> int:
        if item:
            raise OwnError(item, hint="")
        return item

    found = in_another_process(Collecting(fails), [0, 1])
    assert (found[0], type(found[1]), str(found[1])) == (0, OwnError, "bad 1")


def test_collecting_gives_the_same_exit_in_parent_and_worker() -> None:
    def leaves(_: int) -> None:
        raise SystemExit(3)

    here = Collecting(leaves)(1)
    there = there_and_back(Collecting(leaves), [1])[0]
    assert type(here) is type(there) is TaskExit
    assert here.args == there.args


def test_collecting_of_a_coroutine_function_is_one() -> None:
    async def fails(_: int) -> None:
        raise ValueError("no")

    assert envelope.is_async(Collecting(fails))
    assert isinstance(asyncio.run(Collecting(fails)(1)), ValueError)


def test_blocking_runs_a_coroutine_function() -> None:
    async def adds(item: int) -> int:
        await asyncio.sleep(0)
        return item + 1

    assert there_and_back(Blocking(adds), [1]) == [2]
    assert not envelope.is_async(Blocking(adds))
    assert there_and_back(Collecting(Blocking(adds)), [1]) == [2]


def test_coroutine_functions_are_known_through_partials_methods_and_objects() -> None:
    class Caller:
        async def __call__(self, item: int) -> int:
            return item

    async def plain(item: int) -> int:
        return item

    for fn in (plain, functools.partial(plain), Caller(), Caller().__call__, Calling(plain)):
        assert envelope.is_async(fn)
    for other in (print, len, functools.partial(int), Sum(1).plus):
        assert not envelope.is_async(other)


# ---- what a function drags along


def test_a_heavy_global_is_named() -> None:
    def looks_up(item: int) -> int:
        return TABLE[item]

    sentence = envelope.drag(looks_up, (HERE,))
    assert sentence is not None
    assert "looks_up drags" in sentence
    assert "the global 'TABLE'" in sentence


def test_a_heavy_global_of_a_helper_inside_a_comprehension_is_named() -> None:
    def helps(items: list[int]) -> list[int]:
        return [TABLE[item] for item in items]

    def calls(item: int) -> list[int]:
        return helps([item])

    assert "the global 'TABLE'" in str(envelope.drag(calls, (HERE,)))


def test_the_heaviest_is_named_first() -> None:
    small, large = bytes(300_000), bytes(2_000_000)

    def reads(item: int, default: bytes = small) -> tuple[int, int]:
        return len(large), len(default)

    sentence = str(envelope.drag(Collecting(reads)))
    assert sentence.index("closure variable 'large' (2.0 MB)") < sentence.index("a default of reads (0.3 MB)")


def test_heavy_arguments_and_attributes_are_named() -> None:
    heavy = bytes(2_000_000)
    holder = Sum(1)
    holder.weight = heavy  # type: ignore[attr-defined]  # any attribute will do
    assert "argument 0 of the partial" in str(envelope.drag(functools.partial(pow, heavy)))
    assert "the attribute 'weight' of Sum" in str(envelope.drag(holder.plus, (HERE,)))


def test_a_light_function_drags_nothing() -> None:
    assert envelope.drag(test_a_light_function_drags_nothing) is None


def test_the_process_id_of_this_test_is_not_a_workers() -> None:
    assert in_another_process(lambda _: os.getpid(), [1]) != [os.getpid()]
