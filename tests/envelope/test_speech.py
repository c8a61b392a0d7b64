"""What tasks say in a worker is said again in the parent, once, and silence costs nothing."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_parallelism import envelope
from pytest_parallelism.envelope import (
    Telling,
    _by_value,
    _shipped,
    _tasks,
    enclose,
    heard,
    pack,
    run,
    start_worker,
    unpack,
    worker_settings,
)
from pytest_parallelism.errors import NotTransferable
from pytest_parallelism.strategies._methods import start_methods
from pytest_parallelism.workers import quiet_fork

HERE = sys.modules[__name__]
say = print
SPEAKER = logging.getLogger("speaker")
Answer = Callable[[Callable[[Any], Any], Sequence[Any]], bytes]


class OwnWarning(UserWarning):
    pass


class Stubborn(UserWarning):
    """Takes two arguments and tells nobody."""

    def __init__(self, first: str, lock: Any) -> None:
        super().__init__(first)
        self.lock = lock


def opened(method: str) -> ProcessPoolExecutor:
    settings = worker_settings()
    pool = ProcessPoolExecutor(1, multiprocessing.get_context(method), start_worker, (1, False, settings))
    with quiet_fork():
        pool.submit(abs, 1).result(60)  # the worker starts here
    return pool


@pytest.fixture(params=start_methods())
def pool(request: pytest.FixtureRequest) -> Iterator[ProcessPoolExecutor]:
    with opened(request.param) as made:
        yield made


@pytest.fixture
def answer(pool: ProcessPoolExecutor) -> Answer:
    """The bytes that a worker answers for a function and items."""
    return lambda fn, items: pool.submit(run, pack(fn, (HERE,)), enclose(items, (HERE,))).result(60)


def test_a_silent_answer_has_not_one_byte_more(answer: Answer) -> None:
    assert answer(abs, [-1, 2]) == run(pack(abs), enclose([-1, 2]))


def test_text_arrives_in_order_and_only_once(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    def speaks(item: int) -> int:
        say("out", item)
        say("err", item, file=sys.stderr)
        sys.stdout.buffer.write(b"bytes \xe4\n")
        say("\ud800 ä")
        return item

    assert unpack(answer(speaks, [1, 2])) == [1, 2]
    assert unpack(answer(abs, [3])) == [3]
    out, err = capsys.readouterr()
    assert out == "".join(f"out {item}\nbytes \\xe4\n\\ud800 ä\n" for item in (1, 2))
    assert err == "err 1\nerr 2\n"


def test_what_was_said_arrives_even_where_the_result_cannot(
    answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    def speaks(_: int) -> Any:
        say("said")
        return threading.Lock()

    with pytest.raises(NotTransferable, match="cannot be sent back"):
        unpack(answer(speaks, [1]))
    assert capsys.readouterr().out == "said\n"


def test_levels_of_the_parent_hold_in_workers(caplog: pytest.LogCaptureFixture) -> None:
    def logs(_: int) -> None:
        for name in (None, "speaker", "speaker.child", "speaker.quiet"):
            logging.getLogger(name).info("info of %s", name)

    caplog.set_level(logging.INFO, "speaker")
    quiet = logging.getLogger("speaker.quiet")
    quiet.disabled = True
    try:
        for method in start_methods():
            caplog.clear()
            with opened(method) as pool:
                unpack(pool.submit(run, pack(logs, (HERE,)), enclose([1])).result(60))
            assert caplog.messages == ["info of speaker", "info of speaker.child"], method
    finally:
        quiet.disabled = False


def test_what_logging_disables_stays_disabled(caplog: pytest.LogCaptureFixture) -> None:
    def logs(item: str) -> None:
        SPEAKER.error(item)
        SPEAKER.critical("critically %s", item)

    logging.disable(logging.ERROR)
    try:
        with opened("spawn") as pool:
            found = pool.submit(run, pack(logs, (HERE,)), enclose(["told"])).result(60)
    finally:
        logging.disable(logging.NOTSET)
    unpack(found)
    assert caplog.messages == ["critically told"]


def test_extras_that_cannot_travel_are_told(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    def logs(item: int) -> None:
        SPEAKER.warning("hello %s", item, extra={"lock": threading.Lock(), "own": OwnWarning("x")})

    unpack(answer(logs, [7]))
    record: Any = caplog.records[0]
    assert (record.getMessage(), record.args, record.name) == ("hello 7", None, "speaker")
    assert record.lock.startswith("<unlocked _thread.lock")
    assert type(record.own) is OwnWarning
    assert record.process != os.getpid()


def test_a_warning_that_cannot_travel_is_told_by_its_text(answer: Answer) -> None:
    def warns(_: int) -> None:
        warnings.simplefilter("always")
        warnings.warn(Stubborn("text", threading.Lock()), stacklevel=1)

    found = answer(warns, [1])
    with pytest.warns(UserWarning, match=r"^text$") as caught:
        unpack(found)
    assert [w.category for w in caught] == [UserWarning]


def test_the_parents_filters_judge_what_arrives(answer: Answer) -> None:
    def warns(_: int) -> None:
        warnings.simplefilter("always")
        warnings.warn("told", OwnWarning, stacklevel=1)

    found = answer(warns, [1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore", module="no such module")
        warnings.filterwarnings("ignore", module=f"{__name__}$")
        unpack(found)
        assert caught == []
        warnings.filterwarnings("error", category=OwnWarning)
        with pytest.raises(OwnWarning, match="told"):
            unpack(found)


@pytest.mark.parametrize("method", start_methods())
def test_a_worker_that_loads_logging_late_has_the_levels_of_the_parent(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def logs(_: int) -> None:
        for name in ("speaker", "speaker.quiet"):
            logging.getLogger(name).info("info of %s", name)

    caplog.set_level(logging.ERROR, "speaker.quiet")
    caplog.set_level(logging.INFO, "speaker")
    initargs = (1, False, worker_settings())
    # Unlike ProcessPoolExecutor, this pool has no use for logging itself.
    with quiet_fork():
        pool = multiprocessing.get_context(method).Pool(1, start_worker, initargs)
    with pool:
        assert pool.apply(eval, ("'logging' in __import__('sys').modules",)) == (method == "fork")
        unpack(pool.apply(run, (pack(logs, (HERE,)), enclose([1]))))
        pool.close()
        pool.join()
    assert caplog.messages == ["info of speaker"]


def test_a_filter_may_name_a_class_that_workers_never_import() -> None:
    def loaded(_: int) -> tuple[bool, int]:
        return "fractions_of_nobody" in sys.modules, len(warnings.filters)

    settings = worker_settings()._replace(
        filters=(
            ("error", None, ("fractions_of_nobody", "Odd"), None, 0),
            ("always", None, ("builtins", "Warning"), None, 0),
        )
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, start_worker, (1, False, settings)) as pool:
        assert unpack(pool.submit(run, pack(loaded, (HERE,)), enclose([1])).result(60)) == [(False, 2)]


def test_warnings_while_a_function_is_loaded_are_no_tasks(
    tmp_path: Path, in_python: Callable[[str], str]
) -> None:
    (tmp_path / "old_fashioned.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\ndef same(x): return x\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import warnings; warnings.simplefilter('error')\n"
        "from pytest_parallelism.envelope import *\n"
        "blob = b'cold_fashioned\\nsame\\n.'\n"
        "print(unpack(run(blob, enclose([1]))))\n"
    )
    assert in_python(code) == "[1]\n"


def test_what_several_threads_say_at_once_arrives_once(
    answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    def speaks(thread: int) -> list[bytes]:
        def several() -> None:
            for turn in range(50):
                answers.append(run(pack(print), enclose([f"{thread} {turn}"])))

        answers: list[bytes] = []
        threads = [threading.Thread(target=several) for _ in range(4)]
        for made in threads:
            made.start()
        for made in threads:
            made.join()
        return answers

    for answers in unpack(answer(speaks, [0])):
        for inner in answers:
            unpack(inner)
    assert sorted(capsys.readouterr().out.split("\n")) == sorted(
        [""] + 4 * [f"0 {turn}" for turn in range(50)]
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_the_child_of_a_task_speaks_for_itself(in_python: Callable[[str], str]) -> None:
    code = (
        "import os\n"
        "from pytest_parallelism.envelope import *\n"
        "start_worker(None, False, worker_settings())\n"
        "def forks(_):\n"
        "    print('by the worker')\n"
        "    if os.fork() == 0:\n"
        "        print('by the child', flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "run(pack(forks), enclose([1]))\n"
        "os._exit(0)\n"
    )
    assert in_python(code) == "by the child\n"


def test_what_no_answer_takes_along_is_said_at_the_end(in_python: Callable[[str], str]) -> None:
    code = (
        "import threading\n"
        "from pytest_parallelism.envelope import *\n"
        "start_worker(None, False, worker_settings())\n"
        "print('after the last answer')\n"
    )
    assert in_python(code) == "after the last answer\n"


@pytest.mark.skipif(not hasattr(os, "setpgid"), reason="this system has no process groups")
def test_a_worker_leads_a_process_group_of_its_own(pool: ProcessPoolExecutor) -> None:
    group = pool.submit(os.getpgrp).result(60)
    assert group == pool.submit(os.getpid).result(60) != os.getpgrp()


# ---- calls of a library


def test_what_a_librarys_call_says_comes_with_its_result(
    pool: ProcessPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heard(pool.submit(Telling(print_and_five)).result) == 5
    assert capsys.readouterr().out == "five\n"
    assert heard(pool.submit(Telling(os.getpid)).result) != os.getpid()


def test_what_a_librarys_call_says_comes_with_its_error(
    pool: ProcessPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        heard(pool.submit(Telling(print_and_fail)).result)
    assert capsys.readouterr().out == "fail\n"
    assert vars(caught.value) == {}


def print_and_five() -> int:
    say("five")
    return 5


def print_and_fail() -> float:
    say("fail")
    return 1 / 0


# ---- what is counted, and what an answer may come in


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payloads_and_answers_may_come_in_any_buffer(kind: Callable[[bytes], Any]) -> None:
    payload = kind(enclose([-1, OwnWarning("x")], (HERE,)))
    found = unpack(kind(run(pack(repr), payload)))
    assert found == ["-1", "OwnWarning('x')"]


def test_bytes_to_and_from_workers_are_counted() -> None:
    before = envelope.shipped()
    blob, payload = pack(len), enclose(["x" * 1000])
    answer = run(blob, payload)
    unpack(answer)
    after = envelope.shipped()
    assert after == (before[0] + len(blob) + len(payload), before[1] + len(answer))


def test_bytes_are_counted_exactly_by_threads_that_switch_often() -> None:
    def counts() -> None:
        for _ in range(20_000):
            _shipped.went(1)

    before, interval = envelope.shipped()[0], sys.getswitchinterval()
    threads = [threading.Thread(target=counts) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert envelope.shipped()[0] - before == 80_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forked_while_a_thread_packs_can_pack() -> None:
    with _by_value._pickling, _tasks._loading:
        with quiet_fork():
            child = os.fork()
        if child == 0:
            signal.alarm(30)
            thread = threading.Thread(target=lambda: os._exit(0 if run(pack(abs), enclose([1])) else 1))
            thread.start()
            thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
