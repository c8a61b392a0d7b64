"""The cluster of the fake engine: a program that starts a worker process for each connection.

Its argument is the password; it prints its port.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener

from pytest_parallelism.envelope import run_there


def serve(connection: Connection) -> None:
    connection.send(os.getpid())
    while True:
        try:
            prepare, function, payload, start = connection.recv()
        except EOFError:
            return
        connection.send(list(run_there(prepare, function, payload, start)))


def main() -> None:
    listener = Listener(("127.0.0.1", 0), authkey=sys.argv[1].encode())
    sys.stdout.write(f"{listener.address[1]}\n")
    sys.stdout.flush()
    while True:
        with contextlib.suppress(AuthenticationError, OSError, EOFError):
            connection = listener.accept()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps workers
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                serve(connection)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    main()
