"""The example suites: their corpus, workloads and server, and that the suites run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from example_suites.documents import test_documents
from example_suites.documents.corpus import (
    SIZE_CLASSES,
    Corpus,
    CorpusError,
    folder,
    standard_library,
)
from example_suites.documents.server import serving
from example_suites.documents.workloads import (
    digest,
    fetch,
    fetch_and_digest,
    fetch_and_digest_async,
    fetch_async,
)

ROOT = Path(__file__).parents[1]

SOURCE = b'''\
class Box:
    """A box holds one thing."""

    def open(self):
        return self.thing


async def shake(box):
    return box.open()
'''


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files that are given by name and content."""

    def make(**contents: bytes) -> Path:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return make


def corpus_of_sizes(where: Path, sizes: range) -> Corpus:
    files = [where / f"{size}.txt" for size in sizes]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(b"x" * size)
    return Corpus.of(iter(files))


# --- the work ---


def test_a_digest_counts_words_and_definitions() -> None:
    found = digest(SOURCE)
    assert found.words == 19
    assert found.definitions == 3
    assert found.common[:2] == (("box", 4), ("thing", 2))


def test_a_summary_keeps_the_order_of_the_text_and_prefers_lines_of_frequent_words() -> None:
    text = b"red red red\nblue\nred green red\nyellow\nred red red red\n"
    assert digest(text).summary == ("red red red", "red green red", "red red red red")


