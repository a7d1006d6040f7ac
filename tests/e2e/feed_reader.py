"""A reader of a real server's feed that reconnects as browsers do, by the id of its last message."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import Any

import httpx

from tests.feeding import Message, parsed

EVENTS = "/api/headrace/v1/events"
RECONNECT_S = 0.1


class FeedReader:
    """Follows in a thread of its own until it is closed. messages: what it got, of all connections."""

    def __init__(self, url: str, **query: str) -> None:
        self.messages: list[Message] = []
        self.connections = 0
        self._url = url + EVENTS
        self._query = query
        self._last = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with httpx.Client(timeout=httpx.Timeout(30, read=1)) as client:
            while not self._closed.wait(RECONNECT_S if self.connections else 0):
                try:
                    self._read(client)
                except httpx.HTTPError:
                    continue

    def _read(self, client: httpx.Client) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        with client.stream("GET", self._url, params=self._query, headers=headers) as response:
            if response.status_code != 200:
                return
            self.connections += 1
            rest = ""
            for text in response.iter_text():
                whole, mark, rest = (rest + text).rpartition("\n\n")
                self.messages += parsed(whole + mark)
                # That of a heartbeat counts, too.
                for line in whole.splitlines():
                    if line.startswith("id: "):
                        self._last = line.removeprefix("id: ")
                if self._closed.is_set():
                    return

    def offsets(self) -> dict[str, list[int]]:
        """Of each partition, in the order they came."""
        found: dict[str, list[int]] = defaultdict(list)
        for message in list(self.messages):
            partition, offset = message.position.rsplit("/", 1)
            found[partition].append(int(offset))
        return found

    def points(self) -> Counter[str]:
        """How many points each run has, those that a writer sent twice once."""
        seen: set[tuple[Any, ...]] = set()
        counts: Counter[str] = Counter()
        for message in list(self.messages):
            data = message.data
            if "metrics" not in data or (data["subject"], data.get("writer"), data.get("sequence")) in seen:
                continue
            seen.add((data["subject"], data.get("writer"), data.get("sequence")))
            counts[data["subject"]] += sum(one["points"] for one in data["metrics"].values())
        return counts

    def close(self) -> None:
        """End."""
        self._closed.set()
        self._thread.join(30)
