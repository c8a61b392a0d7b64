"""Processes of an MPI launch: mpi4py.futures, on this machine or by the user's own launcher."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import which

from ..strategy import Isolation, Pool, Strategy, StrategyOptions

__all__ = ["STRATEGIES", "launcher"]


def _open(workers: int, options: StrategyOptions) -> AbstractContextManager[Pool]:
    from functools import partial

    from ..errors import UsageError
    from ._chunks import extras
    from ._engine import open_on
    from ._mpi_cluster import start_here, start_there

    extras(options, "mpi")
    if options.address is not None:
        return open_on(workers, options, partial(start_there, workers, options.address), engine="mpi")
    command = launcher()
    if command is None:
        raise UsageError(_MISSING)
    return open_on(
        workers, options, partial(start_here, workers, command, options.start_timeout), engine="mpi"
    )


_MISSING = (
    "mpi needs an MPI with its mpiexec, found neither beside this Python nor on the PATH: "
    "pip install mpich, or install Open MPI or MPICH with the system's packages"
)


def launcher() -> str | None:
    """The one that is installed with this Python, as that of an MPI from a wheel is, or that of the PATH.

    MPICH has two: the usual one listens on every interface of the machine, gforker on none.
    """
    for found in (Path(sys.executable).with_name("mpiexec"), which("mpiexec")):
        if found and Path(found).exists():
            local = Path(found).with_name("mpiexec.gforker")
            return str(local if local.exists() else found)
    return None


def _available(_workers: int) -> str | None:
    # Slurm starts ranks by itself; who runs there gives its launcher as the address.
    return None if launcher() or which("srun") else _MISSING


STRATEGIES = (
    Strategy(
        name="mpi",
        open=_open,
        isolation=Isolation.REMOTE,
        group="distributed",
        dear=True,
        connects="a launcher and its arguments, such as 'mpiexec -n 9 --hostfile hosts' or 'srun'",
        requires=("mpi4py",),
        install="pytest-parallelism[mpi]",
        distribution="mpi4py",
        noun="processes",
        available=_available,
    ),
)
