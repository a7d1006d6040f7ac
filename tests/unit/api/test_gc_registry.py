"""Erasing for good does not take a registered version's files, and a version says when its run was erased."""

from __future__ import annotations

from headrace.ingest import model_events as m
from headrace.ingest.log import Partition
from headrace.processors.refold import registry_at

from tests.unit.api.conftest import Server
from tests.unit.api.registry import Registry
from tests.unit.api.test_model_versions import DIGEST, append, logged_model, run_with_model

GC = "/api/headrace/v1/gc"


def left_by_gc(server: Server) -> dict[str, str]:
    """What gc leaves of what has been in the bin for a second, and why."""
    server.clock.advance(60)
    answer = server.call("POST", GC, json={"older_than": "1s"})
    assert answer.status_code == 200, answer.text
    return {one["id"]: one["reason"] for one in answer.json()["left"]}


def test_a_run_whose_artifacts_are_a_versions_files_stays_until_that_version_goes(server: Server) -> None:
    registry = Registry(server)
    run_id, uri = run_with_model(server)
    name = registry.new()
    registry.version(name, uri, run_id=run_id)
    server.post("runs/delete", run_id=run_id)
    assert left_by_gc(server) == {run_id: f"its artifacts are the files of version 1 of {name}: delete those first"}
    server.wait(server.services.tracking.run(run_id))
    registry.ask("DELETE", "model-versions/delete", name=name, version="1")
    assert left_by_gc(server) == {}
    assert run_id in server.services.engine.gone()


def test_a_version_of_a_logged_model_outlives_its_run_and_says_so(server: Server) -> None:
    registry = Registry(server)
    run_id = server.new_run()
    logged = logged_model(server, run_id)
    name = registry.new()
    registry.version(name, f"models:/{logged['model_id']}", model_id=logged["model_id"])
    server.post("runs/delete", run_id=run_id)
    assert left_by_gc(server) == {}
    version = registry.get(name, "1")
    assert version["headrace"]["run"] == "the run it was made by was erased"
    assert (version["run_id"], version["headrace"]["digest"]) == (run_id, DIGEST)
    copied = registry.version(registry.new(), f"models:/{name}/1")
    assert (copied["run_id"], copied["headrace"]["digest"]) == (run_id, DIGEST)


def test_a_logged_model_whose_files_are_a_versions_stays_when_its_experiment_goes(server: Server) -> None:
    registry = Registry(server)
    experiment_id = server.post("experiments/create", name="to go")["experiment_id"]
    logged = logged_model(server, experiment_id=experiment_id)
    name = registry.new()
    registry.version(name, f"models:/{logged['model_id']}", model_id=logged["model_id"])
    server.post("experiments/delete", experiment_id=experiment_id)
    left = left_by_gc(server)
    assert left[logged["model_id"]] == f"its artifacts are the files of version 1 of {name}: delete those first"
    assert experiment_id in left
    registry.ask("DELETE", "registered-models/delete", name=name)
    assert left_by_gc(server) == {}


def test_nothing_is_left_of_a_deleted_model_and_a_replay_gives_the_same_registry(server: Server) -> None:
    registry, secret = Registry(server), "sEcReT-registered"
    made = registry.ask("POST", "registered-models/create", name=secret, description=secret)["registered_model"]
    append(server, "joined", m.RegisteredModelCreated(secret, if_absent=True), m.ModelVersionCreated("v1", "s3://a"))
    registry.ask("POST", "model-versions/set-tag", name=secret, version="1", key="k", value=secret)
    other = registry.new("other")
    registry.refused("POST", "registered-models/create", "RESOURCE_ALREADY_EXISTS", name=secret, description=secret)
    registry.refused("POST", "registered-models/rename", "RESOURCE_ALREADY_EXISTS", name=other, new_name=secret)
    registry.ask("POST", "model-versions/transition-stage", name=secret, version="1", stage="Staging")
    assert server.call("PUT", "/api/headrace/v1/registry/stages", json={"stages": ["Production"]}).status_code == 400
    assert left_by_gc(server) == {}
    assert secret in log_of(server)
    registry.ask("DELETE", "registered-models/delete", name=secret)
    registry.ask("POST", "registered-models/create", name=secret)
    again = registry.model(secret)["headrace"]["registered_model_id"]

    assert left_by_gc(server) == {}

    erased_id = made["headrace"]["registered_model_id"]
    assert log_of(server).count(secret) == 1
    now = server.services.engine.registry
    assert {erased_id, "joined"} <= set(now.erased)
    assert erased_id not in now.models.by_id
    partition = Partition("registry", 0)
    replayed = registry_at(server.log, partition, server.log.end()[partition]).models
    assert (replayed.by_id, replayed.by_name, replayed.stages) == (
        now.models.by_id,
        now.models.by_name,
        now.models.stages,
    )
    assert again in replayed.by_id
    events = server.services.views.rows("SELECT data FROM events WHERE topic = 'registry'")
    assert sum(secret in str(data) for (data,) in events) == 1


def log_of(server: Server) -> str:
    """All records of the registry."""
    return repr(server.log.read(Partition("registry", 0), 0, 10_000, 2**30))
