"""Appends for many requests at once: what arrives while one commit is under way shares the next (group commit)."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence

from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Log, LogError, Partition, Position

WAITING_MAX = 2_000
GROUP_BYTES_MAX = 16 * 1024 * 1024


class AppendRefused(Exception):
    """Too many appends are waiting for the disk; send it again later."""


class Appender:
    """One thread that appends to the log what coroutines hand it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._queue: queue.SimpleQueue[tuple[Sequence[Envelope], asyncio.Future[list[Position]]] | None]
        self._queue = queue.SimpleQueue()
        self.written: dict[Partition, int] = {}
        """The offset behind the last of its appends, a partition; read and changed on the event loop only."""
        self._thread = threading.Thread(target=self._run, name="headrace-append", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Append what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    async def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        """Append a batch, all or nothing; returns when it is on disk. Raises LogUnavailable, AppendRefused."""
        future: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()
        if self._queue.qsize() >= WAITING_MAX:
            raise AppendRefused(f"{WAITING_MAX} appends wait for the log; try again later")
        self._queue.put((envelopes, future))
        return await future

    def _run(self) -> None:
        last = False
        while not last:
            item = self._queue.get()
            if item is None:
                return
            group = [item]
            size = sum(len(envelope.data) for envelope in item[0])
            while size < GROUP_BYTES_MAX:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    last = True
                    break
                group.append(item)
                size += sum(len(envelope.data) for envelope in item[0])
            self._append(group)

    def _append(self, group: list[tuple[Sequence[Envelope], asyncio.Future[list[Position]]]]) -> None:
        error: Exception | None = None
        positions: list[Position] = []
        try:
            positions = self._log.append([envelope for envelopes, _ in group for envelope in envelopes])
        except Exception as fault:
            # Whatever it is, those who wait must hear of it, and this thread go on.
            error = fault

        def tell() -> None:
            for topic, partition, offset in positions:
                self.written[Partition(topic, partition)] = offset + 1
            start = 0
            for envelopes, future in group:
                if not future.done():
                    if error is not None:
                        future.set_exception(type(error)(*error.args) if isinstance(error, LogError) else error)
                    else:
                        future.set_result(positions[start : start + len(envelopes)])
                start += len(envelopes)

        group[0][1].get_loop().call_soon_threadsafe(tell)
