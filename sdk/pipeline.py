"""Buffer to spool to target: the threads of one writer, and how they start and end."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from headrace.ingest import events
from headrace.ingest.clock import Clock, SystemClock
from headrace.sdk.artifacts import ArtifactShipper, Stage
from headrace.sdk.buffer import ARTIFACT, EVENT, FLUSH, Buffer, Entry
from headrace.sdk.encoder import Encoder
from headrace.sdk.settings import Settings
from headrace.sdk.shipper import Backoff, Shipper
from headrace.sdk.spool import Spool, SpoolPosition, SpoolUnavailable
from headrace.sdk.sync import Adoption
from headrace.sdk.transport import Transport, open_transport
from headrace.sdk.version import VERSION

logger = logging.getLogger("headrace")

# Small enough that the encoder gives the interpreter back within milliseconds, large enough to compress well.
CHUNK_ENTRIES = 50_000
SPOOL_S = 2.0
"""What the spool gets at the end at least, however short the exit timeout: what is not in it is lost."""

importing = threading.Lock()
"""Held while a thread imports pyarrow or httpx: a fork in the middle would leave the child a half-made module."""


def _open(uri: str, settings: Settings) -> Transport:
    """The transport, with what it imports at its first use."""
    with importing:
        return open_transport(uri, settings)


def _bring_arrow(encoder: Encoder) -> None:
    """Import pyarrow, which takes up to a second, beside the spooler; points are packed without it until then."""
    try:
        with importing:
            from headrace.sdk.arrow_columns import pack  # not on the caller's thread
    except Exception:
        logger.exception("pyarrow cannot be imported; points are sent as MessagePack")
        return
    encoder.pack = pack


@dataclass(eq=False)
class _Mark:
    """What a flush waits for. position: the spool's end once all before the mark was written."""

    written: threading.Event = field(default_factory=threading.Event)
    position: SpoolPosition | None = None
    artifacts: int = 0


