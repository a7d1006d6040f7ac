"""Envelopes as Kafka messages, by the CloudEvents Kafka binding in binary mode, and back."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from headrace.ingest.codec import Malformed, unreadable
from headrace.ingest.envelope import JSON, Envelope
from headrace.ingest.limits import INT64_MAX, INT64_MIN
from headrace.ingest.log import Position, Record

Headers = list[tuple[str, bytes]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_JSON = JSON.encode()
_POINT, _ZULU = b".Z"
_LOGGED = "headrace_logged_ms"


def encode_headers(envelope: Envelope) -> Headers:
    """The headers of an envelope's message. Its key is the subject and its value the data.

    Names follow https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md:
    `content-type`, and `ce_` before each attribute, its value as UTF-8. The time is RFC 3339 in UTC with three digits
    of milliseconds, which says the same as time_ms; one beyond the years 1 to 9999, which RFC 3339 cannot say, goes
    into the extension `ce_timems` as a decimal number instead. Attributes that have their default are left out.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("content-type", envelope.content_type.encode()),
    ]
    seconds, milliseconds = divmod(envelope.time_ms, 1000)
    try:
        headers.append(("ce_time", f"{_date_time(seconds)}.{milliseconds:03d}Z".encode()))
    except OverflowError:
        headers.append(("ce_timems", b"%d" % envelope.time_ms))
    if envelope.schema_version != 1:
        headers.append(("ce_schemaversion", b"%d" % envelope.schema_version))
    if envelope.actor:
        headers.append(("ce_actor", envelope.actor.encode()))
    if envelope.writer:
        headers.append(("ce_writer", envelope.writer.encode()))
    if envelope.sequence:
        headers.append(("ce_sequence", b"%d" % envelope.sequence))
    return headers


def logged_header(timestamp_ms: int) -> tuple[str, bytes]:
    """The header that says when another log took this record, where a log takes over its history."""
    return _LOGGED, b"%d" % timestamp_ms


def decode_headers(
    headers: Sequence[tuple[str, bytes | None]], key: bytes | None, data: bytes, timestamp_ms: int
) -> tuple[Envelope, int]:
    """The envelope in a message, and when it was logged. Raises Malformed.

    timestamp_ms: the broker's. It stands in for a time that the sender left out, as the key does for a subject: both
    are optional in CloudEvents. A schema version that is left out is 1, a content type JSON. Headers of other names
    mean nothing here.
    """
    found = dict(headers)
    get = found.get
    try:
        time = get("ce_time")
        if time is not None:
            time_ms = _time_ms(time)
        else:
            time = get("ce_timems")
            time_ms = timestamp_ms if time is None else _integer(time, INT64_MIN)
        subject = get("ce_subject")
        if subject is None:
            subject = key or b""
        version, sequence, logged = get("ce_schemaversion"), get("ce_sequence"), get(_LOGGED)
        actor, writer = get("ce_actor"), get("ce_writer")
        envelope = Envelope(
            found["ce_id"].decode(),  # type: ignore[union-attr]
            found["ce_type"].decode(),  # type: ignore[union-attr]
            found["ce_source"].decode(),  # type: ignore[union-attr]
            subject.decode(),
            time_ms,
            data,
            get("content-type", _JSON).decode(),  # type: ignore[union-attr]
            1 if version is None else _integer(version),
            "" if actor is None else actor.decode(),
            "" if writer is None else writer.decode(),
            0 if sequence is None else _integer(sequence),
        )
        return envelope, timestamp_ms if logged is None else _integer(logged, INT64_MIN)
    except KeyError as error:
        raise Malformed(f"message headers: there is no {error.args[0]}; a CloudEvent in binary mode has one") from error
    except (AttributeError, ValueError, OverflowError) as error:
        raise Malformed(f"message headers: {error}") from error


def record_of(
    position: Position,
    timestamp_ms: int,
    headers: Sequence[tuple[str, bytes | None]],
    key: bytes | None,
    data: bytes,
) -> Record:
    """A message as a record; one that is no envelope as what stands in for it. timestamp_ms: the broker's."""
    try:
        envelope, timestamp_ms = decode_headers(headers, key, data, timestamp_ms)
    except Malformed as error:
        place = "/".join(map(str, position))
        envelope = unreadable(place, raw_headers(headers, key), data, error)
    return Record(position, timestamp_ms, envelope)


def raw_headers(headers: Sequence[tuple[str, bytes | None]], key: bytes | None) -> bytes:
    """Key and headers as lines of text, for the record of what could not be decoded."""
    lines = [b"key: " + (key or b"")]
    lines += [name.encode("utf-8", "replace") + b": " + (value or b"") for name, value in headers]
    return b"\n".join(lines)


@functools.lru_cache(maxsize=4096)
def _date_time(seconds: int) -> str:
    """Seconds since the epoch as `2026-01-31T23:59:59`, UTC. Raises OverflowError beyond the years 1 to 9999."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


@functools.lru_cache(maxsize=4096)
def _second_ms(date_time: bytes) -> int:
    """What _date_time made of it, in milliseconds."""
    return (datetime.fromisoformat(date_time.decode("ascii") + "+00:00") - _EPOCH) // _MILLISECOND


def _time_ms(value: bytes) -> int:
    """Milliseconds since the epoch of an RFC 3339 time; what is finer is cut off. Raises ValueError."""
    milliseconds = value[20:23]
    if len(value) == 24 and value[19] == _POINT and value[23] == _ZULU and milliseconds.isdigit():
        return _second_ms(value[:19]) + int(milliseconds)  # as encode_headers writes it
    text = value.decode("ascii")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"ce_time {text!r} has no offset from UTC")
    return (moment - _EPOCH) // _MILLISECOND


def _integer(value: bytes, least: int = 0) -> int:
    """A decimal number between `least` and what 64 bits hold. Raises ValueError."""
    if value.isdigit() and len(value) < 19:
        return int(value)
    if not value.removeprefix(b"-").isdigit() or len(value) > 20 or not least <= int(value) <= INT64_MAX:
        raise ValueError(f"{value[:40]!r} is not a number from {least} to {INT64_MAX}")
    return int(value)
