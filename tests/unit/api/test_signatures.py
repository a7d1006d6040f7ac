"""What a model takes and answers is read from its MLmodel, wherever a URI leads to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import Server
from tests.unit.api.registry import Registry

MLMODEL = """
flavors:
  python_function: {loader_module: m}
signature:
  inputs: '[{"type": "double", "name": "length", "required": true}]'
  outputs: null
  params: '[{"name": "limit", "type": "long", "default": 3, "shape": null}]'
saved_input_example_info: {artifact_path: input_example.json, serving_input_path: serving_input_example.json}
"""
EXAMPLE = '{"dataframe_split": {"columns": ["length"], "data": [[1.5]]}}'


def ask(server: Server, uri: str, **query: str) -> Any:
    return server.call("GET", "/api/headrace/v1/signature", params={"uri": uri, **query})


def registered(server: Server, description: str) -> str:
    """A registered model whose version 1 has this MLmodel; its name."""
    run_id, name = server.new_run(), Registry(server).new("signed")
    for path, text in {"MLmodel": description, "serving_input_example.json": EXAMPLE}.items():
        server.call("PUT", f"/api/headrace/v1/runs/{run_id}/artifacts/model/{path}", content=text.encode())
    Registry(server).version(name, f"runs:/{run_id}/model", run_id=run_id)
    return name


def test_a_signature_is_told_with_an_example_of_a_request(server: Server) -> None:
    name = registered(server, MLMODEL)
    Registry(server).ask("POST", "registered-models/alias", name=name, alias="champion", version="1")
    told = ask(server, f"models:/{name}@champion").json()
    assert (told["inputs"][0]["name"], told["inputs"][0]["type"]) == ("length", "double")
    assert (told["outputs"], told["params"][0]["default"], told["flavors"]) == (None, 3, ["python_function"])
    assert told["example"] == EXAMPLE
    assert name in told["model"]


@pytest.mark.parametrize("description", ["flavors: [", "just text", "a: " + "[" * 5000, "x" * 1_100_000, "flavors: 3"])
def test_of_a_broken_description_nothing_is_known_and_it_is_said_why(server: Server, description: str) -> None:
    run_id, name = server.new_run(), Registry(server).new("broken")
    path = f"mlflow-artifacts/artifacts/0/{run_id}/artifacts/model/MLmodel"
    server.call("PUT", f"/api/2.0/{path}", content=description.encode()[:999_999])
    Registry(server).version(name, f"runs:/{run_id}/model", run_id=run_id)
    answer = ask(server, f"models:/{name}/1")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["inputs"], answer.json()["flavors"]) == (None, [])
    assert "MLmodel cannot be read" in answer.json()["unknown"]


def test_what_names_no_model_is_refused_and_files_elsewhere_are_not_looked_at(server: Server) -> None:
    assert ask(server, "models:/none/1").status_code == 404
    assert ask(server, "file:///etc/passwd").status_code == 404
    name = Registry(server).new("far")
    Registry(server).version(name, "s3://bucket/model")
    answer = ask(server, f"models:/{name}/1")
    assert answer.status_code == 200
    assert "not kept by this server" in answer.json()["unknown"]