def test_text_that_is_no_python_is_digested_too() -> None:
    found = digest("Une phrase, deux mots: déjà vu.".encode())
    assert (found.words, found.definitions) == (6, 0)


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\x00\xff", b"(" * 300, b"12 34"])
def test_no_document_is_too_odd_to_digest(body: bytes) -> None:
    assert digest(body).definitions == 0


def test_complexity_changes_the_summary_alone() -> None:
    assert digest(SOURCE, complexity=5)._replace(summary=()) == digest(SOURCE)._replace(summary=())


def test_a_digest_is_the_same_whatever_the_hash_seed_of_the_process() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); from example_suites.documents.workloads import digest; "
        "print(digest(sys.stdin.buffer.read(), 3))"
    )
    source = Path(asyncio.__file__).with_name("events.py").read_bytes()
    answers = {
        subprocess.run(
            [sys.executable, "-c", program, str(ROOT)],
            input=source,
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert answers == {f"{digest(source, 3)}{os.linesep}".encode()}


# --- the corpus ---


def test_the_default_corpus_is_hundreds_of_library_sources_of_10_to_500_kb() -> None:
    files = standard_library().files
    assert len(files) >= 200
    assert all(file.suffix == ".py" and 10_000 <= file.stat().st_size <= 500_000 for file in files)
    assert not any("site-packages" in file.parts or "dist-packages" in file.parts for file in files)


def test_a_corpus_does_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    corpus = corpus_of_sizes(tmp_path, range(1, 20))
    assert Corpus.of(reversed(corpus.files)) == corpus


def test_size_classes_are_thirds_and_leave_nothing_out(tmp_path: Path) -> None:
    corpus = corpus_of_sizes(tmp_path, range(1, 12))
    classes = [corpus.size_class(name).files for name in SIZE_CLASSES]
    assert sum(classes, ()) == corpus.files
    assert [len(files) for files in classes] == [3, 4, 4]


def test_a_size_class_without_documents_is_the_whole_corpus(tmp_path: Path) -> None:
    corpus = corpus_of_sizes(tmp_path, range(1, 2))
    assert [corpus.size_class(name) for name in SIZE_CLASSES] == [corpus] * 3


def test_a_sample_spans_all_sizes_and_starts_with_the_largest(tmp_path: Path) -> None:
    corpus = corpus_of_sizes(tmp_path, range(1, 31))
    assert [file.stat().st_size for file in corpus.sample(3)] == [26, 16, 6]
    assert corpus.sample(99) == list(reversed(corpus.files))


def test_a_sample_by_bytes_comes_near_to_them_and_has_twelve_documents_at_least(tmp_path: Path) -> None:
    corpus = corpus_of_sizes(tmp_path, range(1, 101))
    size = sum(file.stat().st_size for file in corpus.about(2000))
    assert size == pytest.approx(2000, rel=0.1)
    assert len(corpus.about(1)) == 12


def test_a_folder_gives_its_text_files_of_any_suffix(texts: Callable[..., Path]) -> None:
    where = texts(**{"a.md": b"text", "b": b"more", "c.png": b"\x89PNG\0", "empty": b"", ".hidden": b"text"})
    (where / ".git").mkdir()
    (where / ".git" / "config").write_bytes(b"text")
    (where / "deep").mkdir()
    (where / "deep" / "d.txt").write_bytes(b"text too")
    assert {file.name for file in folder(where).files} == {"a.md", "b", "d.txt"}


# --- the server ---


def test_what_is_fetched_is_what_lies_in_the_files(texts: Callable[..., Path]) -> None:
    where = texts(one=b"first", two=b"\0\r\n\r\n second", three=b"x" * 300_000)
    with serving(sorted(where.iterdir()), latency=0) as served:
        assert [fetch(url) for url in served.urls] == served.bodies
        assert [asyncio.run(fetch_async(url)) for url in served.urls] == served.bodies
        assert served.size == 5 + 12 + 300_000


def test_a_document_fetched_and_digested_gives_the_digest_of_the_file(texts: Callable[..., Path]) -> None:
    with serving([texts(source=SOURCE) / "source"], latency=0) as served:
        assert fetch_and_digest(served.urls[0], 2) == digest(SOURCE, 2)
        assert asyncio.run(fetch_and_digest_async(served.urls[0], 2)) == digest(SOURCE, 2)


def test_the_server_holds_a_thousand_requests_at_once(texts: Callable[..., Path]) -> None:
    async def fetch_all(urls: list[str]) -> list[bytes]:
        return await asyncio.gather(*map(fetch_async, urls))

    with serving([texts(a=b"text") / "a"], latency=0.05) as served:
        assert asyncio.run(fetch_all(served.urls * 1000)) == [b"text"] * 1000


@pytest.mark.parametrize("wrong", ["/1", "/../conftest.py", "x"])
def test_nothing_but_the_documents_is_served(texts: Callable[..., Path], wrong: str) -> None:
    with serving([texts(a=b"text") / "a"], latency=0) as served:
        root = served.urls[0].removesuffix("/0")
        with pytest.raises(OSError, match="answered with HTTP status 404"):
            fetch(root + wrong)
        with pytest.raises(OSError, match="answered with HTTP status 404"):
            asyncio.run(fetch_async(root + wrong))


def test_after_the_context_nobody_answers(texts: Callable[..., Path]) -> None:
    with serving([texts(a=b"text") / "a"], latency=0) as served:
        pass
    with pytest.raises(ConnectionRefusedError):
        fetch(served.urls[0])


def test_the_server_does_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    starter = (
        "import sys; from pathlib import Path; sys.path.append(sys.argv[1])\n"
        "from example_suites.documents.server import serving\n"
        "with serving([Path(sys.argv[2])], 0) as served:\n"
        "    print(served.urls[0], flush=True); sys.stdin.read()\n"
    )
    document = tmp_path / "a"
    document.write_bytes(b"text")
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", starter, str(ROOT), str(document)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        url = run.stdout.readline().strip()
        assert fetch(url) == b"text"
        run.kill()
        run.stderr.read()  # ends when the server, which holds the other end too, has ended
    with pytest.raises(ConnectionRefusedError):
        fetch(url)


# --- the suites ---


def run_examples(*options: str) -> subprocess.CompletedProcess[str]:
    installed = any(point.name == "parallelism" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "pytest_parallelism.plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "example_suites", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("cores", [1, 2, 16, 128])
def test_the_default_suites_have_at_most_60_points(cores: int) -> None:
    from pytest_parallelism.plugin.collect import points_of
    from pytest_parallelism.registry import load
    from pytest_parallelism.settings import MarkerArguments, Settings

    tests = [
        (test_documents.test_digest, False),
        (test_documents.test_fetch, True),
        (test_documents.test_fetch_and_digest, False),
        (import_module("example_suites.quickstart.test_quickstart").test_count_names, False),
    ]
    points = 0
    for test, asynchronous in tests:
        marks: list[pytest.Mark] = test.pytestmark
        found = [MarkerArguments.parse(m.args, m.kwargs) for m in marks if m.name == "parallel_strategies"]
        points += len(points_of(found, Settings(), load(), cores, asynchronous=asynchronous))
    assert 30 <= points <= 60


def test_every_point_of_the_default_suites_gives_the_sequential_result() -> None:
    done = run_examples("--parallel-check", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


def test_full_is_every_workload_on_every_size_class_instead_of_the_default() -> None:
    listed = run_examples("--full", "--collect-only", "-q").stdout
    assert "test_documents.py" not in listed
    for test in ("test_digest", "test_fetch", "test_fetch_and_digest"):
        for size_class in SIZE_CLASSES:
            for workers in (1, 2, 4, 8):
                ids = [line for line in listed.splitlines() if f"::{test}[" in line and size_class in line]
                assert any("threads-" in line and f"-w{workers}" in line for line in ids)


def test_the_users_own_folder_is_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy bread and milk, then read the news.\n" * 20)
    done = run_examples(f"--corpus={tmp_path}", "--parallel-check", "-q", "-k", "digest and threads")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--corpus=nowhere", "--corpus: there is no folder 'nowhere'; give one that holds text files."),
        ("--corpus=README.md", "--corpus: 'README.md' is not a folder; give the folder that it lies in."),
        ("--complexity=0", "--complexity: 0 is too small; give 1 or more."),
    ],
)
def test_a_wrong_option_ends_in_one_sentence(option: str, sentence: str) -> None:
    done = run_examples(option)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {sentence}" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_folder_without_text_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no readable text file lies in"):
        folder(tmp_path)
