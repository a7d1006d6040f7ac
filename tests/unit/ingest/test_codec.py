"""Bytes that are not what they should be."""

from __future__ import annotations

import pytest
from headrace.ingest import events as e
from headrace.ingest.codec import (
    Malformed,
    UnknownType,
    decode_envelope,
    decode_event,
    decode_frames,
    encode_attributes,
    encode_frame,
    type_of,
)
from headrace.ingest.envelope import Envelope


def envelope(kind: str, data: bytes, version: int = 1) -> Envelope:
    return Envelope("1", kind, "test", "r", 0, data, schema_version=version)


def test_a_type_of_the_future_is_unknown_not_malformed() -> None:
    with pytest.raises(UnknownType, match=r"headrace\.run\.paused"):
        decode_event(envelope("headrace.run.paused", b"whatever"))


def test_a_schema_version_of_the_future_is_unknown_not_malformed() -> None:
    with pytest.raises(UnknownType, match="version 2"):
        decode_event(envelope(type_of(e.RunEnded), b"whatever", version=2))


def test_a_field_of_the_future_is_ignored() -> None:
    data = b'{"status": "FINISHED", "end_time_ms": 5, "mood": "good"}'
    assert decode_event(envelope(type_of(e.RunEnded), data)) == e.RunEnded("FINISHED", 5)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"{}", b'{"status": 1, "end_time_ms": 5}', b'{"status": "\xff"}']
)
def test_data_that_does_not_fit_its_type_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"headrace\.run\.ended"):
        decode_event(envelope(type_of(e.RunEnded), data))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_a_number_that_no_view_can_hold_is_malformed(number: int) -> None:
    with pytest.raises(Malformed):
        decode_event(envelope(type_of(e.RunEnded), b'{"status": "FINISHED", "end_time_ms": %d}' % number))
    with pytest.raises(Malformed):
        decode_envelope(b'{"id":"","type":"","source":"","subject":"","time":%d}' % number, b"")
    with pytest.raises(Malformed):
        decode_envelope(b'{"id":"","type":"","source":"","subject":"","time":0,"sequence":%d}' % number, b"")


def test_a_frame_that_is_no_envelope_is_told_and_reading_goes_on_behind_it() -> None:
    good = encode_frame(envelope("headrace.run.heartbeat", b"{}"))
    broken = encode_frame(Envelope("1", "t", "s", "r", "soon", b"{}"))  # type: ignore[arg-type]
    kinds = [type(item) for item, _ in decode_frames(good + broken + good)]
    assert kinds == [Envelope, Malformed, Envelope]


def test_a_wrong_checksum_in_the_middle_is_an_error_and_at_the_end_a_torn_tail() -> None:
    good = encode_frame(envelope("headrace.run.heartbeat", b"{}"))
    broken = good[:-1] + b"!"
    with pytest.raises(Malformed, match=f"at byte {len(good)}"):
        list(decode_frames(good + broken + good))
    assert [end for _, end in decode_frames(good + broken)] == [len(good)]


def test_an_impossible_length_is_an_error() -> None:
    with pytest.raises(Malformed, match="not a frame"):
        list(decode_frames(b"GET / HTTP/1.1\r\n\r\n"))


def test_equal_envelopes_have_equal_bytes_however_their_texts_came_to_be() -> None:
    made = Envelope("1", "headrace.run.heartbeat", "t", "r", 1, b"{}", content_type="".join(["application", "/json"]))
    assert encode_attributes(made) == encode_attributes(Envelope("1", "headrace.run.heartbeat", "t", "r", 1, b"{}"))
