"""A working day of the stock MLflow client, against the server in MLFLOW_TRACKING_URI. Runs in MLflow's environment."""

import json
import math
import os
import pathlib
import tempfile

import matplotlib
import mlflow
import mlflow.data
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

matplotlib.use("Agg")
import matplotlib.pyplot as plt

client = MlflowClient()
experiment = mlflow.set_experiment("whole session / ünï")
assert client.get_experiment_by_name("whole session / ünï").experiment_id == experiment.experiment_id
client.set_experiment_tag(experiment.experiment_id, "team", "water")
assert client.get_experiment(experiment.experiment_id).tags == {"team": "water"}
assert client.get_experiment("0").name == "Default"

with mlflow.start_run(run_name="parent", tags={"kind": "outer"}, description="the *outer* run") as parent:
    mlflow.log_params({"lr": 0.1, "layers": [1, 2]})
    for step in range(20):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"acc": 0.5, "nan": math.nan, "inf": math.inf, "minus": -math.inf}, step=3)
    with mlflow.start_run(run_name="child", nested=True) as child:
        mlflow.log_param("depth", 1)
        mlflow.log_metric("loss", 0.25)
    mlflow.log_text("hello\nwörld", "notes/hello.txt")
    mlflow.log_dict({"a": [1, 2]}, "conf/a.json")
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    mlflow.log_figure(figure, "plots/line.png")
    mlflow.log_image(np.zeros((8, 8, 3), dtype=np.uint8), "images/black.png")
    mlflow.log_table({"q": ["x", "y"], "n": [1, 2]}, "tables/t.json")
    mlflow.log_table({"q": ["z"], "n": [3]}, "tables/t.json")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "deep" / "er").mkdir(parents=True)
        (pathlib.Path(folder) / "deep" / "er" / "f.bin").write_bytes(bytes(range(256)) * 100)
        mlflow.log_artifacts(folder, "files")
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    dataset = mlflow.data.from_pandas(frame, source="local.csv", name="tiny", targets="y")
    mlflow.log_input(dataset, context="training")
    mlflow.set_tags({"stage": "done", "with space": "é"})

run = client.get_run(parent.info.run_id)
assert run.info.status == "FINISHED" and run.info.run_name == "parent" and run.info.end_time >= run.info.start_time
assert run.data.params == {"lr": "0.1", "layers": "[1, 2]"}
assert run.data.metrics["loss"] == 0.05 and run.data.metrics["acc"] == 0.5
assert (
    math.isnan(run.data.metrics["nan"])
    and run.data.metrics["inf"] == math.inf
    and run.data.metrics["minus"] == -math.inf
)
assert run.data.tags["stage"] == "done" and run.data.tags["mlflow.note.content"] == "the *outer* run"
assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
assert run.inputs.dataset_inputs[0].tags[0].value == "training"
history = client.get_metric_history(parent.info.run_id, "loss")
assert [(m.step, m.value) for m in history] == [(s, 1 / (s + 1)) for s in range(20)]
assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id

frame = mlflow.search_runs([experiment.experiment_id], "metrics.loss < 0.1 and params.lr = '0.1'")
assert list(frame.run_id) == [parent.info.run_id], frame
frame = mlflow.search_runs([experiment.experiment_id], order_by=["metrics.loss DESC"])
assert list(frame["tags.mlflow.runName"]) == ["child", "parent"]
found = client.search_runs([experiment.experiment_id], "tags.`with space` ILIKE 'É' or attributes.run_name = 'child'")
assert len(found) >= 1
assert client.search_runs([experiment.experiment_id], "dataset.name = 'tiny'")[0].info.run_id == parent.info.run_id
page = client.search_runs([experiment.experiment_id], max_results=1)
assert len(page) == 1 and page.token
assert len(client.search_runs([experiment.experiment_id], max_results=1, page_token=page.token)) == 1
assert [e.name for e in client.search_experiments(filter_string="name LIKE 'whole%'")] == ["whole session / ünï"]

