"""The history of registered models and versions: by any name, each change, two models of one name told apart."""

from __future__ import annotations

from typing import Any

from headrace.ingest import model_events as m
from headrace.ingest.event import Event

from tests.unit.api.conftest import Server
from tests.unit.api.test_changes import changes, history


def happened(server: Server, subject: str, *events: Event) -> list[str | None]:
    """Why each of these events was refused, None for those that were not."""
    return [server.wait(server.services.tracking.command(subject, event)) for event in events]


def types(told: Any) -> list[str]:
    return [entry["type"].removeprefix("headrace.") for entry in told["entries"]]


def test_a_version_has_its_own_history_with_comments_and_who_asked(server: Server) -> None:
    refusals = happened(
        server,
        "iris-id",
        m.RegisteredModelCreated("iris"),
        m.ModelVersionCreated("v1", "s3://b/1", status=m.READY),
        m.ModelVersionCreated("v2", "s3://b/2", status=m.READY),
        m.StageTransitioned("v1", "Production", comment="the first"),
        m.TransitionRequested("q", "v2", "Production", "please"),
        m.TransitionApproved("q", archive_existing=True, comment="granted"),
        m.AliasSet("champion", "v2"),
        m.CommentCreated("c", "well done", "v2"),
        m.ModelVersionTagsSet("v1", {"k": "v"}),
        m.StageTransitioned("v1", "Nowhere"),
    )
    assert [x is None for x in refusals] == [True] * 9 + [False]
    told = history(server, "model_version", "iris/1")
    assert told["id"] == "iris-id/1"
    created, moved, archived, tagged, refused = told["entries"]
    assert changes(created)["source"] == (None, "s3://b/1")
    assert changes(moved) == {"stage": ("None", "Production"), "stage_comment": (None, "the first")}
    assert (moved["comment"], archived["comment"]) == ("the first", "granted")
    assert changes(archived)["stage"] == ("Production", "Archived")
    assert changes(tagged) == {"tags.k": (None, "v")}
    assert (refused["outcome"], refused["changes"]) == ("refused", [])
    second = history(server, "model_version", "iris/2")
    _, asked, granted, named, said = (changes(entry) for entry in second["entries"])
    request = {"stage": "Production", "actor": "", "state": "open"}
    assert asked == {"requests.q": (None, request)}
    assert granted["requests.q"] == (request, {**request, "state": "approved"})
    assert (named, said) == ({"aliases.champion": (None, True)}, {"comments.c": (None, "well done")})


def test_a_model_is_found_by_a_name_that_it_had_before(server: Server) -> None:
    happened(server, "flower-id", m.RegisteredModelCreated("flower"), m.RegisteredModelRenamed("blossom"))
    told = history(server, "registered_model", "flower")
    assert (told["id"], types(told)) == ("flower-id", ["registered-model.created", "registered-model.renamed"])
    assert changes(told["entries"][1]) == {"name": ("flower", "blossom")}
    assert history(server, "registered_model", "blossom") == told
    assert history(server, "registered_model", "flower-id") == told


def test_a_model_that_was_made_anew_has_a_history_of_its_own(server: Server) -> None:
    happened(server, "first", m.RegisteredModelCreated("twice", "old"), m.RegisteredModelDeleted())
    happened(server, "second", m.RegisteredModelCreated("twice", "new"))
    told = history(server, "registered_model", "twice")
    assert (told["id"], types(told)) == ("second", ["registered-model.created"])
    [other] = told["others"]
    assert (other["id"], other["lifecycle"]) == ("first", "deleted")
    before = history(server, "registered_model", other["id"])
    assert types(before) == ["registered-model.created", "registered-model.deleted"]
    assert changes(before["entries"][1]) == {"lifecycle": ("active", "deleted")}


def test_what_others_registered_under_a_name_is_in_the_history_of_its_holder(server: Server) -> None:
    happened(server, "holder", m.RegisteredModelCreated("shared"))
    happened(
        server, "joiner", m.RegisteredModelCreated("shared", if_absent=True), m.ModelVersionCreated("vj", "s3://j")
    )
    told = history(server, "registered_model", "shared")
    assert types(told) == ["registered-model.created", "model-version.created"]
    assert changes(told["entries"][1])["versions.1.source"] == (None, "s3://j")
    assert len(history(server, "model_version", "shared/1")["entries"]) == 1


def test_the_history_of_no_model_is_refused_with_what_to_name(server: Server) -> None:
    happened(server, "alone", m.RegisteredModelCreated("alone"))
    assert "no registered model nobody" in history(server, "registered_model", "nobody", 404)["message"]
    assert "NAME/NUMBER" in history(server, "model_version", "alone", 404)["message"]
    assert "no model version alone/7" in history(server, "model_version", "alone/7", 404)["message"]
    history(server, "model_version", "alone/x", 404)


def test_the_feed_tells_of_one_registered_model(server: Server) -> None:
    happened(server, "told-id", m.RegisteredModelCreated("told"), m.RegisteredModelDescribed("text"))
    happened(server, "untold-id", m.RegisteredModelCreated("untold"))
    happened(server, "late-id", m.RegisteredModelCreated("told", if_absent=True), m.ModelVersionCreated("vt", "s3://b"))
    asked = {"after": "begin", "models": "told"}
    answer = server.call("GET", "/api/headrace/v1/events", params=asked, headers={"accept": "application/json"})
    assert [(x["subject"], x["type"].removeprefix("headrace.")) for x in answer.json()["events"]] == [
        ("told-id", "registered-model.created"),
        ("told-id", "registered-model.described"),
        ("late-id", "registered-model.created"),
        ("late-id", "model-version.created"),
    ]
    refused = server.call("GET", "/api/headrace/v1/events", params={"models": "nobody"})
    assert (refused.status_code, "no registered model 'nobody'" in refused.text) == (400, True)
