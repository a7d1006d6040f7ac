"""A record of the log as a line: for a person, for a pipe, as JSON."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from headrace.ingest import points
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import JSON, Envelope
from headrace.ingest.events import METRICS_LOGGED
from headrace.ingest.log import Record
from headrace.sdk.cli.output import one_line, plain

KEYS_MAX = 8
"""Metrics of a batch that a line tells apart."""


def place_of(record: Record) -> str:
    """Its position, such as runs/3/42."""
    return "/".join(map(str, record.position))


def text_line(record: Record, width: int | None) -> str:
    """When it was logged (UTC), where it stands, its type, its subject, what it says.

    width: cut to so many characters, the parts apart by spaces; None for whole parts with tabs between.
    """
    envelope = record.envelope
    parts = [
        moment_of(record.timestamp_ms),
        place_of(record),
        envelope.type.removeprefix("headrace."),
        envelope.subject,
        summary(envelope),
    ]
    line = [one_line(part) for part in parts]
    if width is None:
        return "\t".join(line)
    joined = f"{line[0]}  {line[1]:<16}  {line[2]:<22}  {line[3]}  {line[4]}"
    return joined if len(joined) <= width else f"{joined[: width - 1]}…"


def summary(envelope: Envelope) -> str:
    """What an event says, in short: its JSON, or the number of points and the last value of the first few metrics."""
    if envelope.type == METRICS_LOGGED:
        try:
            table = points.decode(envelope.data)
        except Malformed as error:
            return str(error)
        keys, values = table.column("key").to_pylist(), table.column("value").to_pylist()
        last = dict(zip(keys, values, strict=True))
        shown = [f"{key}={value:.6g}" for key, value in list(last.items())[:KEYS_MAX]]
        more = ["…"] if len(last) > KEYS_MAX else []
        return " ".join([f"{len(keys)} point{'s' * (len(keys) != 1)}:", *shown, *more])
    try:
        return envelope.data.decode()
    except UnicodeDecodeError:
        return f"{len(envelope.data)} bytes of {envelope.content_type}"


def json_line(record: Record) -> str:
    """All of a record as one line of JSON: data that is JSON as itself, points as rows, other data in base64."""
    envelope = record.envelope
    told: dict[str, Any] = {
        "position": place_of(record),
        "logged_ms": record.timestamp_ms,
        "id": envelope.id,
        "type": envelope.type,
        "source": envelope.source,
        "subject": envelope.subject,
        "time_ms": envelope.time_ms,
        "content_type": envelope.content_type,
        "schema_version": envelope.schema_version,
        "actor": envelope.actor,
        "writer": envelope.writer,
        "sequence": envelope.sequence,
        **_data(envelope),
    }
    return json.dumps(plain(told), ensure_ascii=False, allow_nan=False)


def _data(envelope: Envelope) -> dict[str, Any]:
    try:
        if envelope.type == METRICS_LOGGED:
            return {"points": points.decode(envelope.data).to_pylist()}
        if envelope.content_type == JSON:
            return {"data": json.loads(envelope.data)}
    except (Malformed, ValueError, RecursionError):
        pass
    return {"data_base64": base64.b64encode(envelope.data).decode()}


def moment_of(time_ms: int) -> str:
    """A time as a line has it: UTC, to the millisecond."""
    try:
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(time_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03}"
