"""Bytes and back: envelopes as frames (in spools and request bodies), event data as JSON."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec
from headrace.ingest.envelope import Attributes, Envelope, from_attributes
from headrace.ingest.events import TYPE_OF, TYPES, Event, EventRejected


class Malformed(ValueError):
    """These bytes are not what they should be; the message says what was expected."""


class UnknownType(LookupError):
    """This version does not know the event's type or schema version; keep the event and go on."""


# length of what follows, CRC-32 of what follows the CRC, length of the attributes
_FRAME = struct.Struct("<III")
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""The longest frame that is read, bytes. Writers split long before this."""

KNOWN_SCHEMA_VERSION = 1
"""The highest schema version today's folds read."""

_encode_json = msgspec.json.Encoder().encode
_encode_attributes = msgspec.json.Encoder().encode
_decode_attributes = msgspec.json.Decoder(Attributes).decode
_decoders = {name: msgspec.json.Decoder(event).decode for name, event in TYPES.items()}


def encode_event(event: Event) -> bytes:
    """An event as the JSON data of its envelope."""
    return _encode_json(event)


def type_of(event: Event | type[Event]) -> str:
    """The type an event, or events of a class, have in their envelope."""
    return TYPE_OF[event if isinstance(event, type) else type(event)]


def decode_event(envelope: Envelope) -> Event:
    """The event in an envelope with JSON data.

    Raises UnknownType for a type or schema version from the future, Malformed for data that does not fit its type.
    """
    decode = _decoders.get(envelope.type)
    if decode is None or envelope.schema_version > KNOWN_SCHEMA_VERSION:
        raise UnknownType(f"{envelope.type} version {envelope.schema_version}")
    try:
        return decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{envelope.type}: {error}") from error


def encode_attributes(envelope: Envelope) -> bytes:
    """The envelope's attributes as JSON, as the log keeps them beside the data."""
    return _encode_attributes(envelope.attributes())


def decode_envelope(attributes: bytes, data: bytes) -> Envelope:
    """The envelope that was kept as these two. Raises Malformed."""
    try:
        return from_attributes(_decode_attributes(attributes), data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"envelope attributes: {error}") from error


def unreadable(place: str, attributes: bytes, data: bytes, error: Malformed) -> Envelope:
    """What stands in for a stored record whose attributes cannot be read, so that readers report it and go on."""
    rejected = EventRejected(str(error), place, {"raw": attributes.decode("utf-8", "replace")}, data)
    return Envelope(f"rejected:{place}", type_of(rejected), "log", "", 0, encode_event(rejected))


def encode_frame(envelope: Envelope) -> bytes:
    """One envelope as a frame: self-delimiting, with a checksum."""
    attributes = encode_attributes(envelope)
    body = len(attributes).to_bytes(4, "little") + attributes + envelope.data
    return (4 + len(body)).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def decode_frames(buffer: bytes | memoryview) -> Iterator[tuple[Envelope | Malformed, int]]:
    """The frames of a buffer, each with the offset in bytes just behind it.

    A frame that is whole but not an envelope comes as Malformed, and reading goes on behind it. A torn tail (a frame
    cut short, or with a wrong checksum and nothing behind it) ends the iteration: its bytes are not consumed.
    Raises Malformed when a length is impossible or a checksum is wrong in the middle, since nothing behind it can be
    trusted.
    """
    view = memoryview(buffer)
    start = 0
    while len(view) - start >= _FRAME.size:
        length, crc, attributes_length = _FRAME.unpack_from(view, start)
        end = start + 4 + length
        if length > FRAME_BYTES_MAX or length < 8 + attributes_length:
            raise Malformed(f"a frame of {length} bytes at byte {start}: not a frame, or cut in another place")
        if end > len(view):
            return
        body = view[start + _FRAME.size : end]
        if zlib.crc32(view[start + 8 : end]) != crc:
            if end == len(view):
                return
            raise Malformed(f"a frame with a wrong checksum at byte {start}")
        item: Envelope | Malformed
        try:
            item = decode_envelope(bytes(body[:attributes_length]), bytes(body[attributes_length:]))
        except Malformed as error:
            item = error
        yield item, end
        start = end
