"""Any log of registered models folds to one registry, and one in which names, numbers and aliases hold."""

from __future__ import annotations

from headrace.ingest import codec, events
from headrace.ingest import model_events as m
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import left_of
from headrace.ingest.log import Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.processors.erasing import registry_offsets
from headrace.processors.outcome import Outcome
from headrace.processors.refold import Kept, registry_states
from headrace.processors.registered_models import ACTIVE
from headrace.processors.registry import Registry
from hypothesis import given
from hypothesis import strategies as st

NAME = st.sampled_from(["iris", "flowers"])
ID = st.sampled_from(["v1", "v2", "v3"])
STAGE = st.sampled_from(["None", "staging", "Production", "Archived", "Live", "nowhere"])
SUBJECTS = ("r1", "r2", "r3")
EVENTS = st.one_of(
    st.builds(m.RegisteredModelCreated, NAME, if_absent=st.booleans()),
    st.builds(m.RegisteredModelRenamed, NAME),
    st.builds(m.RegisteredModelTagsSet, st.dictionaries(ID, ID, max_size=2)),
    st.just(m.RegisteredModelDeleted()),
    st.builds(m.AliasSet, st.sampled_from(["a", "b"]), ID),
    st.builds(m.AliasDeleted, st.sampled_from(["a", "b"])),
    st.builds(m.CommentCreated, ID, ID, st.just("") | ID),
    st.builds(m.CommentDeleted, ID),
    st.builds(m.ModelVersionCreated, ID, st.just("s3://a"), version=st.integers(-1, 4)),
    st.builds(m.ModelVersionFinalized, ID, st.sampled_from([m.READY, m.FAILED])),
    st.builds(m.ModelVersionDeleted, ID),
    st.builds(m.StageTransitioned, ID, STAGE, st.booleans()),
    st.builds(m.TransitionRequested, ID, ID, STAGE),
    st.builds(m.TransitionApproved, ID, st.booleans()),
    st.builds(m.TransitionRejected, ID),
)
STAGES = st.builds(m.StagesSet, st.sampled_from([["Staging", "Production"], ["Live"]]))
SENT = st.lists(
    st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(["", "w1", "w2"]), EVENTS)
    | st.tuples(st.just(m.STAGES_SUBJECT), st.just(""), STAGES),
    max_size=25,
)


def log_of(sent: list[tuple[str, str, events.Event]]) -> list[Record]:
    """Records of (subject, writer, event); writers count."""
    counts: dict[tuple[str, str], int] = {}
    made = []
    for offset, (subject, writer, event) in enumerate(sent):
        sequence = counts[writer, subject] = counts.get((writer, subject), 0) + 1
        envelope = Envelope(
            "i", codec.type_of(event), "t", subject, offset, codec.encode_event(event), actor=writer,
            writer=writer, sequence=sequence if writer else 0,
        )  # fmt: skip
        made.append(Record(Position("registry", 0, offset), 0, envelope))
    return made


def folded(log: list[Record]) -> tuple[Registry, list[Outcome]]:
    """A registry of these records, and what became of each."""
    registry = Registry()
    return registry, [registry.apply(record, codec.decode_event(record.envelope)) for record in log]


@given(SENT)
def test_a_log_read_twice_gives_the_same_registry(sent: list[tuple[str, str, events.Event]]) -> None:
    log = log_of(sent)
    first, _ = folded(log)
    second, _ = folded([*log, *[record for record in log if record.envelope.writer]])
    assert first.models.by_id == second.models.by_id
    assert first.models.by_name == second.models.by_name
    assert first.models.stages == second.models.stages


@given(SENT)
def test_names_are_unique_numbers_rise_and_aliases_and_stages_are_of_what_is_there(
    sent: list[tuple[str, str, events.Event]],
) -> None:
    models = folded(log_of(sent))[0].models
    assert {x.name: x for x in models.by_id.values() if x.lifecycle == ACTIVE} == models.by_name
    for model in models.by_id.values():
        assert list(model.versions) == sorted(model.versions)
        assert set(model.aliases.values()) <= {version.version for version in model.live_versions()}
        assert model.numbers == {version.version_id: version.version for version in model.versions.values()}
    assert set(models.pending) == {
        (model.registered_model_id, version.version_id)
        for model in models.by_name.values()
        for version in model.live_versions()
        if version.status == m.PENDING
    }
    for model in models.by_name.values():
        assert {version.stage for version in model.live_versions()} <= set(models.stages.all)


@given(SENT)
def test_the_events_of_one_model_alone_make_it_what_the_whole_log_does(
    sent: list[tuple[str, str, events.Event]],
) -> None:
    log = log_of(sent)
    whole, outcomes = folded(log)
    for model in whole.models.by_id.values():
        subjects = {*whole.models.subjects(model.registered_model_id), m.STAGES_SUBJECT}
        kept = [
            Kept(record, codec.decode_event(record.envelope), outcome)
            for record, outcome in zip(log, outcomes, strict=True)
            if record.envelope.subject in subjects
        ]
        *_, (_, alone) = registry_states(kept)
        assert alone.models.by_id[model.registered_model_id] == model


@given(SENT)
def test_what_is_erased_leaves_a_log_that_gives_the_same_registry(sent: list[tuple[str, str, events.Event]]) -> None:
    held = log_of(sent)
    models = folded(held)[0].models
    gone: list[tuple[str, str, events.Event]] = [
        (model.registered_model_id, "", m.RegisteredModelErased(models.subjects(model.registered_model_id)))
        for model in models.by_id.values()
        if model.lifecycle != ACTIVE
    ]
    whole = log_of([*sent, *gone])
    before, _ = folded(whole)
    log = MemoryLog()
    log.append([record.envelope for record in whole])
    own, others = registry_offsets(log, {id: erasure.offset for id, erasure in before.erased.items()})
    swept = [
        record._replace(envelope=left_of(record.position, record.envelope))
        if record.position.offset in {*own, *others}
        else record
        for record in whole
    ]
    after, _ = folded(swept)
    assert after.models.by_id == before.models.by_id
    assert after.models.by_name == before.models.by_name
    assert after.models.stages == before.models.stages
    assert after.models.pending == before.models.pending
