"""What a user of mpi4py.futures runs: the way of MPI itself that engines.py sets our strategy against.

    mpiexec -n 3 python -m mpi4py.futures engine_mpi.py SOCKET

Rank 0 reads from that socket what to map, maps it as often as it is told to, and says when it is done: items
and results stay here, so that a round is nothing but ``MPIPoolExecutor.map``.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Client, Connection
from typing import Any

from engine_tasks import chunked_map
from mpi4py.futures import MPIPoolExecutor


def main(line: Connection) -> None:
    """Answers until its other end closes: ``(function, items, size)`` with the results, None once it has
    mapped the same again."""
    with MPIPoolExecutor() as executor:
        executor.bootup(wait=True)
        what: Any = None
        while True:
            try:
                order = line.recv()
            except EOFError:
                return
            what = order or what
            found = chunked_map(executor, *what)
            line.send(found if order else None)


if __name__ == "__main__":
    with Client(sys.argv[1]) as opened:
        main(opened)
