"""Envelopes as Kafka messages, as the CloudEvents Kafka binding says."""

from __future__ import annotations

import pytest
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.kafka_headers import Headers, decode_headers, encode_headers, logged_header, raw_headers
from headrace.ingest.limits import INT64_MAX, INT64_MIN
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(INT64_MIN, INT64_MAX)
COUNT = st.integers(0, INT64_MAX)
ENVELOPES = st.builds(Envelope, TEXT, TEXT, TEXT, TEXT, INT64, st.binary(max_size=9), TEXT, COUNT, TEXT, TEXT, COUNT)

EVENT = Envelope("7", "headrace.run.ended", "sdk/host", "run-1", 1_700_000_000_123, b"{}")
LOGGED_MS = 1_800_000_000_000


def changed(**headers: bytes | None) -> Headers:
    """EVENT's headers with some replaced, or left out where None."""
    names = {name.replace("_", "-") if name == "content_type" else name: value for name, value in headers.items()}
    kept = [(name, value) for name, value in encode_headers(EVENT) if name not in names]
    return kept + [(name, value) for name, value in names.items() if value is not None]


def decoded(headers: Headers, key: bytes = b"run-1") -> Envelope:
    return decode_headers(headers, key, b"{}", LOGGED_MS)[0]


@given(ENVELOPES)
def test_every_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    headers = encode_headers(envelope)
    found = decode_headers(headers, envelope.subject.encode(), envelope.data, LOGGED_MS)
    assert found == (envelope, LOGGED_MS)
    assert all(isinstance(value, bytes) for _, value in headers)


def test_headers_are_those_of_the_cloudevents_binding() -> None:
    sent = Envelope("id", "t", "s", "я", 1_700_000_000_123, b"", ARROW, 2, "ann", "w", 9)
    assert dict(encode_headers(sent)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id",
        "ce_type": b"t",
        "ce_source": b"s",
        "ce_subject": "я".encode(),
        "content-type": ARROW.encode(),
        "ce_time": b"2023-11-14T22:13:20.123Z",
        "ce_schemaversion": b"2",
        "ce_actor": b"ann",
        "ce_writer": b"w",
        "ce_sequence": b"9",
    }


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, b"1970-01-01T00:00:00.000Z"),
        (-1, b"1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, b"0001-01-01T00:00:00.000Z"),
        (253_402_300_799_999, b"9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_rfc_3339_to_the_millisecond(time_ms: int, text: bytes) -> None:
    headers = encode_headers(Envelope("", "", "", "", time_ms, b""))
    assert dict(headers)["ce_time"] == text
    assert decoded(headers).time_ms == time_ms


@pytest.mark.parametrize("time_ms", [INT64_MIN, INT64_MAX, 253_402_300_800_000, -62_135_596_800_001])
def test_a_time_that_rfc_3339_cannot_say_travels_as_a_number(time_ms: int) -> None:
    headers = encode_headers(Envelope("", "", "", "", time_ms, b""))
    assert "ce_time" not in dict(headers)
    assert dict(headers)["ce_timems"] == str(time_ms).encode()
    assert decoded(headers).time_ms == time_ms


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        (b"2023-11-14T22:13:20Z", 1_700_000_000_000),
        (b"2023-11-14T22:13:20.123456789Z", 1_700_000_000_123),
        (b"2023-11-14T23:13:20.5+01:00", 1_700_000_000_500),
        (b"2023-11-14 22:13:20.123Z", 1_700_000_000_123),
    ],
)
def test_times_of_other_senders_are_understood(text: bytes, time_ms: int) -> None:
    assert decoded(changed(ce_time=text)).time_ms == time_ms


def test_what_cloudevents_leaves_optional_has_a_stand_in() -> None:
    bare = changed(ce_time=None, ce_subject=None, content_type=None)
    assert decoded(bare, key=b"the key") == Envelope("7", "headrace.run.ended", "sdk/host", "the key", LOGGED_MS, b"{}")


def test_headers_of_others_mean_nothing() -> None:
    assert decoded([*encode_headers(EVENT), ("traceparent", b"\xff"), ("ce_mood", b"fine")]) == EVENT


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ce_id": None}, "no ce_id"),
        ({"ce_type": None}, "no ce_type"),
        ({"ce_source": None}, "no ce_source"),
        ({"ce_id": b"\xff"}, "utf-8"),
        ({"ce_time": b"yesterday"}, "yesterday"),
        ({"ce_time": b"2023-11-14T22:13:20"}, "offset from UTC"),
        ({"ce_time": b"2023-11-14T22:13:2x.123Z"}, "isoformat"),
        ({"ce_time": None, "ce_timems": b"1e3"}, "not a number"),
        ({"ce_sequence": b"-1"}, "not a number"),
        ({"ce_sequence": b"1_0"}, "not a number"),
        ({"ce_sequence": b"9" * 5000}, "not a number|limit"),
        ({"ce_schemaversion": b"two"}, "not a number"),
        ({"ce_schemaversion": str(2**63).encode()}, "not a number"),
    ],
)
def test_headers_that_are_no_envelope_are_malformed_and_say_why(change: dict[str, bytes | None], says: str) -> None:
    with pytest.raises(Malformed, match=rf"(?i)message headers: .*({says})"):
        decoded(changed(**change))


def test_a_header_without_a_value_is_malformed() -> None:
    with pytest.raises(Malformed, match="message headers"):
        decode_headers([*encode_headers(EVENT)[:-1], ("ce_id", None)], b"", b"", 0)


def test_a_restored_record_keeps_when_it_was_logged_first() -> None:
    assert decode_headers([*encode_headers(EVENT), logged_header(-5)], b"run-1", b"{}", LOGGED_MS) == (EVENT, -5)


def test_what_cannot_be_decoded_is_kept_as_text() -> None:
    assert raw_headers([("a", b"1"), ("b", None)], b"k") == b"key: k\na: 1\nb: "


def test_text_that_is_no_unicode_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_headers(Envelope("\ud800", "", "", "", 0, b""))
