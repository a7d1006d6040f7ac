"""Lineage leads from data sets and code through runs to versions and endpoints, now and as it was."""

from __future__ import annotations

from typing import Any

from headrace.ingest import model_events as m

from tests.unit.api.conftest import Server
from tests.unit.api.registry import Registry

PATH = "/api/headrace/v1/lineage"


def lineage(server: Server, kind: str, id: str, **query: str) -> Any:
    answer = server.call("GET", PATH, params={"kind": kind, "id": id, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def edges(graph: Any) -> set[tuple[str, str, str]]:
    return {(edge["from"], edge["to"], edge["label"]) for edge in graph["edges"]}


def trained(server: Server, dataset: str, commit: str = "") -> str:
    """A run that read a data set; its id."""
    run_id = server.new_run()
    context = [{"key": "mlflow.data.context", "value": "training"}]
    one = {"dataset": {"name": dataset, "digest": "d1", "source_type": "local", "source": "/data"}, "tags": context}
    server.post("runs/log-inputs", run_id=run_id, datasets=[one])
    if commit:
        server.post("runs/set-tag", run_id=run_id, key="mlflow.source.name", value="train.py")
        server.post("runs/set-tag", run_id=run_id, key="mlflow.source.git.commit", value=commit)
    return run_id


def version(server: Server, name: str, run_id: str) -> str:
    return str(Registry(server).version(name, "s3://bucket/model", run_id=run_id)["version"])


def test_a_version_leads_back_to_its_run_data_and_code_and_on_to_its_endpoint(server: Server) -> None:
    name, run_id = Registry(server).new("lineage"), trained(server, "iris", "c0ffee" * 4)
    number = version(server, name, run_id)
    server.call("POST", "/api/headrace/v1/endpoints", json={"name": "iris-1", "model": f"models:/{name}/{number}"})
    graph = lineage(server, "model_version", f"{name}/{number}")
    assert edges(graph) == {
        ("dataset:iris@d1", f"run:{run_id}", "training"),
        ("code:train.py@c0ffeec0ffee", f"run:{run_id}", ""),
        (f"run:{run_id}", f"model_version:{name}/{number}", ""),
        (f"model_version:{name}/{number}", "endpoint:iris-1", f"{name}/{number}"),
    }
    assert (graph["start"], graph["truncated"]) == ([f"model_version:{name}/{number}"], False)
    assert edges(lineage(server, "endpoint", "iris-1")) == edges(graph)
    assert edges(lineage(server, "run", run_id)) == edges(graph)


def test_a_data_set_leads_to_all_runs_that_read_it_and_a_run_not_to_its_siblings(server: Server) -> None:
    first, second = trained(server, "shared"), trained(server, "shared")
    found = {node["key"] for node in lineage(server, "dataset", "shared@d1")["nodes"]}
    assert found == {"dataset:shared@d1", f"run:{first}", f"run:{second}"}
    assert {node["kind"] for node in lineage(server, "run", first)["nodes"]} == {"run", "dataset"}
    assert len(lineage(server, "run", first)["nodes"]) == 2


def test_a_logged_model_lies_between_its_run_and_its_version(server: Server) -> None:
    run_id, name = trained(server, "wine"), Registry(server).new("wine")
    made = server.call(
        "POST", "/api/2.0/mlflow/logged-models", json={"experiment_id": "0", "name": "net", "source_run_id": run_id}
    ).json()["model"]["info"]["model_id"]
    Registry(server).version(name, "s3://bucket/model", run_id=run_id, model_id=made)
    graph = lineage(server, "registered_model", name)
    assert {
        (f"run:{run_id}", f"logged_model:{made}", ""),
        (f"logged_model:{made}", f"model_version:{name}/1", ""),
    } < edges(graph)
    [node] = [node for node in graph["nodes"] if node["kind"] == "logged_model"]
    assert (node["name"], node["status"]) == ("net", "PENDING")


def test_as_of_a_moment_the_endpoint_leads_to_the_version_it_served_then(server: Server) -> None:
    registry = Registry(server)
    name, runs = registry.new("moved"), [trained(server, "m") for _ in range(2)]
    numbers = [version(server, name, run_id) for run_id in runs]
    registry.ask("POST", "registered-models/alias", name=name, alias="champion", version=numbers[0])
    server.call("POST", "/api/headrace/v1/endpoints", json={"name": "moved", "model": f"models:/{name}@champion"})
    then = str(server.clock.time_ms())
    server.clock.advance(1.0)
    registry.ask("POST", "registered-models/alias", name=name, alias="champion", version=numbers[1])

    def served(**query: str) -> list[str]:
        nodes = lineage(server, "endpoint", "moved", **query)["nodes"]
        return [node["id"] for node in nodes if node["kind"] == "model_version"]

    assert (served(), served(as_of=then)) == ([f"{name}/2"], [f"{name}/1"])


def test_a_version_of_an_unknown_run_tells_what_the_registry_knows_of_it(server: Server) -> None:
    used = m.DatasetUsed("far", "d9", context="training")
    created = m.ModelVersionCreated("v9", "s3://b/m", run_id="elsewhere", datasets=[used], status=m.READY)
    server.wait(server.services.tracking.commands([("far-id", m.RegisteredModelCreated("far")), ("far-id", created)]))
    graph = lineage(server, "model_version", "far/1")
    assert ("dataset:far@d9", "model_version:far/1", "training") in edges(graph)
    [run] = [node for node in graph["nodes"] if node["kind"] == "run"]
    assert "not of this server" in run["missing"]


def test_the_answer_is_bounded_and_says_so(server: Server) -> None:
    run_id = trained(server, "big")
    sets = [{"dataset": {"name": f"set-{i}", "digest": "d"}} for i in range(600)]
    server.post("runs/log-inputs", run_id=run_id, datasets=sets)
    graph = lineage(server, "run", run_id)
    assert (len(graph["nodes"]), graph["truncated"]) == (500, True)
    keys = {node["key"] for node in graph["nodes"]}
    assert all(edge["from"] in keys and edge["to"] in keys for edge in graph["edges"])


def test_what_is_not_there_and_what_is_no_request_is_refused(server: Server) -> None:
    asked = [("run", "none"), ("endpoint", "none"), ("model_version", "none/1"), ("model_version", "x/y")]
    for kind, id in [*asked, ("registered_model", "none"), ("logged_model", "m-1"), ("dataset", "none@0")]:
        assert server.call("GET", PATH, params={"kind": kind, "id": id}).status_code == 404, kind
    for query in (
        {"kind": "planet", "id": "1"},
        {"kind": "run", "id": ""},
        {"kind": "run", "id": "1", "as_of": "soon"},
    ):
        assert server.call("GET", PATH, params=query).status_code == 400, query
