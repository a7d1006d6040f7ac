"""MLflow's registry API on versions: where they come from, their stages, requests, comments, and the search."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from headrace.ingest import codec, events
from headrace.ingest import model_events as m
from headrace.ingest.digests import digest_of
from headrace.ingest.envelope import Envelope

from tests.unit.api.conftest import V2, Server
from tests.unit.api.registry import Registry

FILES = {"MLmodel": b"flavors: {}\n", "data/model.bin": b"\0" * 100}
DIGEST = digest_of((path, hashlib.sha256(data).hexdigest()) for path, data in FILES.items())


@pytest.fixture
def registry(server: Server) -> Registry:
    """The registry of the module's server."""
    return Registry(server)


def upload(server: Server, uri: str, files: dict[str, bytes] = FILES) -> None:
    """Store files below an artifact URI of this server, through its proxy."""
    for path, data in files.items():
        below = f"{uri.removeprefix('mlflow-artifacts:/')}/{path}"
        assert server.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{below}", content=data).status_code == 200


def run_with_model(server: Server) -> tuple[str, str]:
    """A run whose artifacts hold a model; its id and the model's URI."""
    run_id = server.new_run()
    uri = f"{server.run(run_id)['info']['artifact_uri']}/model"
    upload(server, uri)
    return run_id, uri


def logged_model(
    server: Server, run_id: str = "", ready: bool = True, experiment_id: str = "0"
) -> dict[str, Any]:  # fmt: skip
    """A logged model with files, of a run if one is named."""
    asked = {"experiment_id": experiment_id, "source_run_id": run_id}
    made: dict[str, Any] = server.post("logged-models", **asked)["model"]["info"]
    upload(server, made["artifact_uri"])
    if ready:
        path = f"{V2}/logged-models/{made['model_id']}"
        assert server.call("PATCH", path, json={"status": "LOGGED_MODEL_READY"}).status_code == 200
    return made


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_version_of_a_runs_artifacts_is_ready_at_once_with_the_digest_of_its_files(registry: Registry) -> None:
    run_id, uri = run_with_model(registry.server)
    name = registry.new()
    made = registry.version(name, uri, run_id=run_id, description="d", run_link="http://x", tags=[{"key": "a"}])
    assert (made["version"], made["status"], made["current_stage"]) == ("1", "READY", "None")
    assert (made["run_id"], made["run_link"], made["description"]) == (run_id, "http://x", "d")
    assert (made["headrace"]["digest"], made["headrace"]["files"], made["headrace"]["file_bytes"]) == (DIGEST, 2, 112)
    assert registry.ask("GET", "model-versions/get-download-uri", name=name, version="1") == {"artifact_uri": uri}


def test_a_version_remembers_what_its_run_read_and_of_which_code_it_is(registry: Registry) -> None:
    run_id, uri = run_with_model(registry.server)
    dataset = {"name": "iris", "digest": "d1", "source_type": "local", "source": "{}"}
    used = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "training"}]}
    registry.server.post("runs/log-inputs", run_id=run_id, datasets=[used])
    registry.server.post("runs/set-tag", run_id=run_id, key="mlflow.source.git.commit", value="abc")
    lineage = registry.version(registry.new(), f"runs:/{run_id}/model")["headrace"]
    assert lineage["datasets"] == [{**dataset, "context": "training"}]
    assert lineage["code"] == {"mlflow.source.git.commit": "abc"}
    assert (lineage["storage_location"], lineage["digest"]) == (uri, DIGEST)


def test_a_version_of_a_logged_model_names_it_and_the_run_that_made_it(registry: Registry) -> None:
    run_id = registry.server.new_run()
    logged, name = logged_model(registry.server, run_id), registry.new()
    made = registry.version(name, f"models:/{logged['model_id']}", model_id=logged["model_id"])
    assert (made["model_id"], made["run_id"], made["headrace"]["digest"]) == (logged["model_id"], run_id, DIGEST)
    location = registry.ask("GET", "model-versions/get-download-uri", name=name, version="1")["artifact_uri"]
    assert location == logged["artifact_uri"]
    told = registry.server.call("GET", f"{V2}/logged-models/{logged['model_id']}").json()["model"]["info"]["tags"]
    assert json.loads(told[0]["value"]) == [{"name": name, "version": "1"}]