class Pipeline:
    """One writer: its buffer, its spool and the threads between them and the target.

    Nothing runs until the first entry is put. The threads are daemons; `close` gives them a bounded time to end.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Callable[[], Transport] | None = None,
        clock: Clock | None = None,
        actor: str = "",
    ) -> None:
        self.settings = settings
        self.writer = uuid.uuid4().hex
        self.directory = Path(settings.spool_dir) / self.writer
        self.buffer = Buffer(settings.buffer_points_max, CHUNK_ENTRIES, self._start)
        self.stage = Stage(self.directory)
        self.spool = Spool(self.directory, bytes_max=settings.spool_bytes_max, fsync=settings.spool_fsync)
        self.events_spooled = 0
        self._clock = clock or SystemClock()
        self._actor = actor
        open_target = transport or (lambda: _open(settings.tracking_uri, settings))
        self.shipper = Shipper(self.spool, settings, open_target)
        self.artifacts = ArtifactShipper(self.stage, self.spool, self.shipper.changed, settings, open_target)
        self._adoption = Adoption(settings, socket.gethostname(), self.directory, _open)
        self._heartbeats: dict[str, float] = {}
        self._pending: tuple[bytes, list[Entry], int, int] | None = None
        self._created = False
        self._warned_spool = False
        self._retry_at_s = 0.0
        self._backoff = Backoff(settings.retry_interval_min_s, settings.retry_interval_max_s)
        self._stopping = threading.Event()
        self._closing_until_s: float | None = None
        self._start_lock = threading.Lock()
        self._running = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="headrace-spooler", daemon=True)

    # --- for callers --------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether anything was ever logged."""
        return self._running

    def event(self, subject: str, event: events.Event, timestamp_ms: int | None = None) -> None:
        """Append an event; never waits."""
        self.buffer.put(subject, EVENT, self._clock.time_ms() if timestamp_ms is None else timestamp_ms, event)

    def open_run(self, run_id: str) -> None:
        """Send heartbeats for this run from now on."""
        if self.settings.heartbeat_interval_s > 0:
            self._heartbeats[run_id] = self._clock.monotonic_s() + self.settings.heartbeat_interval_s

    def close_run(self, run_id: str) -> None:
        """No more heartbeats."""
        self._heartbeats.pop(run_id, None)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the target has everything put before this call (when offline: until the spool has it)."""
        if not self._running:
            return True
        deadline_s = time.monotonic() + (1e6 if timeout_s is None else timeout_s)
        mark = _Mark()
        if not self.buffer.put("", FLUSH, 0, mark):
            return False
        self.buffer.wake.set()
        if not mark.written.wait(max(0.0, deadline_s - time.monotonic())):
            return False
        if self.settings.offline:
            return True
        assert mark.position is not None
        return self.shipper.wait_for(
            mark.position, min(deadline_s, time.monotonic() + 1e6)
        ) and self.artifacts.wait_for(mark.artifacts, min(deadline_s, time.monotonic() + 1e6))

    def forget(self) -> None:
        """In a forked child: the pipeline is the parent's; close what the parent's end should free."""
        self._closed = True
        self.buffer.limit = 2**62
        self._heartbeats.clear()
        self.spool.release()

    def close(self, timeout_s: float) -> str:
        """Write what the buffer holds, give the target timeout_s to take it, end the threads.

        Returns what is left, as a line for people, or an empty string when nothing is. May be called again.
        """
        if not self._running or self._closed:
            return ""
        self._closed = True
        deadline_s = time.monotonic() + timeout_s
        self._closing_until_s = deadline_s
        self._stopping.set()
        self.buffer.wake.set()
        # The spool comes first: what is in it is safe, whatever the target does.
        if self._thread.ident is None:  # it could not be started any more: do its work here
            self._run()
        else:
            # It ends by itself at the deadline; writing what was accepted may take a little longer than asked for.
            self._thread.join(max(timeout_s, SPOOL_S) + 0.5)
        if self._thread.is_alive():
            return self._leave(stopped=False)
        if not self.settings.offline:
            shipped = self.shipper.wait_for(self.spool.end, deadline_s)
            if shipped:
                self.artifacts.wait_for(self.artifacts.recorded, deadline_s)
        self._adoption.stop(0.0)
        stopped = self.artifacts.stop(max(0.05, deadline_s - time.monotonic()))
        stopped &= self.shipper.stop(max(0.05, deadline_s - time.monotonic()))
        return self._leave(stopped)

    def _leave(self, stopped: bool) -> str:
        lines = []
        if self.buffer.dropped:
            lines.append(f"{self.buffer.dropped:,} points were dropped because the buffer was full")
        unwritten = len(self.buffer.entries) + (self._pending[3] if self._pending else 0)
        if unwritten:
            lines.append(f"{unwritten:,} entries could not be written to the spool {self.directory} and are lost")
        events_left = self.events_spooled - self.shipper.events
        files_left = self.artifacts.recorded - self.artifacts.stored
        if self._created and stopped and self.spool.acked >= self.spool.end and not files_left:
            if self.spool.has_rejected():
                lines.append(f"some events were refused by the target; they are kept in {self.directory}/rejected")
                self.spool.release()
            else:
                self.spool.remove()
        elif self._created:
            if stopped:
                self.spool.release()
            size = self.spool.bytes_waiting
            files = f" and {files_left:,} artifacts" if files_left else ""
            lines.append(
                f"{events_left:,} events{files} ({size / 1e6:.1f} MB) are still in {self.directory};"
                f" `headrace sync {self.settings.spool_dir}` ships them"
            )
        return "; ".join(lines)

    # --- threads ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._start_lock:
            if self._running or self._closed:
                return
            try:
                self._thread.start()
                if not self.settings.offline:
                    self.shipper.start()
                    self.artifacts.start()
                    if self.settings.adopt_orphans:
                        self._adoption.start()
            except RuntimeError as error:  # the interpreter is shutting down
                logger.warning("cannot start logging: %s", error)
            self._running = True
            self.buffer.started()

    def _run(self) -> None:
        encoder = Encoder(self.writer, f"sdk/{socket.gethostname()}", self._actor)
        threading.Thread(target=_bring_arrow, args=(encoder,), name="headrace-import", daemon=True).start()
        while True:
            stopping = self._stopping.is_set()
            if not stopping:
                self.buffer.wake.wait(self.settings.flush_interval_s)
                self.buffer.wake.clear()
            try:
                self._beat()
                done = self._drain(encoder)
            except Exception:
                logger.exception("the spooler failed unexpectedly; it goes on")
                done = True
            if stopping and (done or time.monotonic() > (self._closing_until_s or 0.0)):
                return
            if stopping:
                time.sleep(0.02)

    def _beat(self) -> None:
        now_s = self._clock.monotonic_s()
        for run_id, due_s in list(self._heartbeats.items()):
            if now_s >= due_s and run_id in self._heartbeats:
                self._heartbeats[run_id] = now_s + self.settings.heartbeat_interval_s
                self.event(run_id, events.RunHeartbeat())

    def _drain(self, encoder: Encoder) -> bool:
        """Write everything that waits; False when the spool does not take it now."""
        while self._pending or self.buffer.entries:
            if self._pending is None:
                entries = self.buffer.drain(CHUNK_ENTRIES)
                encoded = encoder.encode(entries)
                self._pending = (b"".join(encoded.frames), encoded.marks, len(encoded.frames), len(entries))
            if time.monotonic() < self._retry_at_s or not self._write(*self._pending[:3]):
                return False
            self._pending = None
        return True

    def _write(self, frames: bytes, marks: list[Entry], count: int) -> bool:
        try:
            if not self._created:
                self.spool.create(
                    {
                        "target": self.settings.tracking_uri,
                        "offline": self.settings.offline,
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "created_ms": self._clock.time_ms(),
                        "version": VERSION,
                        "program": sys.argv[0] if sys.argv else "",
                    }
                )
                self._created = True
            end = self.spool.append(frames)
        except SpoolUnavailable as error:
            self._retry_at_s = time.monotonic() + self._backoff.pause_s()
            self.buffer.moving = False
            self.shipper.spooled()  # there may be a segment to free that ended because the disk is full
            if not self._warned_spool:
                self._warned_spool = True
                logger.warning(
                    "%s. Up to %d points are kept in memory meanwhile.", error, self.settings.buffer_points_max
                )
            return False
        self._backoff.reset()
        self.buffer.moving = True
        self._warned_spool = False
        self.events_spooled += count
        for mark in marks:
            self._handle(mark, end)
        self.shipper.spooled()
        return True

    def _handle(self, mark: Entry, end: SpoolPosition) -> None:
        kind, what = mark[2], mark[4]
        if kind == ARTIFACT:
            artifact = msgspec.structs.replace(what, segment=end.segment, offset=end.offset)
            try:
                self.stage.record(artifact)
            except OSError as error:
                logger.warning("the artifact %s is stored only if this process lives on: %s", what.path, error)
            self.artifacts.put(artifact)
        elif kind == FLUSH:
            what.position = end
            what.artifacts = self.artifacts.recorded
            what.written.set()
