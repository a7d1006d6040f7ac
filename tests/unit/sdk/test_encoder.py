from __future__ import annotations

import math

import pytest
from headrace.ingest import events, points
from headrace.ingest.codec import decode_event, decode_frames
from headrace.ingest.envelope import Envelope
from headrace.sdk import encoder as encoder_module
from headrace.sdk.buffer import EVENT, FLUSH, POINT, Entry
from headrace.sdk.encoder import Encoded, Encoder


def envelopes(encoded: Encoded) -> list[Envelope]:
    found = [item for item, _ in decode_frames(b"".join(encoded.frames))]
    return [item for item in found if isinstance(item, Envelope)]


def point(run: str, key: str, step: int, value: float) -> Entry:
    return (run, key, step, 1000 + step, value)


def event(run: str, what: events.Event) -> Entry:
    return (run, None, EVENT, 1000, what)


def test_points_of_one_run_become_one_batch_with_every_value_as_it_was() -> None:
    values = [1.5, math.nan, math.inf, -math.inf, -0.0]
    [envelope] = envelopes(Encoder("w", "s", "a").encode([point("r", "k", i, v) for i, v in enumerate(values)]))
    table = points.decode(envelope.data)
    assert list(map(repr, table["value"].to_pylist())) == list(map(repr, values))
    assert table["step"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["timestamp_ms"].to_pylist() == [1000, 1001, 1002, 1003, 1004]
    assert (envelope.writer, envelope.sequence, envelope.id) == ("w", 1, "w:metrics:r:1")


def test_a_sequence_counts_for_each_topic_and_subject() -> None:
    encoder = Encoder("w", "s", "a")
    first = [event("r1", events.RunHeartbeat()), point("r1", "k", 0, 1.0), point("r2", "k", 0, 1.0)]
    told = [(e.id, e.sequence) for e in envelopes(encoder.encode(first)) + envelopes(encoder.encode(first))]
    assert sorted(told) == [
        ("w:metrics:r1:1", 1), ("w:metrics:r1:2", 2), ("w:metrics:r2:1", 1), ("w:metrics:r2:2", 2),
        ("w:runs:r1:1", 1), ("w:runs:r1:2", 2),
    ]  # fmt: skip


def test_a_runs_end_comes_behind_its_points() -> None:
    entries = [point("r", "k", 0, 1.0), event("r", events.RunEnded("FINISHED", 1)), point("r", "k", 1, 1.0)]
    types = [envelope.type for envelope in envelopes(Encoder("w", "s", "a").encode(entries))]
    assert types == [events.METRICS_LOGGED, "headrace.run.ended", events.METRICS_LOGGED]


def test_params_and_tags_that_came_together_travel_together_but_a_changed_param_does_not() -> None:
    entries = [
        event("r", events.AttributesLogged(params={"a": "1"})),
        event("r", events.AttributesLogged(params={"b": "2"}, tags={"t": "x"})),
        event("r", events.AttributesLogged(tags={"t": "y"})),
        event("r", events.AttributesLogged(params={"a": "changed"})),
    ]
    one, two = map(decode_event, envelopes(Encoder("w", "s", "a").encode(entries)))
    assert one == events.AttributesLogged(params={"a": "1", "b": "2"}, tags={"t": "y"})
    assert two == events.AttributesLogged(params={"a": "changed"})


def test_a_tag_is_deleted_between_the_tags_set_before_and_after() -> None:
    entries = [
        event("r", events.AttributesLogged(tags={"t": "1"})),
        event("r", events.TagsDeleted(["t"])),
        event("r", events.AttributesLogged(tags={"t": "2"})),
    ]
    types = [envelope.type for envelope in envelopes(Encoder("w", "s", "a").encode(entries))]
    assert types == ["headrace.run.attributes-logged", "headrace.run.tags-deleted", "headrace.run.attributes-logged"]


def test_a_point_that_cannot_be_encoded_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    entries = [point("r", "k", i, float(i)) for i in range(9)]
    entries[4] = ("r", "k", 2**70, 1000, 4.0)
    tables = [points.decode(envelope.data) for envelope in envelopes(Encoder("w", "s", "a").encode(entries))]
    assert [value for table in tables for value in table["value"].to_pylist()] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert "dropped" in caplog.text


def test_a_batch_that_is_too_large_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "DATA_BYTES_MAX", 4096)
    entries = [point("r", f"a long key {i}", i, float(i)) for i in range(1000)]
    found = envelopes(Encoder("w", "s", "a").encode(entries))
    assert len(found) > 1
    assert all(len(envelope.data) <= 4096 for envelope in found)
    assert [s for e in found for s in points.decode(e.data)["step"].to_pylist()] == list(range(1000))


def test_marks_come_back_and_points_keep_model_and_data_set() -> None:
    mark: Entry = ("", None, FLUSH, 0, "mark")
    extra: Entry = ("r", None, POINT, 5, ("k", 1, 2.0, "m-1", "iris", "abc"))
    encoded = Encoder("w", "s", "a").encode([extra, mark])
    assert encoded.marks == [mark]
    [row] = points.decode(envelopes(encoded)[0].data).to_pylist()
    assert (row["model_id"], row["dataset_name"], row["dataset_digest"], row["value"]) == ("m-1", "iris", "abc", 2.0)