def test_a_version_is_copied_to_another_model_with_its_files_and_lineage(registry: Registry) -> None:
    run_id, uri = run_with_model(registry.server)
    name, other = registry.new(), registry.new()
    registry.version(name, uri, run_id=run_id)
    registry.ask("POST", "registered-models/alias", name=name, alias="best", version="1")
    for source in (f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/latest", f"models:/{name}/None"):
        copied = registry.version(other, source)
        assert (copied["source"], copied["run_id"]) == (f"models:/{name}/1", run_id)
        assert (copied["headrace"]["storage_location"], copied["headrace"]["digest"]) == (uri, DIGEST)
    registry.ask("DELETE", "registered-models/delete", name=name)
    last = registry.get(other, "4")
    assert last["headrace"]["storage_location"] == uri
    registry.refused("POST", "model-versions/create", "RESOURCE_DOES_NOT_EXIST", name=other, source=f"models:/{name}/1")


def test_files_out_of_reach_are_registered_without_a_digest(registry: Registry) -> None:
    made = registry.version(registry.new(), "s3://bucket/model", run_id="a-run-of-another-server")
    assert (made["status"], "digest" in made["headrace"], "status_message" in made) == ("READY", False, False)
    assert "not kept by this server" in made["headrace"]["digest_message"]


@pytest.mark.parametrize(
    "source",
    [
        "mlflow-artifacts:/0/{other}/artifacts/model", "mlflow-artifacts:/0/{run}/artifacts/../../{other}/artifacts",
        "mlflow-artifacts:/0/{run}/artifacts/%2e%2e/%252e%252e/x", "mlflow-artifacts://host/0/{run}/artifacts/model",
        "http://host/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts", "runs:/{other}/model", "runs:///x",
        "runs://host/{run}/model", "file:///etc/passwd", "/etc/passwd", "etc/passwd", "s3://bucket/a/../../b",
        "models:/m-00000000000000000000000000000000", "models://host/iris/1", "models:/none/1", "models:/",
        "models:/a/b/c", "models:/iris", "ftp://host/x", "http://169.254.169.254/x",
        "file:///{run}/artifacts?x=/../..", "mlflow-artifacts:/0/{run}/artifactsx", "", "x" * 3000, "http://[",
    ],
)  # fmt: skip
def test_a_source_that_the_run_does_not_own_is_refused(registry: Registry, source: str) -> None:
    run_id, other = registry.server.new_run(), registry.server.new_run()
    named = source.replace("{run}", run_id).replace("{other}", other)
    told = registry.server.call(
        "POST", f"{V2}/model-versions/create", json={"name": registry.new(), "source": named, "run_id": run_id}
    )
    assert told.status_code in (400, 404), told.text
    assert told.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")


def test_a_source_of_this_servers_files_needs_the_run_that_owns_them(registry: Registry) -> None:
    _, uri = run_with_model(registry.server)
    message = registry.refused("POST", "model-versions/create", name=registry.new(), source=uri)
    assert "The run_id request parameter must identify the resource" in message


def test_a_version_of_no_model_is_refused(registry: Registry) -> None:
    refused = registry.refused("POST", "model-versions/create", "RESOURCE_DOES_NOT_EXIST", name="none", source="s3://a")
    assert refused == "Registered Model with name=none not found"


# --- what trainers register through the log ---------------------------------------------------------------------------


def append(server: Server, subject: str, *given: events.Event) -> None:
    """Append events of a trainer."""
    server.log.append(
        [
            Envelope(
                "i", codec.type_of(event), "sdk", subject, server.clock.time_ms(), codec.encode_event(event),
                actor="ada", writer=f"w-{subject}", sequence=number,
            )
            for number, event in enumerate(given, 1)
        ]
    )  # fmt: skip


def until_not_pending(registry: Registry, name: str) -> dict[str, Any]:
    """Version 1 of a model, once its registering has come to an end."""
    server = registry.server

    async def look() -> None:
        await server.services.registering._look()

    for _ in range(200):
        found = registry.get(name, "1")
        if found["status"] != "PENDING_REGISTRATION":
            return found
        server.wait(look())
    raise AssertionError(f"still pending: {found}")


def test_what_a_trainer_registered_is_ready_once_its_files_are_complete(registry: Registry) -> None:
    logged = logged_model(registry.server, ready=False)
    name, source = f"from-the-log-{logged['model_id'][:9]}", f"models:/{logged['model_id']}"
    append(
        registry.server,
        f"subject-{name}",
        m.RegisteredModelCreated(name, if_absent=True),
        m.ModelVersionCreated("v1", source, model_id=logged["model_id"]),
        m.AliasSet("fresh", "v1"),
    )
    server = registry.server
    server.wait(server.services.registering._look())
    pending = registry.get(name, "1")
    assert (pending["status"], pending["user_id"], pending["aliases"]) == ("PENDING_REGISTRATION", "ada", ["fresh"])
    server.call("PATCH", f"{V2}/logged-models/{logged['model_id']}", json={"status": "LOGGED_MODEL_READY"})
    ready = until_not_pending(registry, name)
    assert (ready["status"], ready["headrace"]["digest"]) == ("READY", DIGEST)
    location = registry.ask("GET", "model-versions/get-download-uri", name=name, version="1")["artifact_uri"]
    assert location == logged["artifact_uri"]


def test_what_never_came_is_marked_failed(registry: Registry) -> None:
    server = registry.server
    append(server, "s-lost", m.RegisteredModelCreated("lost"), m.ModelVersionCreated("v1", "models:/m-lost"))
    server.wait(server.services.registering._look())
    assert registry.get("lost", "1")["status"] == "PENDING_REGISTRATION"
    server.clock.advance(25 * 3600)
    failed = until_not_pending(registry, "lost")
    assert (failed["status"], failed["status_message"]) == (
        "FAILED_REGISTRATION",
        "its files did not come within a day",
    )


def test_what_a_trainer_registers_must_be_of_its_own_run_or_model(registry: Registry) -> None:
    run_id, uri = run_with_model(registry.server)
    other, _ = run_with_model(registry.server)
    cases = [
        (run_id, uri, ("READY", DIGEST)),
        ("", "s3://bucket/x", ("READY", None)),
        (other, uri, ("FAILED_REGISTRATION", None)),
        ("", uri, ("FAILED_REGISTRATION", None)),
        (run_id, "mlflow-artifacts:/", ("FAILED_REGISTRATION", None)),
        (run_id, f"{uri}/../../..", ("FAILED_REGISTRATION", None)),
    ]
    for number, (run, location, expected) in enumerate(cases):
        name = f"owned-{run_id[:8]}-{number}"
        version = m.ModelVersionCreated("v1", location, run_id=run)
        append(registry.server, f"s-{name}", m.RegisteredModelCreated(name), version)
        found = until_not_pending(registry, name)
        assert (found["status"], found["headrace"].get("digest")) == expected


# --- stages -----------------------------------------------------------------------------------------------------------


def test_a_version_moves_between_stages_with_a_comment_and_archives_the_others(registry: Registry) -> None:
    name = registry.new()
    for _ in range(2):
        registry.version(name)
    path = "model-versions/transition-stage"
    registry.ask("POST", path, name=name, version="1", stage="PRODUCTION")
    moved = registry.ask(
        "POST", path, name=name, version="2", stage="production", archive_existing_versions=True, comment="better"
    )["model_version"]
    assert (moved["current_stage"], moved["headrace"]["stage_comment"]) == ("Production", "better")
    assert registry.get(name, "1")["current_stage"] == "Archived"
    latest = registry.ask("POST", "registered-models/get-latest-versions", name=name, stages=["production"])
    assert [version["version"] for version in latest["model_versions"]] == ["2"]
    every = registry.ask("GET", "registered-models/get-latest-versions", name=name)["model_versions"]
    assert {version["current_stage"] for version in every} == {"Production", "Archived"}


def test_a_stage_that_is_none_is_refused_with_the_stages_there_are(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    path = "model-versions/transition-stage"
    message = registry.refused("POST", path, name=name, version="1", stage="Prod")
    assert message.endswith("Value must be one of None, Staging, Production, Archived.")
    registry.refused("POST", path, name=name, version="1", stage="Archived", archive_existing_versions=True)
    registry.refused("POST", path, "RESOURCE_DOES_NOT_EXIST", name=name, version="2", stage="Staging")
    registry.refused("GET", "registered-models/get-latest-versions", name=name, stages="Prod")


def test_a_request_is_made_listed_approved_rejected_and_withdrawn(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    one = {"name": name, "version": "1"}
    made = registry.ask("POST", "transition-requests/create", **one, stage="staging", comment="please")["request"]
    assert (made["to_stage"], made["comment"], made["state"]) == ("Staging", "please", "open")
    refused = registry.refused(
        "POST", "transition-requests/create", "RESOURCE_ALREADY_EXISTS", **one, stage="Staging"
    )  # fmt: skip
    assert "already exists" in refused
    approved = registry.ask("POST", "transition-requests/approve", **one, stage="Staging", comment="fine")
    assert (approved["activity"]["activity_type"], approved["activity"]["from_stage"]) == ("APPROVED_REQUEST", "None")
    assert registry.get(name, "1")["current_stage"] == "Staging"
    registry.refused("POST", "transition-requests/approve", "RESOURCE_DOES_NOT_EXIST", **one, stage="Staging")
    for decide, state in (
        ("POST transition-requests/reject", "rejected"),
        ("DELETE transition-requests/delete", "withdrawn"),
    ):
        asked = registry.ask("POST", "transition-requests/create", **one, stage="Production")["request"]
        assert registry.ask("GET", "transition-requests/list", **one)["requests"] == [asked]
        method, path = decide.split()
        told = registry.ask(method, path, **one, stage="Production", comment="no")["request"]
        assert (told["id"], told["state"], told["decision_comment"]) == (asked["id"], state, "no")
    every = registry.ask("GET", "transition-requests/list", **one, state="all")["requests"]
    assert [request["state"] for request in every] == ["approved", "rejected", "withdrawn"]


def test_a_request_is_withdrawn_by_the_query_of_a_delete_too(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    one = {"name": name, "version": "1", "stage": "Staging"}
    registry.ask("POST", "transition-requests/create", **one)
    told = registry.server.call("DELETE", f"{V2}/transition-requests/delete", params={**one, "creator": ""})
    assert told.json()["request"]["state"] == "withdrawn"


# --- comments, tags, deleting -----------------------------------------------------------------------------------------


def test_comments_are_made_listed_changed_and_taken_away(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    made = registry.ask("POST", "comments/create", name=name, version="1", comment="hm")["comment"]
    registry.ask("POST", "comments/create", name=name, comment="of the model")
    changed = registry.ask("PATCH", "comments/update", id=made["id"], comment="good")["comment"]
    assert (changed["comment"], changed["version"]) == ("good", "1")
    assert len(registry.ask("GET", "comments/list", name=name)["comments"]) == 2
    assert registry.ask("GET", "comments/list", name=name, version="1")["comments"] == [changed]
    registry.ask("DELETE", "comments/delete", id=made["id"])
    registry.refused("DELETE", "comments/delete", "RESOURCE_DOES_NOT_EXIST", id=made["id"])
    registry.refused("POST", "comments/create", name=name, comment="")


def test_tags_and_description_of_a_version_are_set_and_taken_away(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    one = {"name": name, "version": "1"}
    registry.ask("POST", "model-versions/set-tag", **one, key="k", value="v")
    assert registry.ask("PATCH", "model-versions/update", **one, description="d")["model_version"]["description"] == "d"
    assert registry.get(name, "1")["tags"] == [{"key": "k", "value": "v"}]
    for _ in range(2):
        registry.ask("DELETE", "model-versions/delete-tag", **one, key="k")
    assert "tags" not in registry.get(name, "1")
    assert registry.ask("PATCH", "model-versions/update", **one)["model_version"]["description"] == ""


def test_a_deleted_version_is_gone_and_its_number_with_it(registry: Registry) -> None:
    name = registry.new()
    for _ in range(2):
        registry.version(name)
    registry.ask("DELETE", "model-versions/delete", name=name, version="2")
    for method, path in (("GET", "get"), ("DELETE", "delete"), ("GET", "get-download-uri"), ("PATCH", "update")):
        message = registry.refused(method, f"model-versions/{path}", "RESOURCE_DOES_NOT_EXIST", name=name, version="2")
        assert message == f"Model Version (name={name}, version=2) not found"
    assert registry.version(name)["version"] == "3"
    message = registry.refused("GET", "model-versions/get", name=name, version="x")
    assert message == "Parameter 'version' must be an integer, got 'x'."


# --- search -----------------------------------------------------------------------------------------------------------


def test_versions_are_found_by_what_they_are(registry: Registry) -> None:
    name = registry.new("searched")
    for number in range(3):
        registry.version(
            name, f"s3://bucket/{number}", run_id=f"run-{number}", tags=[{"key": "n", "value": str(number)}]
        )
    registry.ask("POST", "registered-models/alias", name=name, alias="a1", version="2")
    registry.ask("POST", "model-versions/transition-stage", name=name, version="1", stage="Staging")

    def found(filter: str, **more: Any) -> list[str]:
        asked = f"name = '{name}'" + (f" AND {filter}" if filter else "")
        answer = registry.ask("GET", "model-versions/search", filter=asked, **more)
        return [version["version"] for version in answer.get("model_versions", [])]

    assert found("") == ["3", "2", "1"]
    assert found("", order_by=["version_number ASC"]) == ["1", "2", "3"]
    assert found("", max_results=2) == ["3", "2"]
    assert found("run_id = 'run-1'") == ["2"]
    assert found("run_id IN ('run-0', 'run-2')") == ["3", "1"]
    assert found("source_path LIKE '%/0'") == ["1"]
    assert found("version_number >= 2") == found("version_number >= '2'") == ["3", "2"]
    assert found("tags.n = '1'") == found("tag.`n` != '0' AND alias = 'a1'") == ["2"]
    assert found("stage = 'Staging'") == ["1"]
    assert found("alias != 'a1'") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"max_results": 200_001}, {"max_results": 0}, {"filter": "version_number = 1.5"}, {"filter": "metrics.a = 1"},
        {"filter": "version_number LIKE '1'"}, {"order_by": ["nothing"]}, {"filter": "creation_timestamp = 'x'"},
    ],
)  # fmt: skip
def test_a_wrong_search_is_refused(registry: Registry, asked: dict[str, object]) -> None:
    registry.refused("GET", "model-versions/search", **asked)


# --- the stages there are ---------------------------------------------------------------------------------------------


def test_the_stages_are_set_unless_a_version_is_in_one_that_goes(registry: Registry) -> None:
    server, path = registry.server, "/api/headrace/v1/registry/stages"
    assert server.call("GET", path).json()["active"] == ["Staging", "Production"]
    stages = ["Canary", "Staging", "Production"]
    told = server.call("PUT", path, json={"stages": stages}).json()
    assert told == {"stages": ["None", *stages, "Archived"], "active": stages}
    name = registry.new()
    registry.version(name)
    registry.ask("POST", "model-versions/transition-stage", name=name, version="1", stage="canary")
    message = server.call("PUT", path, json={"stages": ["Staging", "Production"]}).json()["message"]
    assert message.startswith(f"version 1 of {name} is in the stage Canary")
    for wrong in ([*stages, "CANARY"], [*stages, "v1"], [*stages, "3"], [*stages, "x" * 21], ["a"] * 30, "Canary"):
        refused = server.call("PUT", path, json={"stages": wrong})
        assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    registry.ask("DELETE", "registered-models/delete", name=name)
    assert server.call("PUT", path, json={"stages": ["Staging", "Production"]}).status_code == 200
