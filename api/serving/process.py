"""One worker process: started, ready in bounded time, watched, asked over its socket, drained; and why it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psutil
from headrace.sdk.serving import frames
from headrace.sdk.serving.frames import Frame, FrameProtocol, Load, Ready

WORKER: Final = "headrace.sdk.serving.worker"
MEMORY_WATCH_S: Final = 0.1
OUTPUT_LINES: Final = 40
LINE_CHARS_MAX: Final = 1_000
REAP_S: Final = 2.0

spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="headrace-spawn")
"""A worker's life is bound to the thread that started it (PR_SET_PDEATHSIG): this one lasts as long as the server."""


class LoadFailed(Exception):
    """A model does not load; the message says why, for people."""


class WorkerEnded(Exception):
    """The worker is gone, and with it what it was asked; the message says why."""


class Answer(NamedTuple):
    """What a worker answered. headers: lower-case names."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Program(NamedTuple):
    """What is run. python: the interpreter of the model's environment. environ: its whole environment. folder: where
    it works."""

    python: str
    environ: Mapping[str, str]
    folder: Path


class WorkerProcess:
    """One worker, on the event loop that started it.

    pid: 0 before it starts. in_flight: requests it has not answered. reason: why it ended, once it has. on_ended:
    called once, after it was ready and has ended unasked.
    """

    def __init__(
        self, program: Program, load: Load, memory_bytes_max: int, on_ended: Callable[[WorkerProcess], None]
    ) -> None:
        self.pid = 0
        self.reason = ""
        self.started_s = time.monotonic()
        self.silent_since_s = 0.0
        """Since when it owes an answer and has said nothing, on the loop's clock."""
        self._program = program
        self._load = load
        self._memory_bytes_max = memory_bytes_max
        self._on_ended = on_ended
        self._process: subprocess.Popen[bytes] | None = None
        self._output: deque[str] = deque(maxlen=OUTPUT_LINES)
        self._ready: asyncio.Future[Ready] | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0
        self._stopping = False
        self._gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._protocol = FrameProtocol(self._on_frame, self._on_lost)

    @property
    def in_flight(self) -> int:
        """Requests it has not answered."""
        return len(self._waiting)

    @property
    def serving(self) -> bool:
        """Whether it takes requests."""
        return self._protocol.open and not self._stopping and self._ready is not None and self._ready.done()

    @property
    def rss_bytes(self) -> int:
        """Resident memory, 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    async def start(self, timeout_s: float) -> Ready:
        """Start it and wait until it answers. Raises LoadFailed; then it has ended."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        # Who was waiting may have been told to stop: then it is no news that it failed.
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        read_fd, write_fd = os.pipe()
        try:
            self._process = await loop.run_in_executor(spawner, self._spawn, theirs, write_fd)
        except OSError as error:
            ours.close()
            os.close(read_fd)
            raise LoadFailed(f"its process cannot be started: {error}") from error
        finally:
            theirs.close()
            os.close(write_fd)
        self.pid = self._process.pid
        await loop.connect_read_pipe(lambda: _Output(self._output), os.fdopen(read_fd, "rb", 0))
        ours.setblocking(False)
        await loop.create_unix_connection(lambda: self._protocol, sock=ours)
        self._protocol.write(frames.LOAD, 0, msgspec.to_builtins(self._load))
        if self._memory_bytes_max:
            self._keep(self._watch_memory())
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), timeout_s)
        except TimeoutError:
            self.kill(f"it did not load within {timeout_s:g} s")
            raise LoadFailed(self._with_output(self.reason)) from None
        except asyncio.CancelledError:
            self.kill("it is not wanted any more")
            raise

    def ask(self, head: Any, body: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future of its answer, which fails with WorkerEnded. Cancel it to forget the request."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self._protocol.open:
            future.set_exception(WorkerEnded(self.reason))
            return future
        if not self._waiting:
            self.silent_since_s = asyncio.get_running_loop().time()
        self._last_id += 1
        self._waiting[self._last_id] = future
        self._protocol.write(frames.REQUEST, self._last_id, head, body)
        return future

    def kill(self, reason: str) -> None:
        """End it at once."""
        self.reason = self.reason or reason
        if self._process is not None:
            self._process.kill()

    async def stop(self, drain_s: float) -> None:
        """Let it answer what it has, for so long at most, and end it."""
        self._stopping = True
        self.reason = self.reason or "it was stopped"
        if self._process is None:
            return
        if self._ready is None or not self._ready.done():
            self._process.kill()
        self._protocol.write(frames.DRAIN, 0, None)
        try:
            await asyncio.wait_for(self._gone.wait(), drain_s)
        except TimeoutError:
            self._process.kill()
            await self._gone.wait()
        finally:
            if not self._gone.is_set():
                self._process.kill()

    def _spawn(self, theirs: socket.socket, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._program.python, "-m", WORKER, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(self._program.environ),
            cwd=self._program.folder,
        )

    def _on_frame(self, frame: Frame) -> None:
        self.silent_since_s = asyncio.get_running_loop().time()
        if frame.kind == frames.ANSWER:
            future = self._waiting.pop(frame.id, None)
            if future is not None and not future.done():
                status, headers = frame.head
                future.set_result(Answer(status, [(name, value) for name, value in headers], frame.body))
            return
        assert self._ready is not None
        if self._ready.done():
            return
        if frame.kind == frames.READY:
            self._ready.set_result(msgspec.convert(frame.head, Ready))
        elif frame.kind == frames.FAILED:
            self.reason = self.reason or str(frame.head)
            self._ready.set_exception(LoadFailed(self.reason))

    def _on_lost(self) -> None:
        self._keep(self._reap())

    async def _reap(self) -> None:
        """Tell everybody who waits; the process has closed its socket, so it ends or is ended."""
        process = self._process
        assert process is not None
        status = await asyncio.get_running_loop().run_in_executor(None, _ended, process)
        self.reason = self.reason or _told(status)
        was_ready = self._ready is not None and self._ready.done() and self._ready.exception() is None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(LoadFailed(self._with_output(self.reason)))
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(WorkerEnded(self.reason))
        self._gone.set()
        if was_ready and not self._stopping:
            self._on_ended(self)

    async def _watch_memory(self) -> None:
        while not self._gone.is_set():
            used = self.rss_bytes
            if used > self._memory_bytes_max:
                self.kill(f"it used {_mib(used)} of memory, over its limit of {_mib(self._memory_bytes_max)}")
                return
            await asyncio.sleep(MEMORY_WATCH_S)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _with_output(self, reason: str) -> str:
        last = "\n".join(self._output).strip()[-LINE_CHARS_MAX:]
        return f"{reason}. Its last words: {last}" if last else reason


class _Output(asyncio.Protocol):
    """Keeps the last lines of what a worker prints."""

    def __init__(self, lines: deque[str]) -> None:
        self._lines = lines
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LINE_CHARS_MAX:]
        self._lines.extend(line[:LINE_CHARS_MAX].decode("utf-8", "replace") for line in lines)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that has nothing more to do. Blocks, for REAP_S at most."""
    try:
        return process.wait(REAP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _told(status: int) -> str:
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"its process was ended by {name}"
    return f"its process ended with exit code {status}"


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
