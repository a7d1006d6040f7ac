"""`GET /api/headrace/v1/events`: the feed as server-sent events, or one answer a time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from headrace.api import registered
from headrace.api.errors import invalid, unavailable
from headrace.api.feed import cursor
from headrace.api.feed.cursor import BadCursor
from headrace.api.feed.feed import FeedFull
from headrace.api.feed.stream import EventStream
from headrace.api.feed.wanted import BadFilter, of_models, wanted
from headrace.api.services import services

router = APIRouter(tags=["feed"])
JSON = "application/json"
EVENTS = "text/event-stream"
LIMIT_MAX = 10_000
WAIT_S_MAX = 60.0

_MANY = "Repeated or comma-separated; none for all"
_ANSWER = {
    "type": "object",
    "required": ["events", "after", "next", "caught_up"],
    "properties": {
        "events": {"type": "array", "items": {"type": "object"}},
        "after": {"type": "string", "description": "The cursor this answer begins at"},
        "next": {"type": "string", "description": "The cursor to go on from"},
        "caught_up": {"type": "boolean", "description": "Whether all is told that was logged when this was asked"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events", "content": {EVENTS: {"schema": {"type": "string"}}, JSON: {"schema": _ANSWER}}},
    503: {"description": "Too many readers, or the log cannot be read now"},
}


@router.get("/api/headrace/v1/events", summary="Events from a cursor on, and those that come", responses=_RESPONSES)
async def get_events(
    request: Request,
    after: Annotated[
        str, Query(description="now, begin, a time (ISO 8601, or ms), or a cursor: topic/partition/offset, with commas")
    ] = "now",
    experiment_ids: Annotated[list[str] | None, Query(description=_MANY)] = None,
    run_ids: Annotated[list[str] | None, Query(description=_MANY)] = None,
    models: Annotated[list[str] | None, Query(description=f"{_MANY}; registered models, by name or id")] = None,
    types: Annotated[list[str] | None, Query(description=f"{_MANY}; whole, or such as headrace.run.*")] = None,
    points: Annotated[bool, Query(description="Metric points themselves, rather than a digest of them")] = False,
    digest: Annotated[bool, Query(description="Only which runs and experiments have changed")] = False,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Of one JSON answer")] = 1000,
    wait_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX, description="How long a JSON answer waits for events")] = 0.0,
    last_event_id: Annotated[str, Header(description="As `after`, which it overrules")] = "",
) -> Response:
    """Server-sent events, unless `Accept` asks for JSON: then one answer, `{"events", "after", "next", "caught_up"}`.

    Each message's id is the cursor behind it. Events of one partition come in its order, each once; across partitions
    they go by the time they were logged, as far as they are at hand. With `digest=true`: `event: changed` with
    `{"run_ids": […], "experiment_ids": […]}`, or `{"all": true}` when they are too many to name, and `event: views`
    with `behind`, the events that the views do not hold yet, and `fault`, what they wait for or null. `event: ended`
    says why a stream cannot go on.
    """
    as_json = _asks_for_json(request.headers.get("accept", ""))
    if as_json and digest:
        raise invalid("digest=true is for server-sent events; leave it out, or ask for text/event-stream")
    feed = services(request).feed
    try:
        which = wanted(experiment_ids or (), run_ids or (), types or ())
        if models:
            which = of_models(which, models, (await registered.current(services(request))).models)
        reader = await feed.open(cursor.parsed(last_event_id or after), which)
    except (BadFilter, BadCursor) as error:
        raise invalid(f"Invalid request for events: {error}") from None
    except FeedFull as error:
        raise unavailable(str(error)) from None
    if as_json:
        try:
            answer = await feed.poll(reader, limit, wait_s, points)
        except BadCursor as error:
            raise invalid(f"Invalid request for events: {error}") from None
        return Response(answer.json(), media_type=JSON, headers={"Cache-Control": "no-store"})
    messages = feed.digests(reader) if digest else feed.events(reader, points)
    return EventStream(messages, feed.closing, lambda: feed.leave(reader))


def _asks_for_json(accept: str) -> bool:
    """Whether JSON is named, and server-sent events are not."""
    return JSON in accept and EVENTS not in accept
