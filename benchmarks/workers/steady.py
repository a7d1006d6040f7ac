"""A load that does not wait for answers: so many requests a second come due, and each is timed from when it was.

The job, as JSON in the first argument: port, path, body (JSON text), rate, seconds, connections. Answers with a line a
request in a file of the job's folder: when it was due (monotonic seconds), seconds to its answer, status, the version.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import uvloop

_VERSION = b"x-headrace-model: "
LAST_ANSWER_S = 30.0


class Load:
    """The connections, and what is due."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.request = (
            f"POST {job['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(job['body'])}\r\n\r\n{job['body']}"
        ).encode()
        self.due: deque[float] = deque()
        self.free: list[Connection] = []
        self.results: list[tuple[float, float, int, str]] = []

    def dispatch(self) -> None:
        """Send what is due on connections that have nothing to do."""
        while self.due and self.free:
            self.free.pop().send(self.due.popleft())


class Connection(asyncio.Protocol):
    """One kept connection with one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._held = b""
        self._due_s = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self._transport = transport
        self._load.free.append(self)

    def send(self, due_s: float) -> None:
        """One request. due_s: when it should have been sent."""
        self._due_s = due_s
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._held += data
        head, end, body = self._held.partition(b"\r\n\r\n")
        if not end:
            return
        lowered = head.lower()
        length = int(lowered.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        version = head.split(_VERSION, 1)[1].split(b"\r\n", 1)[0].decode() if _VERSION in head else ""
        self._load.results.append((self._due_s, time.monotonic() - self._due_s, int(head[9:12]), version))
        self._held = b""
        self._load.free.append(self)
        self._load.dispatch()

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio calls it: what was asked is not answered any more."""
        if self in self._load.free:
            self._load.free.remove(self)
        else:
            self._load.results.append((self._due_s, time.monotonic() - self._due_s, 0, "connection lost"))


async def run(job: dict[str, Any]) -> Load:
    """The load, from its first request to its last answer."""
    loop = asyncio.get_running_loop()
    load = Load(job)
    for _ in range(job["connections"]):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", job["port"])
    print(json.dumps({"started_s": time.monotonic()}), flush=True)
    count = int(job["rate"] * job["seconds"])
    started_s = time.monotonic()
    sent = 0
    while sent < count:
        ready = min(count, int((time.monotonic() - started_s) * job["rate"]))
        load.due.extend(started_s + number / job["rate"] for number in range(sent, ready))
        sent = max(sent, ready)
        load.dispatch()
        await asyncio.sleep(0.001)
    deadline_s = time.monotonic() + LAST_ANSWER_S
    while len(load.results) < count and time.monotonic() < deadline_s:
        await asyncio.sleep(0.01)
    return load


def main() -> None:
    """Run the job; write its results, and say how many there are."""
    job = json.loads(sys.argv[1])
    load = uvloop.run(run(job))
    lines = (f"{due_s}\t{taken_s}\t{status}\t{version}\n" for due_s, taken_s, status, version in load.results)
    Path(job["results"]).write_text("".join(lines))
    print(json.dumps({"asked": int(job["rate"] * job["seconds"]), "answered": len(load.results)}), flush=True)


if __name__ == "__main__":
    main()
