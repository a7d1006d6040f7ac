"""MLflow's REST API under what clients send wrongly, or oddly but rightly: told clearly, and nothing half done."""

from __future__ import annotations

import json
from typing import Any

import pytest

Server = Any  # the fixture of conftest.py
V2 = "/api/2.0/mlflow"


def raw(server: Server, path: str, body: bytes) -> tuple[int, str]:
    """Status and error code of a POST."""
    response = server.call("POST", f"{V2}/{path}", content=body)
    return response.status_code, response.json().get("error_code", "")


def history(server: Server, run_id: str, key: str) -> list[Any]:
    response = server.call("GET", f"{V2}/metrics/get-history", params={"run_id": run_id, "metric_key": key})
    found: list[Any] = response.json().get("metrics", [])
    return found


def log_metric(server: Server, run_id: str, **given: Any) -> None:
    server.post("runs/log-metric", **{"run_id": run_id, "key": "k", "value": 1.0, "timestamp": 1, **given})


# --- what is no request -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff\xfe", b'"text"', b"[]", b"5", b'{"a": 1}{', b'{"a"}'])
def test_a_body_that_is_no_json_object_is_malformed(server: Server, body: bytes) -> None:
    status, code = raw(server, "runs/log-metric", body)
    assert status == 400
    assert code in ("MALFORMED_REQUEST", "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "many"},
        {"value": [1.0]},
        {"value": True},
        {"timestamp": 1.5},
        {"timestamp": "now"},
        {"timestamp": -1},
        {"timestamp": 2**63},
        {"step": {}},
        {"step": 2**63},
        {"step": -(2**63) - 1},
        {"step": 10**30},
        {"key": 5},
        {"key": ""},
        {"run_id": ["r"]},
    ],
)
def test_a_value_of_the_wrong_kind_or_size_is_refused_and_nothing_logged(server: Server, wrong: dict[str, Any]) -> None:
    run_id = server.new_run()
    before = server.log.end()
    server.refused("runs/log-metric", **{"run_id": run_id, "key": "k", "value": 1.0, "timestamp": 1, **wrong})
    assert server.log.end() == before


@pytest.mark.parametrize("missing", ["run_id", "key", "value", "timestamp"])
def test_a_missing_value_is_named(server: Server, missing: str) -> None:
    whole = {"run_id": server.new_run(), "key": "k", "value": 1.0, "timestamp": 1}
    message = server.refused("runs/log-metric", **{name: x for name, x in whole.items() if name != missing})
    assert f"'{missing}'" in message


@pytest.mark.parametrize("path", ["runs/log-metric", "runs/log-parameter", "runs/set-tag"])
@pytest.mark.parametrize(
    "key", ["a" * 251, "", "a//b", "/a", "a/", "../a", "..", ".", "a'b", 'a"b', "a\nb\0", "a;b", "😀"]
)
def test_a_key_that_is_no_name_is_refused(server: Server, path: str, key: str) -> None:
    server.refused(path, run_id=server.new_run(), key=key, value="1", timestamp=1)


@pytest.mark.parametrize("key", ["a" * 250, "a/b/c", "val loss", "top-5:acc.x_1", "güte", "損失"])
def test_a_key_in_any_alphabet_is_kept(server: Server, key: str) -> None:
    run_id = server.new_run()
    log_metric(server, run_id, key=key)
    server.post("runs/log-parameter", run_id=run_id, key=key, value="v")
    server.post("runs/set-tag", run_id=run_id, key=key, value="v")
    assert server.data(run_id, "metrics") == {key: 1.0}
    assert server.data(run_id, "params") == {key: "v"}
    assert server.data(run_id, "tags")[key] == "v"


@pytest.mark.parametrize("surrogate", [r"\ud800", r"a\udfff"])
@pytest.mark.parametrize("place", ["experiments/create", "runs/set-tag"])
def test_half_a_character_is_refused(server: Server, place: str, surrogate: str) -> None:
    body = f'{{"run_id": "{server.new_run()}", "key": "k", "value": "{surrogate}", "name": "{surrogate}"}}'
    status, _ = raw(server, place, body.encode())
    assert status == 400


