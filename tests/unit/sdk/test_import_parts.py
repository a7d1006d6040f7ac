"""Parts of an import: checksums, keys, batches, and what a server of MLflow may answer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from headrace.ingest import codec, points
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import key_fault
from headrace.sdk.coming import writing
from headrace.sdk.coming.checksums import absent, counted
from headrace.sdk.coming.local_files import folder_of
from headrace.sdk.coming.mlflow_database import MlflowDatabase
from headrace.sdk.coming.mlflow_server import MlflowServer
from headrace.sdk.coming.source import Series, SourceExperiment, SourceFault, SourceRun, series_of, usable_key

NAN, INF = float("nan"), float("inf")
EXPERIMENT = SourceExperiment("1", "digits")


def series(*given: tuple[int, float], key: str = "m") -> Series:
    return series_of(key, [step for step, _ in given], [step for step, _ in given], [value for _, value in given])


def test_a_checksum_tells_every_bit_but_not_the_order() -> None:
    one = series((1, 0.1), (2, NAN), (-3, -0.0))
    assert counted(one) == counted(series((-3, -0.0), (1, 0.1), (2, -NAN)))
    others = [((1, 0.1), (2, NAN), (-3, 0.0)), ((1, 0.1), (2, NAN)), ((1, 0.1), (2, INF), (-3, -0.0))]
    assert len({counted(series(*other)) for other in others} | {counted(one)}) == 4


def test_what_is_absent_is_told_as_often_as_it_is_absent() -> None:
    there = series((1, 1.0), (1, 1.0), (2, NAN), (3, 3.0))
    lacking, more = absent(there, series((1, 1.0), (3, 3.0), (9, 9.0)))
    assert lacking is not None
    assert counted(lacking) == counted(series((1, 1.0), (2, NAN)))
    assert more == 1
    assert absent(there, there) == (None, 0)
    assert absent(there, None) == (there, 0)


def test_a_name_that_is_no_key_gets_one_that_no_other_name_gets() -> None:
    names = ["loss (train)", "loss [train]", "a//b", "/a", "../x", "ü/ok", "x" * 300, "", "50%", "a/./b"]
    keys = [usable_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(key_fault(key) is None for key in keys)
    assert usable_key("train/loss-1") == "train/loss-1"


def test_a_batch_has_so_many_points_of_as_many_metrics_as_it_takes() -> None:
    many = [series_of(f"k{n}", range(7_000), range(7_000), np.arange(7_000.0)) for n in range(7)]
    found = list(writing.batches(many))
    assert [sum(len(one.step) for one in batch) for batch in found] == [20_000, 20_000, 9_000]
    frames = b"".join(writing.Pen("w", "s").points("r", batch) for batch in found[:1])
    [(envelope, _)] = list(codec.decode_frames(frames))
    assert isinstance(envelope, Envelope)
    table = points.decode(envelope.data)
    assert table.num_rows == 20_000
    assert table.column("key").to_pylist()[7_000] == "k1"


def test_nan_is_a_value_of_a_batch_and_no_null() -> None:
    frame = writing.Pen("w", "s").points("r", [series((1, NAN), (2, INF))])
    [(envelope, _)] = list(codec.decode_frames(frame))
    assert isinstance(envelope, Envelope)
    assert str(points.decode(envelope.data).column("value").to_pylist()) == "[nan, inf]"


def test_a_text_that_is_too_long_is_left_out_and_named() -> None:
    run = writing.fitted(SourceRun("r", params={"long": "x" * 1_000_000, "ok": "1"}, status="PAUSED"))
    assert dict(run.params) == {"ok": "1"}
    assert [one.what for one in run.problems] == ["param long", "status 'PAUSED'"]


@pytest.mark.parametrize(
    "uri", ["/etc", "file:///etc", "/x/other/artifacts", "/x/../r1/artifacts", "s3://b/r1/artifacts"]
)
def test_a_source_cannot_name_a_folder_of_its_choice(uri: str) -> None:
    assert isinstance(folder_of(uri, "r1"), str)
    assert folder_of("file:///x/r1/artifacts", "r1") == Path("/x/r1/artifacts")


def database(tmp_path: Path, *statements: str) -> Path:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return file


OLD = (
    "CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT, lifecycle_stage TEXT)",
    "CREATE TABLE runs (run_uuid TEXT, name TEXT, user_id TEXT, status TEXT, start_time INT, end_time INT,"
    " lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INT)",
    "CREATE TABLE metrics (key TEXT, value FLOAT, timestamp INT, run_uuid TEXT)",
    "CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)",
    "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)",
    "INSERT INTO experiments VALUES (1, 'digits', '/etc', 'active')",
    "INSERT INTO runs VALUES ('r1', 'first', 'ann', 'FINISHED', 5, 9, 'active', '/etc', 1)",
    "INSERT INTO metrics VALUES ('m', 1.5, 7, 'r1')",
    "INSERT INTO metrics VALUES ('m', 1.7976931348623157e308, 8, 'r1')",
)


def test_a_database_of_the_first_versions_has_no_steps_and_is_read(tmp_path: Path) -> None:
    source = MlflowDatabase(database(tmp_path, *OLD))
    assert source.experiments() == [EXPERIMENT]
    assert source.run_ids(EXPERIMENT) == ["r1"]
    run = source.run("r1")
    assert (run.name, run.status, run.end_time_ms) == ("first", "FINISHED", 9)
    [found] = source.series("r1")
    assert (found.step.tolist(), found.value.tolist()) == ([0, 0], [1.5, INF])
    assert list(source.files("r1")) == []
    assert [one.what for one in source.left] == ["artifacts of r1"], "it names /etc, which is not read"
    source.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DROP TABLE params", "its table params lacks key"),
        ("ALTER TABLE runs DROP COLUMN status", "its table runs lacks status"),
    ],
)
def test_a_database_that_lacks_a_column_is_refused_by_name(change: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match=expected):
        MlflowDatabase(database(tmp_path, *OLD, change))


def test_what_is_no_number_in_a_database_names_its_metric(tmp_path: Path) -> None:
    source = MlflowDatabase(database(tmp_path, *OLD, "INSERT INTO metrics VALUES ('n', 'much', 7, 'r1')"))
    with pytest.raises(SourceFault, match="'n' is 'much'"):
        list(source.series("r1"))
    source.close()


def mlflow(answer: Callable[[httpx.Request], httpx.Response], patience_s: float = 0.3) -> MlflowServer:
    return MlflowServer("http://mlflow", {}, patience_s, httpx.MockTransport(answer))


def test_pages_are_followed_and_numbers_are_what_they_were() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("runs/get"):
            run: dict[str, Any] = {"info": {"run_id": "r1"}, "data": {"metrics": [{"key": "m"}]}}
            return httpx.Response(200, json={"run": run})
        page = int(request.url.params.get("page_token", "0"))
        values = ["NaN", 1.7976931348623157e308, -0.0][page]
        body = {"metrics": [{"key": "m", "value": values, "timestamp": str(page), "step": page}]}
        return httpx.Response(
            200, text=json.dumps({**body, **({"next_page_token": str(page + 1)} if page < 2 else {})})
        )

    [found] = mlflow(answer).series("r1")
    assert found.timestamp_ms.tolist() == [0, 1, 2]
    assert str(found.value.tolist()) == "[nan, inf, -0.0]"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(500, text="down"), r"answered 500 .*down.* \(asked for 0.3 s\)"),
        (httpx.Response(403, text="who are you"), "answered 403 .*who are you"),
        (httpx.Response(200, text="<html>"), "no JSON"),
        (httpx.Response(200, text="[" * 100_000), "no JSON"),
        (httpx.Response(200, json={"experiments": "all"}), "gave no list of experiments"),
    ],
)
def test_a_server_that_answers_wrongly_is_given_up_with_a_reason(answer: httpx.Response, expected: str) -> None:
    with pytest.raises(SourceFault, match=expected):
        mlflow(lambda _: answer).experiments()


def test_a_server_that_does_not_answer_is_asked_for_a_bounded_time() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("nothing came", request=request)

    with pytest.raises(SourceFault, match=r"did not answer .*ReadTimeout"):
        mlflow(silent).experiments()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a"])
def test_a_listing_that_leads_elsewhere_or_in_circles_ends(path: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        below = request.url.params.get("path")
        return httpx.Response(200, json={"files": [{"path": path if below is None else below, "is_dir": True}]})

    with pytest.raises(SourceFault, match="lists"):
        list(mlflow(answer).files("r1"))
