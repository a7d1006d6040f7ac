"""Bytes and back, for anything that can be written down."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import pyarrow as pa
from headrace.ingest import events, points
from headrace.ingest.codec import (
    Malformed,
    decode_envelope,
    decode_event,
    decode_frames,
    encode_attributes,
    encode_event,
    encode_frame,
    type_of,
)
from headrace.ingest.envelope import Envelope
from hypothesis import given, settings
from hypothesis import strategies as st

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENVELOPES = st.builds(
    Envelope, TEXT, TEXT, TEXT, TEXT, INT64, st.binary(max_size=60), TEXT, st.integers(0, 2**31), TEXT, TEXT,
    st.integers(0, 2**63 - 1),
)  # fmt: skip


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, as msgspec sees it."""
    info = msgspec.inspect
    match kind:
        case info.StrType():
            return TEXT
        case info.LiteralType():
            return st.sampled_from(kind.values)
        case info.IntType(ge=int(), le=int()):
            return st.integers(kind.ge, kind.le)
        case info.IntType():
            return INT64
        case info.FloatType(le=float() | int()):
            return st.floats(0, kind.le, exclude_min=kind.gt is not None)
        case info.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case info.BoolType():
            return st.booleans()
        case info.BytesType():
            return st.binary(max_size=20)
        case info.NoneType():
            return st.none()
        case info.AnyType():
            return TEXT | INT64
        case info.UnionType():
            return st.one_of([of_type(part) for part in kind.types])
        case info.ListType():
            return st.lists(of_type(kind.item_type), max_size=3)
        case info.DictType():
            return st.dictionaries(of_type(kind.key_type), of_type(kind.value_type), max_size=3)
        case info.StructType():
            return st.builds(kind.cls, *[of_type(field.type) for field in kind.fields])
        case _:
            raise NotImplementedError(kind)


EVENTS = st.one_of([of_type(msgspec.inspect.type_info(kind)) for kind in events.TYPES.values()])


@given(EVENTS)
def test_an_event_of_any_type_comes_back_as_it_went_in(event: events.Event) -> None:
    envelope = Envelope("1", type_of(event), "test", "r", 0, encode_event(event))
    assert decode_event(envelope) == event


@given(ENVELOPES)
def test_an_envelope_comes_back_from_attributes_and_data(envelope: Envelope) -> None:
    assert decode_envelope(encode_attributes(envelope), envelope.data) == envelope


@given(st.lists(ENVELOPES, max_size=4))
def test_frames_come_back_in_order_and_each_end_is_where_the_next_begins(envelopes: list[Envelope]) -> None:
    frames = [encode_frame(envelope) for envelope in envelopes]
    found = list(decode_frames(b"".join(frames)))
    assert [item for item, _ in found] == envelopes
    assert [end for _, end in found] == [sum(map(len, frames[: i + 1])) for i in range(len(frames))]


@given(st.lists(ENVELOPES, min_size=1, max_size=3), st.data())
def test_frames_cut_anywhere_give_a_prefix(envelopes: list[Envelope], data: st.DataObject) -> None:
    body = b"".join(map(encode_frame, envelopes))
    cut = data.draw(st.integers(0, len(body)))
    found = list(decode_frames(body[:cut]))
    assert [item for item, _ in found] == envelopes[: len(found)]
    assert not found or found[-1][1] <= cut


@settings(max_examples=300)
@given(st.lists(ENVELOPES, min_size=1, max_size=3), st.data())
def test_a_changed_byte_never_gives_an_envelope_that_was_not_written(
    envelopes: list[Envelope], data: st.DataObject
) -> None:
    body = bytearray(b"".join(map(encode_frame, envelopes)))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    found: list[Envelope | Malformed] = []
    try:
        found.extend(item for item, _ in decode_frames(bytes(body)))
    except Malformed:
        pass
    assert found == envelopes[: len(found)]
    assert len(found) < len(envelopes)


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_a_torn_tail_or_malformed(body: bytes) -> None:
    try:
        for _ in decode_frames(body):
            pass
    except Malformed:
        pass


FLOAT = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324])
POINTS = st.lists(st.tuples(TEXT, INT64, INT64, FLOAT, TEXT), max_size=40)


@given(POINTS, st.booleans())
def test_points_come_back_to_the_bit(rows: list[tuple[str, int, int, float, str]], with_models: bool) -> None:
    keys, steps, times, values, models = (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    columns = {
        "key": pa.array(keys, pa.string()),
        "step": pa.array(steps, pa.int64()),
        "timestamp_ms": pa.array(times, pa.int64()),
        "value": pa.array(values, pa.float64()),
    }
    if with_models:
        columns["model_id"] = pa.array(models, pa.string())
    table = points.decode(points.encode(columns))
    assert [table.column(name).to_pylist() for name in ("key", "step", "timestamp_ms")] == [keys, steps, times]
    assert [struct.pack("d", x) for x in table.column("value").to_pylist()] == [struct.pack("d", x) for x in values]
    assert ("model_id" in table.column_names) == with_models


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_are_points_or_malformed(noise: bytes, at: int) -> None:
    good = points.encode(
        {"key": pa.array(["k"]), "step": pa.array([1]), "timestamp_ms": pa.array([1]), "value": pa.array([1.0])}
    )
    for data in (noise, good[:at] + noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            points.decode(data)
        except Malformed:
            pass
