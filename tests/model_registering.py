"""Models for tests of endpoints: saved with the SDK, stored and registered as a trainer does, by the log alone."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from pathlib import Path

import httpx
from headrace.ingest import codec, events
from headrace.ingest import model_events as m
from headrace.ingest.digests import digest_of
from headrace.ingest.envelope import Envelope
from headrace.ingest.event import Event

_sequence = itertools.count(1)
_WRITER = uuid.uuid4().hex


def sent(client: httpx.Client, subject: str, *happened: Event | events.Event) -> None:
    """Send events to a server's gateway."""
    frames = b""
    for event in happened:
        data = codec.encode_event(event)
        envelope = Envelope(
            uuid.uuid4().hex, codec.type_of(event), "test", subject, 5, data, writer=_WRITER, sequence=next(_sequence)
        )
        frames += codec.encode_frame(envelope)
    answer = client.post("/api/headrace/v1/events", content=frames)
    assert answer.json()["rejected"] == [], answer.text


def registered(client: httpx.Client, name: str, folder: Path, alias: str = "", digest: str = "") -> str:
    """Store the model of a folder and register it as the next version of a name; its version_id.

    alias: set to it in the same breath. digest: in place of the true one.
    """
    version_id = uuid.uuid4().hex
    sums = []
    size = 0
    for file in sorted(x for x in folder.rglob("*") if x.is_file()):
        path, data = file.relative_to(folder).as_posix(), file.read_bytes()
        answer = client.put(f"/api/2.0/mlflow-artifacts/artifacts/models/{version_id}/{path}", content=data)
        assert answer.status_code == 200, answer.text
        sums.append((path, hashlib.sha256(data).hexdigest()))
        size += len(data)
    created = m.ModelVersionCreated(
        version_id,
        f"mlflow-artifacts:/models/{version_id}",
        status=m.READY,
        digest=digest or digest_of(sums),
        files=len(sums),
        file_bytes=size,
    )
    happened: list[Event] = [m.RegisteredModelCreated(name, if_absent=True), created]
    if alias:
        happened.append(m.AliasSet(alias, version_id))
    sent(client, model_id_of(name), *happened)
    return version_id


def model_id_of(name: str) -> str:
    """The id of the registered models that are made here."""
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex
