"""What a user of mpi4py.futures runs: the way of MPI itself that engines.py sets our strategy against.

    mpiexec -n 3 python -m mpi4py.futures engine_mpi.py

Rank 0 reads on its standard input what to map, maps it as often as it is told to, and says when it is done:
items and results stay here, so that a round is nothing but ``MPIPoolExecutor.map``.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, BinaryIO

from engine_tasks import chunked_map
from mpi4py.futures import MPIPoolExecutor


def main(asked: BinaryIO, told: BinaryIO) -> None:
    """Answers until its input ends: to ``(function, items, size)`` with the results, to None once it has
    mapped the same again."""
    with MPIPoolExecutor() as executor:
        executor.bootup(wait=True)
        what: Any = None
        while (order := _read(asked)) is not _END:
            first, what = order is not None, order or what
            found = chunked_map(executor, *what)
            pickle.dump(found if first else None, told)
            told.flush()


_END = object()


def _read(asked: BinaryIO) -> Any:
    try:
        return pickle.load(asked)
    except EOFError:
        return _END


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints
    main(sys.stdin.buffer, answers)
