"""What has changed, for pages that then ask anew: run and experiment ids, those of many events in one message."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec
from headrace.api.feed.entry import Entry
from headrace.api.feed.reader import Reader
from headrace.api.feed.sending import RETRY_S, ended, heartbeat, hello
from headrace.api.feed.standing import Standing
from headrace.ingest.log import LogError, LogUnavailable
from headrace.ingest.topics import REGISTRY
from headrace.processors.views import ViewsUnavailable

if TYPE_CHECKING:
    from headrace.api.feed.feed import Feed

INTERVAL_S = 0.2
"""The shortest time between two messages."""
RECORDS_MAX = 50_000
"""A digest that begins further back than this says that all may have changed."""
IDS_MAX = 1000
"""So many changed runs are told by name; beyond, the message says that all may have changed."""


class Digest:
    """Gathers what has changed until it is told."""

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self._ids_max = ids_max
        self._run_ids: set[str] = set()
        self._experiment_ids: set[str] = set()
        self._all = False

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._all or self._run_ids or self._experiment_ids)

    def add(self, entry: Entry, experiment_id: str) -> None:
        """An event: of a run, or of an experiment. experiment_id: what a registry event is of, where that is known."""
        if self._all:
            return
        if entry.record.position.topic != REGISTRY:
            self._run_ids.add(entry.record.envelope.subject)
        elif experiment_id:
            self._experiment_ids.add(experiment_id)
        if len(self._run_ids) + len(self._experiment_ids) > self._ids_max:
            self.add_all()

    def add_all(self) -> None:
        """More than can be named."""
        self._all = True
        self._run_ids.clear()
        self._experiment_ids.clear()

    def taken(self) -> bytes:
        """What has changed, as JSON; gathers anew from here on."""
        told: dict[str, object] = {"all": True}
        if not self._all:
            told = {"run_ids": sorted(self._run_ids), "experiment_ids": sorted(self._experiment_ids)}
        self._all = False
        self._run_ids.clear()
        self._experiment_ids.clear()
        return msgspec.json.encode(told)


async def digests(feed: Feed, reader: Reader) -> AsyncGenerator[bytes]:
    """Which runs and experiments have changed, and how far the views are; leaves the reader at the end.

    The experiments that are wanted say which runs to tell; of experiments themselves, all are told.
    """
    digest = Digest()
    told: Standing | None = None
    feed.standing.want(+1)
    try:
        if await _is_far_back(reader):
            digest.add_all()
        yield hello(reader)
        told_s = feed.loop.time()
        while not feed.closing.is_set():
            error = await _gather_all(feed, reader, digest, told)
            if error is not None:
                yield ended(str(error))
                return
            message = b""
            if feed.standing.now not in (None, told):
                told = feed.standing.now
                message += b"event: views\ndata: %b\n\n" % msgspec.json.encode(told)
            if digest:
                message += b"event: changed\nid: %b\ndata: %b\n\n" % (reader.cursor.encode(), digest.taken())
            elif not message and feed.loop.time() - told_s >= feed.heartbeat_s:
                message = heartbeat(reader)
            if message:
                yield message
                told_s = feed.loop.time()
                await feed.pause(feed.digest_interval_s)
    finally:
        feed.standing.want(-1)
        feed.leave(reader)


async def _gather_all(feed: Feed, reader: Reader, digest: Digest, told: Standing | None) -> Exception | None:
    """Take all that is at hand, for a moment at most once there is something; an error ends the reader.

    told: how far the views are, as the reader knows it; returns where that has changed, too.
    """
    until_s = feed.loop.time() + feed.digest_interval_s
    while not feed.closing.is_set():
        if feed.standing.now not in (None, told) and not reader.has_more:
            return None
        if digest and (not reader.has_more or feed.loop.time() > until_s):
            return None
        error = await _gather(feed, reader, digest)
        if error is not None:
            return error
        if not digest and feed.loop.time() > until_s + feed.heartbeat_s:
            return None
    return None


async def _gather(feed: Feed, reader: Reader, digest: Digest) -> Exception | None:
    """Take what comes next; an error ends the reader."""
    try:
        found = await reader.next(0 if digest else feed.heartbeat_s)
    except LogUnavailable:
        await feed.pause(RETRY_S)
        return None
    except LogError as error:
        return error
    ids = reader.wanted.experiment_ids
    if found.place is None:
        feed.experiments.passed(found.entries)
    try:
        if ids:
            await feed.experiments.learn(found.entries)
    except ViewsUnavailable:
        if found.entries:
            digest.add_all()
    else:
        for entry in found.entries:
            if not ids or _is_told_to_all(entry) or feed.experiments.is_of(entry, ids):
                digest.add(entry, feed.experiments.one(entry))
    came = found.place is not None and found.offsets != reader.offsets
    reader.moved(found)
    if came and not digest and not reader.has_more:
        await feed.rest()
    return None


def _is_told_to_all(entry: Entry) -> bool:
    """What is of experiments, and a run's move when it is not known where the run was."""
    return entry.record.position.topic == REGISTRY or (entry.moved_to != "" and not entry.moved_from)


async def _is_far_back(reader: Reader) -> bool:
    """Whether the reader was so far back that it has been moved to the end."""
    try:
        if await reader.ahead() <= RECORDS_MAX:
            return False
        await reader.leap()
    except LogUnavailable:
        return False
    return True