# --- what is odd and right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ('"NaN"', "NaN"),
        ("NaN", "NaN"),
        ('"Infinity"', "Infinity"),
        ("Infinity", "Infinity"),
        ('"-Infinity"', "-Infinity"),
        ("-Infinity", "-Infinity"),
        ("5", 5.0),
        ('"0.1"', 0.1),
        ("-0.0", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_a_number_is_kept_as_it_is(server: Server, sent: str, told: Any) -> None:
    run_id = server.new_run()
    body = f'{{"run_id": "{run_id}", "key": "k", "value": {sent}, "timestamp": 1}}'
    assert raw(server, "runs/log-metric", body.encode()) == (200, "")
    [point] = history(server, run_id, "k")
    assert point["value"] == told
    assert server.data(run_id, "metrics")["k"] == told


@pytest.mark.parametrize("step", [-(2**63), -1, 0, 2**63 - 1])
@pytest.mark.parametrize("timestamp", [0, 2**63 - 1])
def test_any_step_and_time_of_64_bits_is_kept(server: Server, step: int, timestamp: int) -> None:
    run_id = server.new_run()
    log_metric(server, run_id, step=step, timestamp=timestamp)
    [point] = history(server, run_id, "k")
    assert (point["step"], point["timestamp"]) == (step, timestamp)


def test_integers_may_come_as_text_nulls_are_absent_and_unknown_fields_ignored(server: Server) -> None:
    run_id = server.new_run()
    log_metric(server, run_id, timestamp="7", step="-3", model_id=None, mood="good")
    [point] = history(server, run_id, "k")
    assert (point["step"], point["timestamp"]) == (-3, 7)


def test_values_are_cut_as_mlflow_cuts_them(server: Server) -> None:
    run_id = server.new_run()
    server.post("runs/log-parameter", run_id=run_id, key="p", value="ü" * 6001)
    server.post("runs/set-tag", run_id=run_id, key="t", value="ü" * 8001)
    assert server.data(run_id, "params")["p"] == "ü" * 6000
    assert server.data(run_id, "tags")["t"] == "ü" * 8000


@pytest.mark.parametrize(
    "name", ["a/b", "it's", '"q"', "Ünï 😀", "tab\tline\nend", "a;DROP TABLE runs", "x" * 500, "%41"]
)
def test_an_experiment_may_have_any_name_a_person_types(server: Server, name: str) -> None:
    experiment_id = server.post("experiments/create", name=name)["experiment_id"]
    found = server.call("GET", f"{V2}/experiments/get-by-name", params={"experiment_name": name}).json()
    assert (found["experiment"]["experiment_id"], found["experiment"]["name"]) == (experiment_id, name)
    server.refused("experiments/create", "RESOURCE_ALREADY_EXISTS", 400, name=name)


@pytest.mark.parametrize("name", ["", "x" * 501, None])
def test_an_experiment_needs_a_name_of_some_length(server: Server, name: str | None) -> None:
    server.refused("experiments/create", name=name)


# --- batches ----------------------------------------------------------------------------------------------------------


def metric(key: str = "k", **given: Any) -> dict[str, Any]:
    return {"key": key, "value": 1.0, "timestamp": 1, **given}


@pytest.mark.parametrize(
    "batch",
    [
        {"metrics": [metric()] * 1001},
        {"params": [{"key": f"p{i}", "value": ""} for i in range(101)]},
        {"tags": [{"key": f"t{i}", "value": ""} for i in range(101)]},
        {"metrics": [metric()] * 950, "params": [{"key": f"p{i}", "value": ""} for i in range(51)]},
        {"metrics": [metric()], "params": [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]},
        {"metrics": [metric()], "params": [{"key": "p", "value": "1"}, {"key": "p", "value": "1"}]},
        {"metrics": [metric(), metric("a//b")]},
        {"metrics": [metric(), metric(timestamp=-1)]},
        {"metrics": [metric(), {"key": "k"}]},
        {"metrics": [metric()], "tags": [{"key": "", "value": "x"}]},
        {"metrics": {"k": 1}},
        {"params": [["k", "v"]]},
    ],
)
def test_a_batch_with_anything_wrong_leaves_nothing_behind(server: Server, batch: dict[str, Any]) -> None:
    run_id = server.new_run()
    before = server.log.end()
    server.refused("runs/log-batch", run_id=run_id, **batch)
    assert server.log.end() == before


def test_a_changed_param_refuses_its_whole_batch(server: Server) -> None:
    run_id = server.new_run()
    server.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    message = server.refused(
        "runs/log-batch",
        run_id=run_id,
        metrics=[metric()],
        params=[{"key": "q", "value": "1"}, {"key": "p", "value": "2"}],
        tags=[{"key": "t", "value": "x"}],
    )
    assert "Changing param values is not allowed" in message
    assert server.data(run_id, "params") == {"p": "1"}
    assert "t" not in server.data(run_id, "tags")
    assert history(server, run_id, "k") == []


def test_a_full_batch_is_fine(server: Server) -> None:
    run_id = server.new_run()
    server.post(
        "runs/log-batch",
        run_id=run_id,
        metrics=[metric(step=i) for i in range(899)],
        params=[{"key": "p", "value": "1"}],
        tags=[{"key": f"t{i}", "value": "x"} for i in range(100)],
    )
    assert len(history(server, run_id, "k")) == 899
    assert server.data(run_id, "params") == {"p": "1"}


# --- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/log-metric", {"key": "k", "value": 1.0, "timestamp": 1}),
        ("runs/log-parameter", {"key": "k", "value": "1"}),
        ("runs/set-tag", {"key": "k", "value": "1"}),
        ("runs/delete-tag", {"key": "k"}),
        ("runs/log-batch", {"metrics": [metric()]}),
        ("runs/update", {"status": "FINISHED"}),
        ("runs/delete", {}),
        ("runs/restore", {}),
        ("runs/log-inputs", {}),
        ("runs/outputs", {}),
    ],
)
@pytest.mark.parametrize("run_id", ["0" * 32, "../x", "no such run", "x" * 300])
def test_an_unknown_run_is_404_everywhere(server: Server, path: str, body: dict[str, Any], run_id: str) -> None:
    server.refused(path, "RESOURCE_DOES_NOT_EXIST", 404, run_id=run_id, **body)


