"""A model is logged without waiting, through the spool, and is whole at the target when its last file is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headrace
import numpy as np
import pandas as pd
import pytest
from headrace.ingest import codec, events, model_events
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import Envelope
from headrace.sdk import fluent, pipeline
from headrace.sdk.models.cache import digest_of_folder
from headrace.sdk.process import process
from headrace.sdk.sync import sync
from headrace.sdk.transport import Artifact, Receipt, Unavailable
from sklearn.linear_model import LogisticRegression

from tests.unit.sdk.conftest import Target

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})


@pytest.fixture(scope="module")
def estimator() -> LogisticRegression:
    return LogisticRegression().fit(FRAME, [0, 0, 1, 1])


def of(found: list[tuple[str, events.Event]], kind: type[Any]) -> list[tuple[str, Any]]:
    return [(subject, event) for subject, event in found if isinstance(event, kind)]


def test_a_model_of_a_run_is_at_the_target_and_loads_from_there(target: Target, estimator: LogisticRegression) -> None:
    with headrace.start_run() as run:
        headrace.log_params({"C": 1.0})
        headrace.log_input(headrace.data.from_pandas(FRAME, name="toy"), context="training")
        info = headrace.sklearn.log_model(
            estimator, "clf", input_example=FRAME.head(2), params={"depth": 3}, tags={"team": "a"}, step=7
        )
        assert headrace.flush(60)

    [(model_id, created)] = of(target.events("registry"), events.LoggedModelCreated)
    assert f"models:/{model_id}" == info.model_uri
    assert (created.name, created.source_run_id) == ("clf", run.info.run_id)
    assert created.params == {"C": "1.0", "depth": "3"}
    assert created.tags == {"team": "a", "headrace.digest": info.digest}
    assert of(target.events("registry"), events.LoggedModelFinalized) == [
        (model_id, events.LoggedModelFinalized("LOGGED_MODEL_READY"))
    ]
    outputs = of(target.events(), events.OutputsLogged)
    assert outputs == [(run.info.run_id, events.OutputsLogged([events.ModelOutput(model_id, 7)]))]

    folder = target.folder / "artifacts" / created.experiment_id / "models" / model_id / "artifacts"
    assert {one.name for one in folder.iterdir()} == {
        "MLmodel", "conda.yaml", "input_example.json", "model.pkl", "python_env.yaml", "requirements.txt",
        "serving_input_example.json",
    }  # fmt: skip
    assert digest_of_folder(folder) == info.digest
    loaded = headrace.pyfunc.load_model(info.model_uri)
    assert (loaded.predict(FRAME) == estimator.predict(FRAME)).all()
    assert (loaded.metadata.run_id, loaded.model_id) == (run.info.run_id, model_id)
    remembered = loaded.metadata.metadata["headrace"] if loaded.metadata.metadata else {}
    assert remembered["datasets"][0]["name"] == "toy"
    assert remembered["datasets"][0]["context"] == "training"
    assert {"entry_point", "git", "version"} <= remembered.keys()


def test_without_a_run_a_model_is_logged_to_the_experiment(target: Target) -> None:
    headrace.set_experiment("of models")
    info = headrace.models.log_model(lambda rows: rows, artifact_path="sub/folder")
    assert headrace.flush(60)

    [(_, created)] = of(target.events("registry"), events.LoggedModelCreated)
    assert (created.name, created.source_run_id, created.experiment_name) == ("sub-folder", "", "of models")
    assert info.run_id is None
    assert headrace.pyfunc.load_model(info.model_uri).predict([1]) == [1]
    assert of(target.events(), events.RunCreated) == []


def test_registering_is_two_more_events_and_nobody_waits(target: Target, estimator: LogisticRegression) -> None:
    with headrace.start_run() as run:
        info = headrace.sklearn.log_model(estimator, name="clf", registered_model_name="Iris")
    assert headrace.flush(60)

    [(subject, asked)] = of(target.events("registry"), model_events.RegisteredModelCreated)
    assert (asked.name, asked.if_absent) == ("Iris", True)
    [(of_subject, version)] = of(target.events("registry"), model_events.ModelVersionCreated)
    assert of_subject == subject
    assert (version.source, version.model_id, version.run_id) == (info.model_uri, info.model_id, run.info.run_id)
    assert "mlflow.source.name" in version.code
    assert (info.registered_model_name, info.registered_model_version) == ("Iris", None)


def test_what_an_offline_program_logged_is_whole_after_a_sync(tmp_path: Path, target: Target) -> None:
    fluent.init(offline=True)
    with headrace.start_run():
        info = headrace.models.log_model(lambda rows: rows, name="later")
    process.close()
    assert not (target.folder / "artifacts").exists()

    assert sync(tmp_path / "spool", str(target.folder)).complete

    assert of(target.events("registry"), events.LoggedModelFinalized)[0][1].status == "LOGGED_MODEL_READY"
    fluent.init(offline=False)
    assert headrace.pyfunc.load_model(info.model_uri).predict([2]) == [2]
    assert list((tmp_path / "spool").iterdir()) == []


class MovingTarget:
    """A target in memory that is down until it is told otherwise, and may refuse a file."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.told: list[str] = []
        self.last: Artifact | None = None
        self.asked = threading.Event()

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        self.asked.set()
        if not self.up.is_set():
            raise Unavailable("down")
        self.told += [one.type for one in items if isinstance(one, Envelope)]
        return Receipt(len(items))

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        self.told.append(artifact.path)
        self.last = artifact

    def close(self) -> None:
        pass


