"""What the fold of the registry makes of registered models, and what it refuses."""

from __future__ import annotations

import pytest
from headrace.ingest import codec, events
from headrace.ingest import model_events as m
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Position, Record
from headrace.processors.outcome import Outcome
from headrace.processors.registered_models import DELETED, ModelVersion, RegisteredModel
from headrace.processors.registry import Registry


class Told:
    """A registry and events told to it one after the other, each at its own millisecond."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.offset = 0

    def apply(self, event: events.Event, subject: str = "r1", actor: str = "ada") -> Outcome:
        envelope = Envelope(
            "i", codec.type_of(event), "t", subject, self.offset, codec.encode_event(event), actor=actor
        )
        self.offset += 1
        return self.registry.apply(Record(Position("registry", 0, self.offset), 0, envelope), event)

    def all(self, *given: events.Event, subject: str = "r1") -> None:
        for event in given:
            assert self.apply(event, subject) == Outcome("applied")

    def refused(self, event: events.Event, subject: str = "r1", actor: str = "ada") -> str:
        outcome = self.apply(event, subject, actor)
        assert outcome.kind == "refused"
        return outcome.reason

    def model(self, name: str = "iris") -> RegisteredModel:
        return self.registry.models.by_name[name]

    def version(self, number: int) -> ModelVersion:
        return self.model().versions[number]

    def stages(self) -> list[str]:
        return [version.stage for version in self.model().live_versions()]


@pytest.fixture
def told() -> Told:
    """A registry with the model iris of two versions, v1 and v2."""
    told = Told()
    told.all(m.RegisteredModelCreated("iris"), m.ModelVersionCreated("v1", "s3://a"), m.ModelVersionCreated("v2", "b"))
    return told


def test_the_first_to_use_a_name_gets_it(told: Told) -> None:
    assert told.refused(m.RegisteredModelCreated("iris"), "r2") == "Registered Model (name=iris) already exists."
    assert told.model().registered_model_id == "r1"


def test_who_only_needs_a_model_to_exist_writes_to_the_one_that_has_the_name(told: Told) -> None:
    told.all(m.RegisteredModelCreated("iris", if_absent=True), m.ModelVersionCreated("v3", "c"), subject="r2")
    told.all(m.RegisteredModelRenamed("flowers"))
    told.all(m.ModelVersionTagsSet("v3", {"a": "1"}), subject="r2")
    assert told.model("flowers").versions[3].tags == {"a": "1"}
    assert told.registry.models.subjects("r1") == ["r1", "r2"]


def test_versions_are_numbered_by_log_order_and_a_number_is_not_given_again(told: Told) -> None:
    told.all(m.ModelVersionDeleted("v2"), m.ModelVersionCreated("v3", "c"))
    assert [version.version for version in told.model().live_versions()] == [1, 3]
    assert "not found" in told.refused(m.ModelVersionTagsSet("v2", {}))
    assert "exists already" in told.refused(m.ModelVersionCreated("v3", "c"))


def test_a_copy_of_another_registry_keeps_its_numbers(told: Told) -> None:
    told.all(m.ModelVersionCreated("v7", "c", version=7), m.ModelVersionCreated("v8", "c"))
    assert list(told.model().versions) == [1, 2, 7, 8]
    assert "already exists" in told.refused(m.ModelVersionCreated("v5", "c", version=5))


def test_a_model_that_is_created_again_begins_at_version_1(told: Told) -> None:
    told.all(m.RegisteredModelDeleted())
    assert told.registry.models.by_name == {}
    assert {version.lifecycle for version in told.registry.models.by_id["r1"].versions.values()} == {DELETED}
    told.all(m.RegisteredModelCreated("iris"), m.ModelVersionCreated("v1", "d"), subject="r2")
    assert list(told.model().versions) == [1]
    assert "it was deleted" in told.refused(m.RegisteredModelDescribed("x"))


def test_a_rename_to_a_name_that_is_taken_is_refused(told: Told) -> None:
    told.all(m.RegisteredModelCreated("other"), subject="r2")
    assert told.refused(m.RegisteredModelRenamed("other")) == "Registered Model (name=other) already exists."
    told.all(m.RegisteredModelRenamed("iris"), m.RegisteredModelRenamed("flowers"))
    assert set(told.registry.models.by_name) == {"flowers", "other"}
    told.all(m.RegisteredModelCreated("iris"), subject="r3")


def test_a_deleted_version_takes_its_aliases_along(told: Told) -> None:
    told.all(m.AliasSet("champion", "v1"), m.AliasSet("champion", "v2"), m.AliasSet("old", "v1"))
    assert told.model().aliases == {"champion": 2, "old": 1}
    told.all(m.ModelVersionDeleted("v2"), m.AliasDeleted("none"))
    assert told.model().aliases == {"old": 1}
    assert told.refused(m.AliasSet("a", "v2")) == "Model Version (name=iris, version=2) not found"


def test_a_transition_archives_the_others_of_its_stage_in_the_same_event(told: Told) -> None:
    told.all(m.StageTransitioned("v1", "production", comment="better"))
    told.all(m.StageTransitioned("v2", "PRODUCTION", archive_existing=True, comment="best"))
    assert told.stages() == ["Archived", "Production"]
    assert told.version(2).stage_comment == "best"
    assert told.version(1).last_update_time_ms == told.version(2).last_update_time_ms == 4


def test_a_transition_archives_nothing_for_a_stage_that_is_not_active(told: Told) -> None:
    assert "is not an Active stage" in told.refused(m.StageTransitioned("v1", "Archived", archive_existing=True))
    assert told.refused(m.StageTransitioned("v1", "Prod")) == (
        "Invalid Model Version stage: Prod. Value must be one of None, Staging, Production, Archived."
    )


def test_stages_are_what_the_log_says_and_one_in_use_stays(told: Told) -> None:
    told.all(m.StagesSet(["Canary", "Live"]), subject=m.STAGES_SUBJECT)
    told.all(m.StageTransitioned("v1", "live"))
    assert told.stages() == ["Live", "None"]
    assert "Invalid Model Version stage" in told.refused(m.StageTransitioned("v1", "Production"))
    assert "move it first" in told.refused(m.StagesSet([]), m.STAGES_SUBJECT)
    assert "twice" in told.refused(m.StagesSet(["Live", "live"]), m.STAGES_SUBJECT)
    assert told.registry.models.stages.all == ("None", "Canary", "Live", "Archived")


def test_an_approved_request_moves_the_version_and_says_who_asked_and_who_approved(told: Told) -> None:
    told.apply(m.TransitionRequested("q1", "v1", "staging", "please"), actor="bob")
    told.apply(m.TransitionRequested("q2", "v1", "Staging"), actor="eve")
    assert "already exists" in told.refused(m.TransitionRequested("q3", "v1", "Staging"), actor="bob")
    told.all(m.TransitionApproved("q1", comment="fine"))
    assert told.stages() == ["Staging", "None"]
    first, second = told.model().requests.values()
    assert (first.actor, first.state, first.decided_by, first.decision) == ("bob", "approved", "ada", "fine")
    assert second.state == "approved"
    assert "approved already, by ada" in told.refused(m.TransitionRejected("q1"))


def test_requests_are_rejected_and_withdrawn_once_and_go_with_their_version(told: Told) -> None:
    told.all(m.TransitionRequested("q1", "v1", "Staging"), m.TransitionRejected("q1", "no"))
    told.all(m.TransitionRequested("q2", "v1", "Staging"), m.TransitionWithdrawn("q2"))
    told.all(m.TransitionRequested("q3", "v1", "Staging"), m.ModelVersionDeleted("v1"))
    assert [request.state for request in told.model().requests.values()] == ["rejected", "withdrawn", "withdrawn"]
    assert "not found" in told.refused(m.TransitionApproved("q4"))


def test_only_the_first_word_on_a_version_being_ready_holds(told: Told) -> None:
    told.all(m.ModelVersionFinalized("v1", "READY", "d1", files=2, file_bytes=10))
    assert "is READY already" in told.refused(m.ModelVersionFinalized("v1", "FAILED_REGISTRATION"))
    assert (told.version(1).status, told.version(1).digest, told.version(1).files) == ("READY", "d1", 2)


def test_comments_are_made_changed_and_taken_away(told: Told) -> None:
    told.all(m.CommentCreated("c1", "hm"), m.CommentCreated("c2", "good", "v2"), m.CommentUpdated("c2", "very good"))
    told.all(m.CommentDeleted("c1"))
    [comment] = told.model().comments.values()
    assert (comment.version, comment.comment, comment.actor) == (2, "very good", "ada")
    assert "Comment with id=c1 not found" in told.refused(m.CommentUpdated("c1", "x"))


def test_tags_do_not_touch_the_time_of_the_last_update_and_descriptions_do(told: Told) -> None:
    told.all(m.RegisteredModelTagsSet({"a": "1", "b": "2"}), m.RegisteredModelTagsDeleted(["a"]))
    assert (told.model().tags, told.model().last_update_time_ms) == ({"b": "2"}, 2)
    told.all(m.RegisteredModelDescribed("flowers"), m.ModelVersionDescribed("v1", "first"))
    assert (told.model().description, told.model().last_update_time_ms) == ("flowers", 5)
    assert (told.version(1).description, told.version(1).last_update_time_ms) == ("first", 6)
