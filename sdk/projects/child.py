"""A command in a process group of its own that never outlives us: what it prints, how it ended, and how it is ended."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from headrace.sdk.console import Tee

GRACE_S = 10.0
"""How long a process may take to end after it was asked to, before it is killed."""
_DRAIN_S = 5.0
_BLOCK_S = 0.5
LAST_LINES = 15
# Runs beside us in a session of its own: the end of its input, which comes however we die, ends the command's group.
_WATCH = """
read -r group || exit 0
read -r word
[ "$word" = done ] && exit 0
kill -s TERM -- "-$group" 2>/dev/null
n=0
while kill -s 0 -- "-$group" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
kill -s KILL -- "-$group" 2>/dev/null
"""


class Child:
    """A command that runs. send: told what it printed, by stream, in blocks of whole lines where possible."""

    def __init__(
        self, command: str, folder: Path, environ: Mapping[str, str], send: Callable[[str, str], None]
    ) -> None:
        shell = shutil.which("bash") or "/bin/sh"
        self._send = send
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            self._process = subprocess.Popen(
                [shell, "-c", command],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            self._tell("")
            raise
        self._tell(f"{self._process.pid}\n", close=False)
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._tees = (Tee(sys.stdout, "stdout"), Tee(sys.stderr, "stderr"))
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, tee), daemon=True)
            for pipe, tee in zip((self._process.stdout, self._process.stderr), self._tees, strict=True)
        ]
        self._ended = threading.Event()
        self._sender = threading.Thread(target=self._send_blocks, daemon=True)
        for thread in (*self._readers, self._sender):
            thread.start()

    def wait(self) -> int:
        """Wait for its end and for what it printed; ends what it left behind. The exit code, -N for signal N."""
        code = self._process.wait()
        self._end_group()
        deadline_s = time.monotonic() + _DRAIN_S
        for thread in self._readers:
            thread.join(max(0.1, deadline_s - time.monotonic()))
        self._ended.set()
        self._sender.join(_DRAIN_S)
        self._tell("done\n")
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the command and all its processes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def running(self) -> bool:
        """Whether the command itself has not ended."""
        return self._process.returncode is None

    def _end_group(self) -> None:
        """End what the command started and did not wait for."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline_s = time.monotonic() + (2.0 if number == signal.SIGTERM else 1.0)
            while time.monotonic() < deadline_s:
                try:
                    os.killpg(self._process.pid, number)
                except (ProcessLookupError, PermissionError):
                    return
                time.sleep(0.02)

    def _tell(self, text: str, close: bool = True) -> None:
        pipe = self._watch.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            if text:
                pipe.write(text.encode())
                pipe.flush()
        if close:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            self._watch.wait()

    def _read(self, pipe: IO[bytes], tee: Tee) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while data := os.read(pipe.fileno(), 65536):
            text = decoder.decode(data)
            try:
                tee.write(text)
                tee.flush()
            except (OSError, ValueError):  # nobody reads what we print any more; the run still keeps it
                tee.keep(text)
            rest += text
            *lines, rest = rest.split("\n")
            rest = rest[-4096:]
            self.last_lines.extend(line[-1000:] for line in lines if line.strip())
        if rest.strip():
            self.last_lines.append(rest[-1000:])

    def _send_blocks(self) -> None:
        while True:
            ended = self._ended.wait(_BLOCK_S)
            for tee in self._tees:
                for stream, text in tee.take(everything=ended):
                    self._send(stream, text.encode("utf-8", "replace").decode())
            if ended:
                return
