"""What a worker process of ours does from its start to its end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from ._frames import ANSWER, FUNCTION, READY, Frame, Inbox, Rooms, post
from ._parts import Parts
from ._tasks import ran, run_async
from ._worker import preparing

__all__ = ["serve"]

Job = tuple[bytes, Frame]


def serve(
    line: socket.socket,
    inherited: Sequence[socket.socket],
    start: Callable[[], object],
    prepare: bytes | None,
    slots: int,
    loops: bool,
) -> None:
    """Runs chunks that come on ``line`` until the parent closes it.

    ``inherited``: sockets of the parent that a forked worker holds too. ``start`` makes this process a
    worker. ``prepare``: the packed initializer, whose outcome is told with the first message. ``slots``:
    how many chunks run at once, in threads where there are several; with ``loops`` on one event loop.
    """
    for other in inherited:
        other.close()
    start()
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the line, or is gone
        if loops:
            import asyncio  # heavy, and other workers need none

            asyncio.run(_on_a_loop(line, slots, prepare))
        elif slots > 1:
            _in_threads(line, slots, prepare)
        else:
            post(line, READY, 0, 0, _prepared(prepare))
            _one_after_another(line)


def _prepared(prepare: bytes | None) -> Parts:
    return ran(prepare, [None]) if prepare else Parts()


def _one_after_another(line: socket.socket) -> None:
    rooms = Rooms()
    inbox = Inbox(line, rooms)
    blob = b""
    while True:
        frames = deque(inbox.receive())
        while frames:
            frame = frames.popleft()
            if frame.kind == FUNCTION:
                blob = bytes(frame.body)
            else:
                post(line, ANSWER, frame.tag, frame.start, ran(blob, frame.body, frame.start))
                rooms.give_back(frame.body)
            del frame  # or a worker would keep the last chunk while it waits


def _in_threads(line: socket.socket, slots: int, prepare: bytes | None) -> None:
    jobs: SimpleQueue[Job] = SimpleQueue()
    ready: SimpleQueue[Parts] = SimpleQueue()
    sending = threading.Lock()

    begin = preparing()

    def work() -> None:
        begin()
        ready.put(_prepared(prepare))
        with contextlib.suppress(OSError):
            while True:
                blob, frame = jobs.get()
                answer = ran(blob, frame.body, frame.start)
                with sending:
                    post(line, ANSWER, frame.tag, frame.start, answer)
                del blob, frame, answer  # as above

    for _ in range(slots):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(slots):
        post(line, READY, 0, 0, ready.get())
    _hand_on(line, jobs.put)


def _hand_on(line: socket.socket, put: Callable[[Job], object]) -> None:
    inbox = Inbox(line, Rooms())  # chunks may end in any order
    blob = b""
    while True:
        for frame in inbox.receive():
            if frame.kind == FUNCTION:
                blob = bytes(frame.body)
            else:
                put((blob, frame))
            del frame  # as above


async def _on_a_loop(line: socket.socket, slots: int, prepare: bytes | None) -> None:
    import asyncio

    jobs: asyncio.Queue[Job | None] = asyncio.Queue()
    inbox = Inbox(line, Rooms())  # chunks may end in any order
    blob = b""

    def arrived() -> None:
        nonlocal blob
        try:
            frames = inbox.receive()
        except (EOFError, OSError):
            jobs.put_nowait(None)
            return
        for frame in frames:
            if frame.kind == FUNCTION:
                blob = bytes(frame.body)
            else:
                jobs.put_nowait((blob, frame))

    async def work() -> None:
        while job := await jobs.get():
            function, frame = job
            answer = await run_async(function, frame.body, frame.start)
            post(line, ANSWER, frame.tag, frame.start, answer)
            del job, frame, answer  # as above
        raise EOFError

    answer = _prepared(prepare)
    for _ in range(slots):
        post(line, READY, 0, 0, answer)
    asyncio.get_running_loop().add_reader(line, arrived)
    await asyncio.gather(*(work() for _ in range(slots)))
