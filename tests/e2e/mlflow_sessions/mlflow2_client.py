"""A client of MLflow 2: runs, batches, nesting, artifacts, search, autolog, and models logged the way 2.x does."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT017, PT018
import json
import math
import pathlib
import tempfile

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

assert mlflow.__version__.startswith("2."), mlflow.__version__
client = MlflowClient()
experiment = mlflow.set_experiment("an older client")
with mlflow.start_run(run_name="outer", description="the outer") as outer:
    mlflow.log_params({"lr": 0.1, "layers": [1, 2]})
    for step in range(20):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"nan": math.nan, "large": 1e300}, step=2)
    with mlflow.start_run(run_name="inner", nested=True) as inner:
        mlflow.log_param("depth", 1)
        mlflow.log_metric("loss", 7.0)
    mlflow.log_text("hello", "notes/hello.txt")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "deep").mkdir()
        (pathlib.Path(folder) / "deep" / "f.bin").write_bytes(bytes(range(256)) * 10)
        mlflow.log_artifacts(folder, "files")
    mlflow.log_table({"q": ["x"], "n": [1]}, "tables/t.json")
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    mlflow.log_input(mlflow.data.from_pandas(frame, source="local.csv", name="tiny", targets="y"), context="training")
    mlflow.set_tag("stage", "done")

run = client.get_run(outer.info.run_id)
assert run.info.status == "FINISHED" and run.info.run_name == "outer" and run.info.lifecycle_stage == "active"
assert run.data.params == {"lr": "0.1", "layers": "[1, 2]"} and run.data.tags["stage"] == "done"
assert run.data.metrics["loss"] == 0.05 and math.isnan(run.data.metrics["nan"]) and run.data.metrics["large"] == 1e300
assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [
    (s, 1 / (s + 1)) for s in range(20)
]
assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
assert client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == outer.info.run_id
assert client.get_parent_run(inner.info.run_id).info.run_id == outer.info.run_id
assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["files", "notes", "tables"]
local = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="files")
assert (pathlib.Path(local) / "deep" / "f.bin").read_bytes() == bytes(range(256)) * 10
assert mlflow.load_table("tables/t.json", run_ids=[run.info.run_id]).n.tolist() == [1]

by_hand = client.create_run(experiment.experiment_id, tags={"kind": "hand"}, run_name="by hand")
client.log_batch(
    by_hand.info.run_id,
    [Metric(f"m{i}", float(i), 5, i) for i in range(1000)],
    [Param(f"p{i}", str(i)) for i in range(90)],
    [RunTag("batch", "yes")],
)
client.log_metric(by_hand.info.run_id, "late", 1.5, step=-3, synchronous=False).wait()
client.set_terminated(by_hand.info.run_id, "FAILED")
run = client.get_run(by_hand.info.run_id)
assert run.info.status == "FAILED" and len(run.data.metrics) == 1001 and len(run.data.params) == 90
frame = mlflow.search_runs([experiment.experiment_id], "metrics.loss < 0.1 and params.lr = '0.1'")
assert list(frame.run_id) == [outer.info.run_id]
page = client.search_runs([experiment.experiment_id], max_results=2, order_by=["start_time ASC"])
rest = client.search_runs([experiment.experiment_id], max_results=2, order_by=["start_time ASC"], page_token=page.token)
assert [found.info.run_name for found in [*page, *rest]] == ["outer", "inner", "by hand"]
client.delete_run(by_hand.info.run_id)
assert [
    found.info.run_name for found in client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
] == ["by hand"]
client.restore_run(by_hand.info.run_id)
for refused, code in (
    (lambda: client.log_param(outer.info.run_id, "lr", "9"), "INVALID_PARAMETER_VALUE"),
    (lambda: client.get_run("0" * 32), "RESOURCE_DOES_NOT_EXIST"),
    (lambda: client.create_experiment("an older client"), "RESOURCE_ALREADY_EXISTS"),
):
    try:
        refused()
        raise AssertionError(code)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, code, error)

# Models of 2.x lie among the run's artifacts, and the run remembers them in a tag written by runs/log-model.
x, y = load_iris(return_X_y=True)
fitted = LogisticRegression(max_iter=300).fit(x, y)
with mlflow.start_run() as active:
    logged = mlflow.sklearn.log_model(
        fitted, artifact_path="classifier", input_example=x[:2], pip_requirements=["scikit-learn"]
    )
assert logged.run_id == active.info.run_id
[remembered] = json.loads(client.get_run(active.info.run_id).data.tags["mlflow.log-model.history"])
assert remembered["artifact_path"] == "classifier" and remembered["model_uuid"] == logged.model_uuid, remembered
assert "classifier/MLmodel" in {file.path for file in client.list_artifacts(active.info.run_id, "classifier")}
assert np.array_equal(mlflow.pyfunc.load_model(logged.model_uri).predict(x), fitted.predict(x))


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["v"] * 2


with mlflow.start_run(run_id=active.info.run_id):
    twice = mlflow.pyfunc.log_model("twice", python_model=Twice(), pip_requirements=["mlflow"])
history = json.loads(client.get_run(active.info.run_id).data.tags["mlflow.log-model.history"])
assert [one["artifact_path"] for one in history] == ["classifier", "twice"], history
assert mlflow.pyfunc.load_model(twice.model_uri).predict(pd.DataFrame({"v": [1, 2]})).tolist() == [2, 4]

mlflow.sklearn.autolog()
with mlflow.start_run() as active:
    LogisticRegression(max_iter=250).fit(x, y)
run = client.get_run(active.info.run_id)
assert run.data.params["max_iter"] == "250" and run.data.metrics["training_accuracy_score"] > 0.9
assert "training_confusion_matrix.png" in {file.path for file in client.list_artifacts(run.info.run_id)}
assert (mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").predict(x) == y).mean() > 0.9
print(json.dumps({"ok": True, "mlflow": mlflow.__version__}))
