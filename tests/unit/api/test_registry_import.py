"""Registered models come over from MLflow, once and whole, and go out to a file that brings them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from headrace import registry
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.coming.event_file import FileImport
from headrace.sdk.coming.importing import Import
from headrace.sdk.coming.mlflow_server import MlflowServer
from headrace.sdk.coming.opening import open_source
from headrace.sdk.coming.options import Options
from headrace.sdk.coming.report import Report
from headrace.sdk.coming.source import Source
from headrace.sdk.going.event_file import export_events
from headrace.sdk.going.parquet import export_parquet
from headrace.sdk.going.selection import Selection
from headrace.sdk.settings import Settings

from tests.mlruns import write, write_experiment, write_meta, write_run
from tests.through import URL, Through
from tests.unit.api.conftest import Server

RUN, MODEL = f"{1:032x}", f"m-{2:032x}"


class Here:
    """A server to import into."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.arrival = Arrival(URL, Settings(), 1.0, Through(server))
        self.source = self.arrival.reader

    def take(self, source: Source, **options: Any) -> Report:
        """Import a source."""
        try:
            return Import(source, self.arrival, Options(**options), "there").run()
        finally:
            source.close()

    def end(self) -> dict[Any, int]:
        """How far the log goes."""
        return dict(self.server.log.end())


@contextmanager
def opened(folder: Path) -> Iterator[Here]:
    """A server on a new folder. A process has one at a time."""
    folder.mkdir()
    server = Server(folder)
    try:
        yield Here(server)
    finally:
        server.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with opened(tmp_path / "here") as server:
        yield server


def mlruns(tmp_path: Path) -> Path:
    """A model whose first version is of a run, the third of a logged model; the second and last were deleted."""
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    write_run(experiment, RUN, files={"model/MLmodel": b"flavors: {}", "model/data/a": b"a", "other": b"o"})
    location = f"file://{root}/1/models/{MODEL}/artifacts"
    logged = experiment / "models" / MODEL
    logged.mkdir(parents=True)
    write_meta(logged, {"model_id": MODEL, "name": "lm", "source_run_id": RUN, "status": 2, "creation_timestamp": 6})
    write(logged / "artifacts" / "MLmodel", b"flavors: {}")
    model = root / "models" / "iris"
    model.mkdir(parents=True)
    facts = {"name": "iris", "creation_timestamp": 10, "last_updated_timestamp": 90, "description": "The *irises*."}
    write_meta(model, facts)
    write(model / "tags" / "team", b"a")
    write(model / "aliases" / "champion", b"1")
    of_run = f"file://{root}/1/{RUN}/artifacts/model"
    version(model, 1, of_run, current_stage="Production", description="first", run_id=RUN, user_id="ann")
    write(model / "version-1" / "tags" / "n", b"1")
    version(model, 2, of_run, current_stage="Deleted_Internal")
    version(model, 3, f"models:/{MODEL}", storage_location=location, model_id=MODEL, run_id=RUN)
    version(model, 4, of_run, current_stage="Deleted_Internal")
    (root / "models" / "empty").mkdir()
    write_meta(root / "models" / "empty", {"name": "empty", "creation_timestamp": 11, "last_updated_timestamp": 11})
    return root


def version(model: Path, number: int, source: str, **meta: Any) -> None:
    folder = model / f"version-{number}"
    folder.mkdir()
    facts = {
        "version": number,
        "source": source,
        "current_stage": "None",
        "status": "READY",
        "creation_timestamp": number,
    }
    write_meta(folder, {"name": model.name, "last_updated_timestamp": number + 50, **facts, **meta})


def test_models_versions_stages_aliases_and_files_come_over_once(here: Here, tmp_path: Path) -> None:
    root = mlruns(tmp_path)
    report = here.take(open_source(str(root)))
    assert (report.equal, report.differences(), report.left) == (True, [], [])
    assert (report.totals()["registered_models"], report.totals()["model_versions"]) == (2, 2)
    model = registry.get_registered_model("iris", source=here.source)
    assert (model.description, model.tags, model.aliases, model.creation_timestamp) == (
        "The *irises*.",
        {"team": "a"},
        {"champion": 1},
        10,
    )
    first, third = (registry.get_model_version("iris", number, source=here.source) for number in (1, 3))
    assert (first.current_stage, first.description, first.user_id, first.tags) == (
        "Production",
        "first",
        "ann",
        {"n": "1"},
    )
    run_root = here.arrival.run(RUN)["info"]["artifact_uri"]  # type: ignore[index]
    assert (first.run_id, first.source, first.creation_timestamp) == (RUN, f"{run_root}/model", 1)
    assert (third.model_id, third.source, len(first.digest), len(third.digest)) == (MODEL, f"models:/{MODEL}", 64, 64)
    before = here.end()
    report = here.take(open_source(str(root)))
    assert (report.equal, report.registered[1].outcome, here.end()) == (True, "there already", before)
    next_one = registry.create_model_version("iris", "s3://b/next", source=here.source)
    assert next_one.version == 5, "the number of a deleted version is not used again"


