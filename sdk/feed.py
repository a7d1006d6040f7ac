"""Follows the server's feed: every event from any moment on, and those that come, as an iterator that reconnects."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from headrace.sdk.reader import Reader, ReadFailed, reader

EVENTS_PATH = "/api/headrace/v1/events"
PATIENCE_S = 600.0
_BATCH = 1000
_WAIT_S = 25.0
_RETRY_FIRST_S = 0.2
_RETRY_MAX_S = 5.0
_PASSING = (0, 429, 502, 503, 504)
"""Statuses after which it is asked again; 0 is no answer."""


class Event(msgspec.Struct, frozen=True):
    """One event of the log.

    type: such as `headrace.run.created`; subject: the run, experiment or model it is about. position: where it stands,
    `topic/partition/offset`. cursor: goes on behind it, as `after`. time_ms: when it happened, and logged_ms: when the
    log took it, ms since the epoch, UTC. experiment_id: what its run belongs to now, None where that is not known.
    data: what it says, by the names of the reference. metrics: of points, by key `points` (how many), `last_step`,
    `last_timestamp_ms` and `last_value`. points: each of them, where they were asked for. data_base64: what cannot be
    read. writer, sequence: an event that has the same as one before was sent twice, and counts once.
    """

    position: str
    logged_ms: int
    id: str
    type: str
    subject: str
    time_ms: int
    cursor: str = ""
    experiment_id: str | None = None
    actor: str = ""
    source: str = ""
    schema_version: int = 1
    writer: str = ""
    sequence: int = 0
    data: Any = None
    metrics: dict[str, dict[str, Any]] | None = None
    points: list[dict[str, Any]] | None = None
    data_base64: str | None = None


def events(
    after: str | int = "now",
    *,
    types: Sequence[str] = (),
    run_ids: Sequence[str] = (),
    experiment_ids: Sequence[str] = (),
    models: Sequence[str] = (),
    points: bool = False,
    follow: bool = True,
    patience_s: float = PATIENCE_S,
) -> Iterator[Event]:
    """Events of the log as they come, each once, in order; blocks while there is none.

    after: `now`, `begin`, a time (ISO 8601, or ms since the epoch), or the cursor of an event, to go on behind it.
    types: whole, or such as `run.*`. models: registered ones, by name or id. Each filter takes all where it is empty.
    points: with each metric point. follow: without it, ends with what is in the log now. patience_s: how long a server
    may be away; the iterator goes on where it was. Raises ReadFailed, at once for a filter or cursor that cannot be.
    """
    which = (types, run_ids, experiment_ids, models)
    return following(reader(), after, *which, points=points, follow=follow, patience_s=patience_s)


def following(
    source: Reader,
    after: str | int = "now",
    types: Sequence[str] = (),
    run_ids: Sequence[str] = (),
    experiment_ids: Sequence[str] = (),
    models: Sequence[str] = (),
    *,
    points: bool = False,
    follow: bool = True,
    patience_s: float = PATIENCE_S,
) -> Iterator[Event]:
    """As events, of one server."""
    query: dict[str, Any] = {
        "types": list(types),
        "run_ids": list(run_ids),
        "experiment_ids": list(experiment_ids),
        **({"models": list(models)} if models else {}),
        "points": str(points).lower(),
        "limit": _BATCH,
    }
    # Now, so that what happens from here on is in it, and a wrong filter is told here.
    first = _ask(source, {**query, "after": str(after)}, 0, patience_s)
    return _events(source, query, first, follow, patience_s)


def _events(
    source: Reader, query: dict[str, Any], answer: dict[str, Any], follow: bool, patience_s: float
) -> Iterator[Event]:
    while True:
        offsets = dict(place.rsplit("/", 1) for place in answer["after"].split(","))
        for told in answer["events"]:
            partition, offset = told["position"].rsplit("/", 1)
            offsets[partition] = str(int(offset) + 1)
            told["cursor"] = ",".join(f"{name}/{next_}" for name, next_ in offsets.items())
            yield event_of(told)
        if answer["caught_up"] and not follow:
            return
        answer = _ask(source, {**query, "after": answer["next"]}, _WAIT_S if follow else 0, patience_s)


def _ask(source: Reader, query: dict[str, Any], wait_s: float, patience_s: float) -> dict[str, Any]:
    """One answer; asked again, with growing pauses, while the server is away."""
    deadline_s = time.monotonic() + patience_s
    retry_s = _RETRY_FIRST_S
    while True:
        try:
            headers = {"Accept": "application/json"}
            return source.call("GET", EVENTS_PATH, params={**query, "wait_s": wait_s}, headers=headers)
        except ReadFailed as error:
            left_s = deadline_s - time.monotonic()
            if error.status not in _PASSING or left_s <= 0:
                raise
        time.sleep(min(retry_s, left_s))
        retry_s = min(2 * retry_s, _RETRY_MAX_S)


def event_of(told: dict[str, Any]) -> Event:
    """An event from its JSON; NaN and infinities as numbers."""
    for last in (told.get("metrics") or {}).values():
        last["last_value"] = float(last["last_value"])
    for point in told.get("points") or ():
        point["value"] = float(point["value"])
    return msgspec.convert(told, Event)