@pytest.mark.parametrize("path", ["experiments/update", "experiments/delete", "experiments/restore", "runs/create"])
def test_an_unknown_experiment_is_404_everywhere(server: Server, path: str) -> None:
    server.refused(path, "RESOURCE_DOES_NOT_EXIST", 404, experiment_id="12345", new_name="x")


def test_an_unknown_path_or_method_is_told_in_the_same_shape(server: Server) -> None:
    for method, path, status in (("GET", f"{V2}/nothing", 404), ("PUT", f"{V2}/runs/create", 405)):
        response = server.call(method, path)
        assert response.status_code == status
        assert set(response.json()) == {"error_code", "message"}


@pytest.mark.parametrize("token", ["x", "b2Zmc2V0Oi0x", "b2Zmc2V0Ojk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "ü"])
def test_a_page_token_that_was_never_given_is_refused(server: Server, token: str) -> None:
    server.refused("runs/search", experiment_ids=["0"], page_token=token)


@pytest.mark.parametrize("count", [0, -1, 50_001, 2**70, "many", 1.5])
def test_a_page_size_out_of_bounds_is_refused(server: Server, count: Any) -> None:
    server.refused("runs/search", experiment_ids=["0"], max_results=count)
    server.refused("experiments/search", max_results=count)


def test_more_models_than_a_tag_can_tell_of_are_still_logged(server: Server) -> None:
    run_id = server.new_run()
    for number in range(12):
        model = {"artifact_path": f"m{number}", "flavors": {"x": "y" * 900}, "utc_time_created": "t", "run_id": run_id}
        server.post("runs/log-model", run_id=run_id, model_json=json.dumps(model))
    assert len(server.data(run_id, "tags")["mlflow.log-model.history"]) <= 8000