def test_a_source_that_has_grown_brings_new_versions_and_moves_none(here: Here, tmp_path: Path) -> None:
    root = mlruns(tmp_path)
    assert here.take(open_source(str(root))).equal
    registry.transition_model_version_stage("iris", 1, "Archived", source=here.source)
    version(root / "models" / "iris", 5, "s3://b/5", current_stage="Staging")
    version(root / "models" / "iris", 6, "mlflow-artifacts:/0/of-another/artifacts/model")
    report = here.take(open_source(str(root)))
    assert report.registered[1].outcome == "completed"
    assert report.differences() == [
        "registered model iris: version 1.stage: 'Production' there, 'Archived' here",
    ]
    fifth = registry.get_model_version("iris", 5, source=here.source)
    assert (fifth.current_stage, fifth.source, fifth.digest) == ("Staging", "s3://b/5", "")
    assert [one.why for one in report.left] == ["they belong to no run or logged model that came over"] * 2
    sixth = registry.get_model_version("iris", 6, source=here.source)
    assert sixth.source == "left-behind:/0/of-another/artifacts/model", "no path of this server's own store"


def test_an_import_of_one_experiment_brings_the_models_that_it_made(here: Here, tmp_path: Path) -> None:
    report = here.take(open_source(str(mlruns(tmp_path))), experiments={"digits": "digits"})
    assert [one.run_id for one in report.registered] == ["iris"]
    assert here.take(open_source(str(tmp_path / "mlruns")), registry=False).registered == []


def test_a_model_that_is_here_by_another_hand_gets_what_it_lacks_and_differences_are_told(
    here: Here, tmp_path: Path
) -> None:
    registry.create_registered_model("iris", {"mine": "1"}, "another", source=here.source)
    report = here.take(open_source(str(mlruns(tmp_path))))
    lines = report.differences()
    assert any("description: 'The *irises*.' there, 'another' here" in line for line in lines)
    assert registry.get_model_version("iris", 1, source=here.source).current_stage == "Production"
    model = registry.get_registered_model("iris", source=here.source)
    assert (model.tags, model.aliases) == ({"mine": "1", "team": "a"}, {"champion": 1})


