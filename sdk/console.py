"""Keeps what the process prints with the run: a tee on sys.stdout and sys.stderr, sent in blocks."""

from __future__ import annotations

import sys
import threading
from typing import Any, TextIO

from headrace.ingest import events
from headrace.sdk.pipeline import Pipeline

TEXT_CHARS_MAX = 16 * 1024  # at most 64 KiB in UTF-8
_INTERVAL_S = 0.5
_WAITING_CHARS_MAX = 8 * 1024 * 1024


class Tee:
    """A stream that also keeps what is written to it; everything else is the stream's own."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._parts: list[str] = []
        self._chars = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Write and keep it."""
        written = self._stream.write(text)
        self.keep(text)
        return written

    def keep(self, text: str) -> None:
        """Keep it for the run without writing it."""
        with self._lock:
            if self._chars < _WAITING_CHARS_MAX:
                self._parts.append(text)
                self._chars += len(text)

    def writelines(self, lines: Any) -> None:
        """Write and keep them."""
        for line in lines:
            self.write(line)

    def take(self, everything: bool) -> list[tuple[str, str]]:
        """What was written, in blocks of whole lines where possible; an unfinished line may stay."""
        with self._lock:
            text = "".join(self._parts)
            cut = len(text) if everything or len(text) >= TEXT_CHARS_MAX else text.rfind("\n") + 1
            self._parts = [text[cut:]] if cut < len(text) else []
            self._chars = len(text) - cut
        blocks = []
        text = text[:cut]
        while text:
            end = len(text)
            if end > TEXT_CHARS_MAX:
                end = text.rfind("\n", 0, TEXT_CHARS_MAX) + 1 or TEXT_CHARS_MAX
            blocks.append((self._name, text[:end]))
            text = text[end:]
        return blocks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Capture:
    """Both streams, and the thread that sends what they keep."""

    def __init__(self, pipeline: Pipeline, run_id: str) -> None:
        self.run_id = run_id
        self._pipeline = pipeline
        self._originals = (sys.stdout, sys.stderr)
        self._tees = (Tee(sys.stdout, "stdout"), Tee(sys.stderr, "stderr"))
        self._stop = threading.Event()
        sys.stdout, sys.stderr = self._tees
        self._thread = threading.Thread(target=self._run, name="headrace-console", daemon=True)
        self._thread.start()

    def restore(self) -> None:
        """Put the streams back, unless someone has put theirs on top, whose chain then stays whole."""
        if sys.stdout is self._tees[0]:
            sys.stdout = self._originals[0]
        if sys.stderr is self._tees[1]:
            sys.stderr = self._originals[1]

    def close(self) -> None:
        """Restore the streams and send the rest."""
        self.restore()
        self._stop.set()
        self._thread.join(2.0)
        self._send(everything=True)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._send(everything=False)

    def _send(self, everything: bool) -> None:
        for tee in self._tees:
            for stream, text in tee.take(everything):
                clean = text.encode("utf-8", "replace").decode()
                self._pipeline.event(self.run_id, events.ConsoleWritten(stream, clean))


_capture: _Capture | None = None


def capture(pipeline: Pipeline, run_id: str) -> None:
    """Keep what is printed from now on with this run; the process has one console, so the first run gets it."""
    global _capture
    if _capture is None:
        _capture = _Capture(pipeline, run_id)


def release(run_id: str) -> None:
    """Stop, if it was this run's."""
    global _capture
    if _capture is not None and _capture.run_id == run_id:
        held, _capture = _capture, None
        held.close()


def forget() -> None:
    """In a forked child: the console is the parent's run's; print plainly."""
    global _capture
    if _capture is not None:
        _capture.restore()
        _capture = None
