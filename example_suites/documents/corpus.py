"""Real documents: the sources of Python's standard library, or a folder of your own.

Every selection is deterministic: the same files give the same documents in the same order.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SIZE_CLASSES", "Corpus", "CorpusError", "folder", "standard_library"]

SIZE_CLASSES = ("small", "medium", "large")
"""The smallest, the middle and the largest third of a corpus, counted in documents."""

STANDARD_LIBRARY_BYTES = (10_000, 500_000)
LOOKED_AT_BYTES = 8_000  # git looks at the first 8,000 bytes for a NUL to tell binary files from text
FEWEST = 12  # the suites go up to 8 workers, and each should have work


class CorpusError(Exception):
    """A folder is no corpus; the message is one sentence for the user."""


@dataclass(frozen=True)
class Corpus:
    """Files with documents, the smallest first."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, files: Iterator[Path]) -> Corpus:
        """The corpus of these files, whatever their order."""
        return cls(tuple(sorted(files, key=lambda file: (file.stat().st_size, file.as_posix()))))

    def size_class(self, name: str) -> Corpus:
        """The documents of one of `SIZE_CLASSES`; all documents where a third of them is none."""
        third, count = SIZE_CLASSES.index(name), len(self.files)
        return Corpus(self.files[count * third // 3 : count * (third + 1) // 3] or self.files)

    def sample(self, count: int) -> list[Path]:
        """``count`` documents of all sizes in the corpus, the largest first; all where it has no more.

        They are evenly spaced in the order of size, so that they keep the size distribution. The largest
        come first so that no worker is left alone with one at the end.
        """
        everything = len(self.files)
        count = min(count, everything)
        middles = [(2 * i + 1) * everything // (2 * count) for i in range(count)]
        return [self.files[i] for i in reversed(middles)]

    def about(self, size: int) -> list[Path]:
        """A sample of about ``size`` bytes together, at least 12 documents however large they are."""
        total = sum(file.stat().st_size for file in self.files)
        return self.sample(max(FEWEST, size * len(self.files) // total))


def standard_library() -> Corpus:
    """The running interpreter's own ``*.py`` files of 10 to 500 kB: hundreds of documents anywhere."""
    root = Path(sysconfig.get_path("stdlib"))
    foreign = {"site-packages", "dist-packages"}
    low, high = STANDARD_LIBRARY_BYTES
    sources = (file for file in root.rglob("*.py") if foreign.isdisjoint(file.relative_to(root).parts))
    return Corpus.of(file for file in sources if low <= file.stat().st_size <= high)


def folder(path: Path) -> Corpus:
    """Every text file below ``path``, of any suffix and size; hidden, empty and binary files are left out.

    Raises `CorpusError` where there is no such folder or no such file in it.
    """
    if not path.exists():
        raise CorpusError(f"--corpus: there is no folder {str(path)!r}; give one that holds text files.")
    if not path.is_dir():
        raise CorpusError(f"--corpus: {str(path)!r} is not a folder; give the folder that it lies in.")
    visible = (file for file in path.rglob("*") if not _hidden(file.relative_to(path)))
    corpus = Corpus.of(file for file in visible if _is_text(file))
    if not corpus.files:
        raise CorpusError(
            f"--corpus: no readable text file lies in {str(path)!r}; give a folder that holds some."
        )
    return corpus


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _is_text(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            start = opened.read(LOOKED_AT_BYTES)
    except OSError:
        return False
    return bool(start) and b"\0" not in start