def test_a_database_of_mlflow_has_the_same_models(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    database = sqlite3.connect(file)
    database.executescript("""
        CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
        CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, status TEXT);
        CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT);
        CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
        CREATE TABLE registered_models (name TEXT, creation_time INTEGER, last_updated_time INTEGER, description TEXT);
        CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time INTEGER, last_updated_time INTEGER,
            description TEXT, user_id TEXT, current_stage TEXT, source TEXT, run_id TEXT, status TEXT);
        CREATE TABLE registered_model_aliases (name TEXT, alias TEXT, version INTEGER);
        CREATE TABLE registered_model_tags (name TEXT, key TEXT, value TEXT);
        CREATE TABLE model_version_tags (name TEXT, version INTEGER, key TEXT, value TEXT);
        INSERT INTO registered_models VALUES ('iris', 10, 20, 'text'), ('hello', 1, 1, NULL);
        INSERT INTO model_versions VALUES ('iris', 2, 12, 13, NULL, NULL, 'Staging', 's3://b/2', NULL, 'READY');
        INSERT INTO model_versions
            VALUES ('iris', 1, 11, 11, 'one', 'ann', 'None', 's3://b/1', 'r', 'FAILED_REGISTRATION');
        INSERT INTO registered_model_aliases VALUES ('iris', 'champion', 2);
        INSERT INTO registered_model_tags VALUES ('iris', 'team', 'a'), ('hello', 'mlflow.prompt.is_prompt', 'true');
        INSERT INTO model_version_tags VALUES ('iris', 1, 'k', 'v');
    """)
    database.commit()
    database.close()
    source = open_source(str(file))
    [model] = source.registered()
    assert (model.description, model.tags, model.aliases) == ("text", {"team": "a"}, {"champion": 2})
    one, two = model.versions
    assert (one.version, one.status, one.user_id, one.tags) == (1, "FAILED_REGISTRATION", "ann", {"k": "v"})
    assert (two.version, two.stage, two.source, two.creation_time_ms) == (2, "Staging", "s3://b/2", 12)
    assert [x.what for x in source.left] == ["prompt hello"]
    source.close()


def test_a_server_gives_the_models_that_an_import_from_it_takes(here: Here, tmp_path: Path) -> None:
    assert here.take(open_source(str(mlruns(tmp_path)))).equal
    source = MlflowServer(URL, {}, transport=Through(here.server))
    empty, iris = sorted(source.registered(), key=lambda model: model.name)
    source.close()
    assert (empty.name, empty.versions) == ("empty", ())
    assert (iris.aliases, iris.tags, [x.version for x in iris.versions]) == ({"champion": 1}, {"team": "a"}, [1, 3])
    assert [(x.stage, x.run_id, x.model_id) for x in iris.versions] == [("Production", RUN, ""), ("None", RUN, MODEL)]


def registry_of(one: Here) -> Any:
    models = [registry.get_registered_model(name, source=one.source) for name in ("iris", "empty")]
    said = [x.comment for x in registry.list_comments("iris", source=one.source)]
    return models, registry.search_model_versions("name = 'iris'", source=one.source), said


def test_a_portable_file_brings_back_the_same_registry(tmp_path: Path) -> None:
    file = tmp_path / "taken.headrace"
    with opened(tmp_path / "there") as there:
        assert there.take(open_source(str(mlruns(tmp_path)))).equal
        registry.transition_model_version_stage("iris", 3, "Staging", comment="why", source=there.source)
        registry.create_comment("iris", "said", 3, source=there.source)
        runs = Selection(lambda: iter([there.arrival.run(RUN) or {}]), {}, "")
        manifest = export_events(there.arrival, runs, file, True, lambda _: None, ["empty"])
        held = registry_of(there)
    assert set(manifest.registered_models.values()) == {"iris", "empty"}
    assert any(MODEL in one.place for one in manifest.artifacts), "files of logged models are in it"
    with opened(tmp_path / "here") as here:
        report = FileImport(file, here.arrival).run()
        assert (report.equal, report.held) == (True, 0)
        assert registry_of(here) == held
        again = FileImport(file, here.arrival).run()
        assert (again.equal, again.sent) == (True, 0)


def test_a_portable_file_whose_models_cannot_be_as_they_were_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "taken.headrace"
    with opened(tmp_path / "there") as there:
        registry.set_stages(["Canary"], source=there.source)
        registry.register_model("s3://b/m", "iris", source=there.source)
        export_events(there.arrival, Selection(lambda: iter(()), {}, ""), file, False, lambda _: None, ["iris"])
    with opened(tmp_path / "here") as here:
        with pytest.raises(NotTaken, match="Canary"):
            FileImport(file, here.arrival).run()
        registry.create_registered_model("iris", source=here.source)
        with pytest.raises(NotTaken, match="another registered model 'iris'"):
            FileImport(file, here.arrival).run()


def test_parquet_has_a_row_a_model_and_a_version(here: Here, tmp_path: Path) -> None:
    assert here.take(open_source(str(mlruns(tmp_path)))).equal
    nothing = Selection(lambda: iter(()), {}, "")
    manifest = export_parquet(here.arrival, nothing, {}, tmp_path / "all", False, lambda _: None, whole=True)
    assert (
        manifest["files"]["registered_models.parquet"]["rows"],
        manifest["files"]["model_versions.parquet"]["rows"],
    ) == (2, 2)
    versions = pq.read_table(tmp_path / "all" / "model_versions.parquet").to_pylist()
    found = {x["version"]: (x["stage"], x["run_id"], dict(x["tags"]), x["aliases"]) for x in versions}
    assert found == {1: ("Production", RUN, {"n": "1"}, ["champion"]), 3: ("None", RUN, {}, [])}
    export_parquet(here.arrival, nothing, {}, tmp_path / "none", False, lambda _: None)
    assert pq.read_table(tmp_path / "none" / "registered_models.parquet").num_rows == 0
