"""A logged model's files go to its own address, and with the last one it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headrace.ingest import events

from tests.unit.api.conftest import Server

ADDRESS = "/api/headrace/v1/logged-models"


@pytest.fixture(scope="module")
def models_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(Path(tmp_path_factory.mktemp("models")))
    yield started
    started.close()


def new_model(server: Server) -> str:
    answer = server.post("logged-models", experiment_id="0", name="m")
    model_id: str = answer["model"]["info"]["model_id"]
    return model_id


def status(server: Server, model_id: str) -> Any:
    return server.call("GET", f"/api/2.0/mlflow/logged-models/{model_id}").json()["model"]["info"]["status"]


def put(server: Server, model_id: str, path: str, files: str | None = None) -> int:
    headers = {} if files is None else {"x-headrace-model-files": files}
    return server.call("PUT", f"{ADDRESS}/{model_id}/artifacts/{path}", content=b"data", headers=headers).status_code


def test_with_its_last_file_a_model_is_ready(models_server: Server) -> None:
    model_id = new_model(models_server)
    assert put(models_server, model_id, "data/model.bin") == 200
    assert status(models_server, model_id) == "LOGGED_MODEL_PENDING"
    assert put(models_server, model_id, "MLmodel", "2") == 200
    assert status(models_server, model_id) == "LOGGED_MODEL_READY"
    assert put(models_server, model_id, "MLmodel", "2") == 200

    answer = models_server.call("GET", f"{ADDRESS}/{model_id}/artifacts/data/model.bin")
    assert answer.content == b"data"


def test_a_model_that_lacks_a_file_has_failed(models_server: Server) -> None:
    model_id = new_model(models_server)
    assert put(models_server, model_id, "MLmodel", "2") == 200
    assert status(models_server, model_id) == "LOGGED_MODEL_UPLOAD_FAILED"


@pytest.mark.parametrize("files", ["x", "-1", "1.5", "9" * 30])
def test_a_number_of_files_that_is_none_is_refused(models_server: Server, files: str) -> None:
    assert put(models_server, new_model(models_server), "MLmodel", files) == 400


def test_files_of_an_unknown_model_or_outside_of_it_are_refused(models_server: Server) -> None:
    assert put(models_server, "m-nothing", "MLmodel") == 404
    assert put(models_server, new_model(models_server), "%2e%2e/x") == 400


def test_what_is_in_the_bin_takes_files_and_what_was_erased_refuses_them(models_server: Server) -> None:
    model_id = new_model(models_server)
    assert models_server.call("DELETE", f"/api/2.0/mlflow/logged-models/{model_id}").status_code == 200
    assert put(models_server, model_id, "late") == 200
    models_server.wait(models_server.services.tracking.command(model_id, events.LoggedModelErased()))
    answer = models_server.call("PUT", f"{ADDRESS}/{model_id}/artifacts/later", content=b"data")
    assert answer.status_code == 400
    assert "erased" in answer.json()["message"]