listed = sorted(f.path for f in client.list_artifacts(parent.info.run_id))
assert listed == ["conf", "files", "images", "notes", "plots", "tables"], listed
assert [(f.path, f.file_size) for f in client.list_artifacts(parent.info.run_id, "files/deep/er")] == [
    ("files/deep/er/f.bin", 25600)
]
local = mlflow.artifacts.download_artifacts(run_id=parent.info.run_id, artifact_path="files")
assert (pathlib.Path(local) / "deep" / "er" / "f.bin").read_bytes() == bytes(range(256)) * 100
assert mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/notes/hello.txt") == "hello\nwörld"
assert mlflow.load_table("tables/t.json", run_ids=[parent.info.run_id]).n.tolist() == [1, 2, 3]

try:
    client.log_param(parent.info.run_id, "lr", "0.2")
    raise AssertionError("a changed param was taken")
except MlflowException as error:
    assert "Changing param values is not allowed" in str(error), error
try:
    client.log_batch(parent.info.run_id, [Metric("half", 1.0, 1, 1)], [Param("lr", "9")], [RunTag("half", "1")])
    raise AssertionError("a changed param was taken")
except MlflowException as error:
    assert error.error_code == "INVALID_PARAMETER_VALUE", error
assert (
    "half" not in client.get_run(parent.info.run_id).data.metrics
    and "half" not in client.get_run(parent.info.run_id).data.tags
)
for bad, code in (
    (lambda: client.get_run("0" * 32), "RESOURCE_DOES_NOT_EXIST"),
    (lambda: client.create_experiment("Default"), "RESOURCE_ALREADY_EXISTS"),
    (lambda: client.search_runs(["0"], "metrics.a = 'x'"), "INVALID_PARAMETER_VALUE"),
    (lambda: client.get_experiment("987654321"), "RESOURCE_DOES_NOT_EXIST"),
):
    try:
        bad()
        raise AssertionError(code)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, code, error)

client.delete_run(child.info.run_id)
assert client.get_run(child.info.run_id).info.lifecycle_stage == "deleted"
assert len(client.search_runs([experiment.experiment_id])) == 1
client.restore_run(child.info.run_id)
assert len(client.search_runs([experiment.experiment_id])) == 2
with mlflow.start_run(run_id=parent.info.run_id):
    mlflow.log_metric("loss", 0.01, step=20)
assert client.get_run(parent.info.run_id).data.metrics["loss"] == 0.01
client.rename_experiment(experiment.experiment_id, "renamed")
assert client.get_experiment_by_name("renamed").experiment_id == experiment.experiment_id
other = client.create_experiment("whole session / ünï")
assert other != experiment.experiment_id
client.delete_experiment(other)
assert client.get_experiment(other).lifecycle_stage == "deleted"
client.restore_experiment(other)
run = client.create_run(other, run_name="by hand")
client.log_batch(run.info.run_id, [Metric(f"m{i}", float(i), 5, i) for i in range(1000)])
client.set_terminated(run.info.run_id, "KILLED")
run = client.get_run(run.info.run_id)
assert run.info.status == "KILLED" and len(run.data.metrics) == 1000

mlflow.set_experiment("autolog")
mlflow.sklearn.autolog()
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

x, y = load_iris(return_X_y=True)
with mlflow.start_run() as auto:
    LogisticRegression(max_iter=300).fit(x, y)
run = client.get_run(auto.info.run_id)
assert run.data.params["max_iter"] == "300" and run.data.metrics["training_accuracy_score"] > 0.9, run.data
assert "training_confusion_matrix.png" in [f.path for f in client.list_artifacts(auto.info.run_id)]
[output] = run.outputs.model_outputs
model = mlflow.sklearn.load_model(f"models:/{output.model_id}")
assert (model.predict(x) == y).mean() > 0.9
again = mlflow.pyfunc.load_model(f"runs:/{auto.info.run_id}/model")
assert len(again.predict(x)) == 150
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "server": os.environ["MLFLOW_TRACKING_URI"]}))