def test_files_follow_their_model_and_mlmodel_is_the_last_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = MovingTarget()
    monkeypatch.setattr(pipeline, "open_transport", lambda uri, settings: target)
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    fluent.init(
        "http://127.0.0.1:9", spool_dir=str(tmp_path / "spool"), record_environment=False, retry_interval_max_s=0.05
    )
    info = headrace.models.log_model(lambda rows: rows, name="m")
    assert target.asked.wait(60)
    assert target.told == []
    target.up.set()
    assert headrace.flush(60)
    process.close()

    kind = codec.type_of(events.LoggedModelCreated)
    files = target.told[target.told.index(kind) + 1 :]
    assert files == ["conda.yaml", "python_env.yaml", "python_model.pkl", "requirements.txt", "MLmodel"]
    assert target.last is not None
    assert (target.last.files, target.last.model_id) == (5, info.model_id)


def test_a_small_model_costs_little_of_the_trainers_time(target: Target, estimator: LogisticRegression) -> None:
    headrace.sklearn.log_model(estimator, name="first", input_example=FRAME.head(2))  # imports
    began_s = time.thread_time()
    headrace.sklearn.log_model(estimator, name="second", input_example=FRAME.head(2))
    assert time.thread_time() - began_s < 0.2


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a.b", 'a"b'])
def test_a_name_that_cannot_be_is_refused_at_once(target: Target, name: str) -> None:
    with pytest.raises(ValueError, match="a model's name cannot be"):
        headrace.models.log_model(lambda rows: rows, name=name)


def test_a_model_that_cannot_be_saved_is_told_so_and_not_logged(target: Target) -> None:
    class Broken(headrace.pyfunc.PythonModel):  # type: ignore[misc]
        def __init__(self) -> None:
            self.lock = threading.Lock()

    with pytest.raises(TypeError, match="pickle"):
        headrace.models.log_model(Broken(), name="broken")
    headrace.log_metric("a", 1.0)
    assert headrace.flush(60)
    assert of(target.events("registry"), events.LoggedModelCreated) == []


def test_arrays_are_examples_too(target: Target) -> None:
    model = LogisticRegression().fit(np.eye(2), [0, 1])
    info = headrace.sklearn.log_model(model, name="m", input_example=np.eye(2))
    assert info.signature is not None
    assert info.signature.inputs is not None
    assert info.signature.inputs.to_json() == (
        '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]'
    )
    assert headrace.flush(60)
    assert headrace.pyfunc.load_model(info.model_uri).predict(np.eye(2)).tolist() == [0, 1]
