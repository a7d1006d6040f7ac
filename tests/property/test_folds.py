"""Folds give the same whatever the batches, the repetitions and the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pyarrow as pa
from headrace.ingest import codec
from headrace.ingest import events as e
from headrace.ingest import points as points_of_the_log
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import left_of
from headrace.ingest.log import Position, Record
from headrace.processors import metrics, runs
from headrace.processors.metrics import Summary, merged
from headrace.processors.outcome import DUPLICATE
from headrace.processors.registry import Registry
from headrace.processors.run_rows import COLUMNS, run_of, runs_table
from headrace.processors.runs import RunState
from hypothesis import given
from hypothesis import strategies as st

WORD = st.sampled_from(["a", "b", "ü"])
PAIRS = st.dictionaries(WORD, WORD, max_size=2)
RUN_EVENTS = st.one_of(
    st.builds(e.RunCreated, WORD, st.integers(0, 9), name=WORD, tags=PAIRS, params=PAIRS),
    st.builds(e.RunResumed, st.sampled_from([0.0, 3.0])),
    st.just(e.RunHeartbeat()),
    st.builds(
        e.RunEnded,
        st.sampled_from(["FINISHED", "FAILED"]),
        st.integers(0, 9),
        st.sampled_from(["", "no heartbeat for 9 s"]),
    ),
    st.builds(e.RunUpdated, st.none() | WORD, st.none() | st.just("KILLED"), st.none() | st.integers(0, 9)),
    st.builds(e.AttributesLogged, PAIRS, PAIRS, st.booleans()),
    st.builds(e.TagsDeleted, st.lists(WORD, max_size=2)),
    st.builds(e.InputsLogged, st.lists(st.builds(e.DatasetInput, st.builds(e.Dataset, WORD, WORD), PAIRS), max_size=2)),
    st.builds(e.OutputsLogged, st.lists(st.builds(e.ModelOutput, WORD, st.integers(0, 2)), max_size=2)),
    st.just(e.RunDeleted()),
    st.builds(e.RunMoved, st.sampled_from(["0", "7"])),
    st.just(e.RunRestored()),
    st.builds(e.RunErasing, WORD, WORD, WORD),
    st.just(e.RunErased(1, 2, 3, 4, 5)),
    st.just(e.RunRecordErased()),
)
REGISTRY_EVENTS = st.one_of(
    st.builds(e.ExperimentCreated, WORD, WORD, PAIRS, st.booleans()),
    st.builds(e.ExperimentRenamed, WORD),
    st.builds(e.ExperimentTagsSet, PAIRS),
    st.builds(e.ExperimentTagsDeleted, st.lists(WORD, max_size=2)),
    st.just(e.ExperimentDeleted()),
    st.just(e.ExperimentRestored()),
    st.builds(e.LoggedModelCreated, WORD, WORD),
    st.builds(e.LoggedModelFinalized, st.just("LOGGED_MODEL_READY")),
    st.builds(e.LoggedModelParamsLogged, PAIRS),
    st.just(e.LoggedModelDeleted()),
    st.just(e.ExperimentErased()),
    st.just(e.LoggedModelErased()),
    st.just(e.RegistryRecordErased()),
)
WRITERS = st.sampled_from(["", "w1", "w2"])


def records(topic: str, given: Sequence[tuple[e.Event, str]], subjects: Sequence[str] = ("r",)) -> list[Record]:
    """A record for each (event, writer); writers count."""
    sent: dict[tuple[str, str], int] = {}
    made = []
    for offset, (event, writer) in enumerate(given):
        subject = subjects[offset % len(subjects)]
        sequence = sent[writer, subject] = sent.get((writer, subject), 0) + 1
        data = codec.encode_event(event)
        envelope = Envelope(
            str(offset), codec.type_of(event), "t", subject, offset, data, writer=writer,
            sequence=sequence if writer else 0,
        )  # fmt: skip
        made.append(Record(Position(topic, 0, offset), 1000 + offset, envelope))
    return made


def fold(state: RunState | None, batch: Sequence[Record]) -> RunState | None:
    for record in batch:
        state, _ = runs.apply(state, record, codec.decode_event(record.envelope))
    return state


@given(st.lists(st.tuples(RUN_EVENTS, WRITERS), max_size=8), st.integers(0, 8))
def test_a_run_is_the_same_when_it_goes_through_the_view_between_any_two_events(
    sent: list[tuple[e.Event, str]], cut: int
) -> None:
    log = records("runs", sent)
    state = fold(None, log[:cut])
    if state is not None:
        [row] = runs_table([state]).to_pylist()
        values = [dict(v) if isinstance(v, list) else v for v in (row[name] for name in COLUMNS.split(", "))]
        state = run_of(values)
    assert fold(state, log[cut:]) == fold(None, log)


@given(st.lists(st.tuples(RUN_EVENTS, st.sampled_from(["w1", "w2"])), min_size=1, max_size=8), st.data())
def test_what_a_writer_sends_again_changes_nothing(sent: list[tuple[e.Event, str]], data: st.DataObject) -> None:
    log = records("runs", sent)
    again = data.draw(st.lists(st.sampled_from(log), max_size=5))
    once = fold(None, log)
    for record in again:
        state, outcome = runs.apply(once, record, codec.decode_event(record.envelope))
        assert state == once
        assert outcome.kind == DUPLICATE


@given(st.lists(st.tuples(RUN_EVENTS, WRITERS), max_size=8))
def test_a_state_that_was_handed_out_never_changes(sent: list[tuple[e.Event, str]]) -> None:
    state: RunState | None = None
    for record in records("runs", sent):
        kept, before = state, msgspec.json.encode(state)
        state = fold(state, [record])
        assert msgspec.json.encode(kept) == before


KEPT = (e.RunDeleted, e.RunRestored, e.RunErasing, e.RunErased)


@given(st.lists(st.tuples(RUN_EVENTS, WRITERS), max_size=8), st.integers(0, 12))
def test_an_erased_run_is_the_same_when_its_records_are_taken_out_of_the_log(
    sent: list[tuple[e.Event, str]], taken: int
) -> None:
    log = records("runs", [*sent, (e.RunDeleted(), ""), (e.RunErasing("7", "a"), ""), (e.RunErased(1), "")])
    emptied = [
        record._replace(envelope=left_of(record.position, record.envelope))
        if place < taken and not isinstance(codec.decode_event(record.envelope), KEPT)
        else record
        for place, record in enumerate(log)
    ]
    state = fold(None, log)
    assert state is not None
    assert state.lifecycle == runs.ERASED
    assert (state.params, state.tags, state.name, state.experiment_id) == ({}, {}, "", "")
    assert fold(None, emptied) == state


@given(st.lists(st.tuples(REGISTRY_EVENTS, WRITERS), max_size=10))
def test_the_registry_folds_any_log_to_one_state_where_names_are_unique(sent: list[tuple[e.Event, str]]) -> None:
    log = records("registry", sent, ("1", "2", "3"))
    first, second = Registry(), Registry()
    for registry in (first, second):
        for record in [*log, *[r for r in log if registry is second and r.envelope.writer]]:
            registry.apply(record, codec.decode_event(record.envelope))
    for name in ("experiments", "by_name", "logged_models"):
        assert getattr(first, name) == getattr(second, name)
    assert {x.name: x for x in first.experiments.values()} == first.by_name
    assert len(first.by_name) == len(first.experiments)


# --- metric summaries -------------------------------------------------------------------------------------------------

Point = tuple[str, int, int, float]
VALUES = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 2.0]) | st.floats(width=32)
POINTS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(-2, 2), st.integers(0, 1), VALUES), min_size=1, max_size=12
)


def rows(batches: Sequence[tuple[int, list[Point]]]) -> pa.Table:
    """Rows of the view from (offset, points)."""
    made = []
    for offset, points in batches:
        keys, steps, times, values = zip(*points, strict=True)
        table = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "step": pa.array(steps, pa.int64()),
                "timestamp_ms": pa.array(times, pa.int64()),
                "value": pa.array(values, pa.float64()),
            }
        )
        made.append((Record(Position("metrics", 0, offset), 0, Envelope("", "", "", "r", 0, b"")), table))
    return metrics.rows(made)


def naive(points: Sequence[Point]) -> tuple[float, ...]:
    """The rules in plain words: last and first by (step, time, value), NaN highest; least and greatest number."""
    order = sorted(points, key=lambda p: (p[1], p[2], p[3] != p[3], 0.0 if p[3] != p[3] else p[3]))
    numbers = [p[3] for p in points if p[3] == p[3]]
    nan = math.nan
    return (
        order[-1][3], order[-1][1], order[-1][2], order[0][3], order[0][1], order[0][2],
        min(numbers, default=nan), max(numbers, default=nan), len(points), len(points) - len(numbers),
    )  # fmt: skip


def same(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


@given(st.lists(POINTS, min_size=1, max_size=5), st.data())
def test_summaries_of_any_split_merge_to_the_naive_summary_of_all_points(
    events: list[list[Point]], data: st.DataObject
) -> None:
    batches = list(enumerate(events))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(batches)), max_size=3)) | {0, len(batches)})
    held: dict[str, Summary] = {}
    for start, end in pairwise(cuts):
        for _, key, summary in metrics.summaries(rows(batches[start:end])):
            held[key] = merged(held[key], summary) if key in held else summary
    for key in ("a", "b"):
        points = [p for batch in events for p in batch if p[0] == key]
        assert (key in held) == bool(points)
        if points:
            assert same(held[key][:10], naive(points))
            assert held[key].offset == max(offset for offset, batch in batches if any(p[0] == key for p in batch))


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_rows_of_the_view_lose_no_point_and_come_in_the_views_order(events: list[list[Point]]) -> None:
    table = rows(list(enumerate(events)))
    found = table.select(["offset", "item", "key", "step", "timestamp_ms", "value"]).to_pylist()
    given_ = [(offset, item, *p) for offset, batch in enumerate(events) for item, p in enumerate(batch)]
    assert sorted(repr(tuple(row.values())) for row in found) == sorted(map(repr, given_))
    order = [(row["key"], row["step"], row["timestamp_ms"], row["value"] != row["value"]) for row in found]
    assert order == sorted(order)


KINDS = {"plain": pa.string(), "dictionary": pa.dictionary(pa.int32(), pa.string())}


@given(st.lists(st.tuples(POINTS, st.sampled_from(["r", "s"]), st.sampled_from([*KINDS, "model"])), min_size=1))
def test_messages_of_every_kind_and_run_are_joined_in_the_views_order(sent: list[tuple[list[Point], str, str]]) -> None:
    batches, given_ = [], []
    for offset, (points, run_id, kind) in enumerate(sent):
        keys, steps, times, values = zip(*points, strict=True)
        columns = {
            "key": pa.array(keys, KINDS.get(kind, pa.string())),
            "step": pa.array(steps, pa.int64()),
            "timestamp_ms": pa.array(times, pa.int64()),
            "value": pa.array(values, pa.float64()),
        }
        model = "m" if kind == "model" else ""
        if model:
            columns["model_id"] = pa.array([model] * len(points), KINDS["dictionary"])
        table = points_of_the_log.decode(points_of_the_log.encode(columns))
        batches.append((Record(Position("metrics", 0, offset), 0, Envelope("", "", "", run_id, 0, b"")), table))
        given_ += [(run_id, *point, offset, item, model) for item, point in enumerate(points)]
    names = ["run_id", "key", "step", "timestamp_ms", "value", "offset", "item", "model_id"]
    cut = len(batches) // 2
    split = metrics.in_order([metrics.rows(part) for part in (batches[:cut], batches[cut:]) if part])
    found = [tuple(row.values()) for row in metrics.rows(batches).select(names).to_pylist()]
    assert repr(split.to_pylist()) == repr(metrics.rows(batches).to_pylist())
    given_.sort(key=lambda row: (*row[:4], row[4] != row[4], 0.0 if row[4] != row[4] else row[4], *row[5:7]))
    assert list(map(repr, found)) == list(map(repr, given_))
