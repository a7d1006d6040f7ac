"""A model's own process: `python -m headrace.sdk.serving.worker FD` loads one model and answers frames on a socket.

The server that started it is at the other end. It runs in the model's environment, with no package of the server. Where
others serve it gives way to them while it loads; it ends when the server does, and holds no other model.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import msgspec
from headrace.sdk.serving import frames, threads
from headrace.sdk.serving.frames import Frame, FrameProtocol, Load, Ready

PR_SET_PDEATHSIG: Final = 1
OOM_SCORE: Final = 500
"""Where memory ends the kernel takes a worker before the server."""
LOADING_NICENESS: Final = 10
REASON_CHARS_MAX: Final = 2_000
LOAD_WAIT_S: Final = 30.0
DRAIN_S: Final = 120.0


class Scoring(Protocol):
    """What answers requests: `headrace.sdk.serving.scorer.Scorer`."""

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        """status, headers and body. Never raises."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Worker:
    """Answers frames with a scorer, on an event loop. ended: set when nothing more is to be done."""

    def __init__(self, scorer: Scoring) -> None:
        self._scorer = scorer
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self.ended = asyncio.Event()
        self.protocol = FrameProtocol(self._on_frame, self.ended.set)

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind == frames.REQUEST:
            task = asyncio.get_running_loop().create_task(self._answer(frame))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        elif frame.kind == frames.DRAIN:
            self._draining = True
            self._end_when_drained()

    async def _answer(self, frame: Frame) -> None:
        method, path, headers = frame.head
        answer = await self._scorer.answer(method, path, headers, frame.body)
        self.protocol.write(frames.ANSWER, frame.id, [answer.status, answer.headers], answer.body)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("headrace.worker").error("a request failed", exc_info=error)
        self._end_when_drained()

    def _end_when_drained(self) -> None:
        if self._draining and not self._tasks:
            self.protocol.close()


def bind_to(server_pid: int) -> None:
    """End with the server, whatever this process does then; and before it where memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
        except OSError:
            pass  # not ours to set everywhere
    if os.getppid() != server_pid:
        sys.exit("the server is gone")


def main(fd: int) -> NoReturn:
    """Load what the first frame says, tell of it, answer until the socket ends."""
    # A terminal's Ctrl-C goes to the whole group; the server drains its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads.modest()
    connection = socket.socket(fileno=fd)
    load = _first_frame(connection)
    bind_to(load.server_pid)
    try:
        scorer, ready = _gently(lambda: loaded(load)) if load.gently else loaded(load)
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX]
        logging.getLogger("headrace.worker").error("the model cannot be loaded", exc_info=error)
        _send(connection, frames.FAILED, reason)
        # Threads of a framework that are still at work would hold up a plain exit.
        sys.stderr.flush()
        os._exit(1)
    # What was loaded stays: the collector need not go through it again and again.
    gc.collect()
    gc.freeze()
    _run(_serve(connection, scorer, ready))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def loaded(load: Load) -> tuple[Scoring, Ready]:
    """The scorer of a model's folder, warm. Raises what the model's code raises."""
    import headrace.pyfunc
    from headrace.sdk.serving.batching import Limits
    from headrace.sdk.serving.scorer import Scorer

    started_s = time.perf_counter()
    model = headrace.pyfunc.load_model(load.folder)
    loaded_s = time.perf_counter()
    limits = Limits(
        body_bytes_max=load.body_bytes_max,
        queue_requests_max=load.queue_max,
        timeout_s=load.timeout_s,
        batch_rows_max=load.batch_rows_max,
        batch_wait_s=load.batch_wait_ms / 1000,
    )
    scorer = Scorer(model, load.name, load.version, limits)
    fault = ""
    try:
        scorer.warm()
    except Exception as error:
        # An example that the model does not take is no reason to refuse those that it does.
        fault = f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX]
    ready = Ready(
        loaded_s - started_s, time.perf_counter() - loaded_s, not fault, fault, sys.version.split(maxsplit=1)[0]
    )
    return scorer, ready


async def _serve(connection: socket.socket, scorer: Scoring, ready: Ready) -> None:
    worker = Worker(scorer)
    connection.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: worker.protocol, sock=connection)
    worker.protocol.write(frames.READY, 0, msgspec.to_builtins(ready))
    await worker.ended.wait()
    scorer.close()


def _run(serving: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


def _first_frame(connection: socket.socket) -> Load:
    connection.settimeout(LOAD_WAIT_S)
    found = frames.Frames()
    while True:
        data = connection.recv(65536)
        if not data:
            sys.exit("the server is gone")
        for frame in found.feed(data):
            return msgspec.convert(frame.head, Load)


def _send(connection: socket.socket, kind: int, head: Any) -> None:
    try:
        connection.sendall(b"".join(frames.encoded(kind, 0, head)))
    except OSError:
        pass  # nobody is there to be told


def _gently(work: Callable[[], Any]) -> Any:
    """Do this while others go first, and be as quick as they are afterwards. Raises what work raises."""
    lowered = _can_raise_priority()
    if lowered:
        os.setpriority(os.PRIO_PROCESS, 0, LOADING_NICENESS)
    try:
        return work()
    finally:
        if lowered:
            for thread in _threads():
                try:
                    os.setpriority(os.PRIO_PROCESS, thread, 0)
                except OSError:
                    pass  # that thread has ended


def _can_raise_priority() -> bool:
    """Whether a niceness that was raised can be lowered again: that takes a privilege, which is tried out here."""
    found: list[bool] = []

    def attempt() -> None:
        try:
            thread = threading.get_native_id()
            before = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, before + 1)
            os.setpriority(os.PRIO_PROCESS, thread, before)
            found.append(before == 0)
        except OSError:
            found.append(False)

    trial = threading.Thread(target=attempt)
    trial.start()
    trial.join()
    return sys.platform == "linux" and found == [True]


def _threads() -> Iterator[int]:
    yield from (int(entry.name) for entry in Path("/proc/self/task").iterdir())


if __name__ == "__main__":
    main(int(sys.argv[1]))
