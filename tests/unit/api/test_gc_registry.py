"""Erasing for good does not take a registered version's files, and a version says when its run was erased."""

from __future__ import annotations

from tests.unit.api.conftest import Server
from tests.unit.api.registry import Registry
from tests.unit.api.test_model_versions import DIGEST, logged_model, run_with_model

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
