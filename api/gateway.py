"""The ingest gateway: frames from SDK spools, appended to the log as they are."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import invalid
from headrace.api.services import Services, services
from headrace.ingest import codec, events
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import is_run_id
from headrace.ingest.topics import DEAD_LETTERS, METRICS, RUNS, is_of_run, topic_of
from msgspec.structs import replace

router = APIRouter(tags=["ingest"])
FRAMES = "application/vnd.headrace.frames"
_CREATED = (codec.type_of(events.RunCreated), codec.type_of(events.LoggedModelCreated))
_OF_GC = (codec.type_of(events.RunErasing), codec.type_of(events.RunErased))


@router.post(
    "/api/headrace/v1/events",
    summary="Append framed events",
    openapi_extra={"requestBody": {"content": {FRAMES: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def append(request: Request) -> Response:
    """Append a body of whole frames (`headrace.ingest.codec`) to the log, in order, all or nothing.

    200 means they are on disk. A frame that is no event goes to the dead letters, with the reason, and is listed in
    `rejected`; the others count as accepted. What belongs to a run that was erased is listed there too, and kept
    nowhere. 400: the framing is broken, so nothing was appended.
    """
    s = services(request)
    body = await request.body()
    batch: list[Envelope] = []
    rejected: list[dict[str, Any]] = []
    gone = s.engine.gone()
    accepted = end = 0
    try:
        for index, (item, end) in enumerate(codec.decode_frames(body)):  # noqa: B007
            fault = str(item) if isinstance(item, Malformed) else _fault(item)
            if isinstance(item, Envelope) and item.subject in gone and topic_of(item.type) in (RUNS, METRICS):
                rejected.append(
                    {"index": index, "reason": f"the run {item.subject} was erased, and takes nothing more"}
                )
            elif fault is None:
                assert isinstance(item, Envelope)
                accepted += 1
                batch.append(_placed(s, item) if item.type in _CREATED else item)
            else:
                rejected.append({"index": index, "reason": fault})
                batch.append(_dead_letter(s, fault, item))
    except Malformed as error:
        raise invalid(f"The body is not whole frames: {error}") from None
    if end != len(body):
        raise invalid(f"The body ends in the middle of a frame, at byte {end} of {len(body)}")
    if batch:
        await s.appender.append(batch)
    answer = {"accepted": accepted, "rejected": rejected}
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _fault(envelope: Envelope) -> str | None:
    """What keeps an envelope out of its topic, or None. Whether its data can be read, the folds decide."""
    topic = topic_of(envelope.type)
    if topic == DEAD_LETTERS or envelope.type in _OF_GC or not is_of_run(envelope.type):
        return f"{envelope.type} is not for clients to send"
    if topic in (RUNS, METRICS) and not is_run_id(envelope.subject):
        return f"{envelope.subject!r} is not a run id"
    if not envelope.subject:
        return "an event needs a subject"
    return None


def _placed(s: Services, envelope: Envelope) -> Envelope:
    """The creation of a run or logged model, in the experiment that has the name the trainer used.

    The trainer computed the id from the name; after a rename another experiment may have that name.
    """
    try:
        created = codec.decode_event(envelope)
    except (Malformed, codec.UnknownType):
        return envelope
    assert isinstance(created, events.RunCreated | events.LoggedModelCreated)
    holder = s.engine.registry.by_name.get(created.experiment_name)
    if holder is None:
        return envelope
    placed = replace(created, experiment_id=holder.experiment_id, artifact_root=holder.artifact_location)
    return replace(envelope, data=codec.encode_event(placed))


def _dead_letter(s: Services, reason: str, item: Envelope | Malformed) -> Envelope:
    attributes: dict[str, Any] = {}
    data = b""
    if isinstance(item, Envelope):
        attributes, data = msgspec.to_builtins(item.attributes()), item.data
    letter = events.EventRejected(reason, "", attributes, data)
    return Envelope(
        uuid.uuid4().hex, codec.type_of(letter), "gateway", "", s.clock.time_ms(), codec.encode_event(letter)
    )
