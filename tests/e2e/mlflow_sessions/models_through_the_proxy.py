"""Models logged with `log_model` and loaded with `pyfunc.load_model`: every byte goes through the artifact proxy."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT017, PT018
import json
import pathlib
import tempfile

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import Ridge

client = MlflowClient()
experiment = mlflow.set_experiment("models")
random = np.random.default_rng(0)
x = pd.DataFrame(random.normal(size=(120, 3)), columns=["a", "b", "c"])
y = x.a * 2 + x.b
ridge = Ridge(alpha=0.5).fit(x, y)

# A model of a flavor, in a run: its artifact root is the server's, and its bytes travel over HTTP.
with mlflow.start_run() as active:
    logged = mlflow.sklearn.log_model(
        ridge,
        name="ridge",
        signature=infer_signature(x, ridge.predict(x)),
        input_example=x.head(3),
        params={"alpha": 0.5},
        tags={"team": "water"},
        pip_requirements=["scikit-learn"],
    )
    mlflow.log_metric("rmse", 0.25, model_id=logged.model_id, step=0)
    mlflow.log_metric("rmse", 0.125, model_id=logged.model_id, step=1)
assert logged.model_uri == f"models:/{logged.model_id}"
model = client.get_logged_model(logged.model_id)
assert model.artifact_location.startswith("mlflow-artifacts:/"), model.artifact_location
assert (model.name, model.status, model.source_run_id) == ("ridge", "READY", active.info.run_id)
assert model.params == {"alpha": "0.5"} and model.tags["team"] == "water"
assert [(metric.key, metric.value, metric.step) for metric in model.metrics][-1] == ("rmse", 0.125, 1), model.metrics
assert {file.path for file in client.list_logged_model_artifacts(model.model_id)} >= {
    "MLmodel",
    "input_example.json",
    "requirements.txt",
}
for uri in (logged.model_uri, f"runs:/{active.info.run_id}/ridge", model.artifact_location):
    loaded = mlflow.pyfunc.load_model(uri)
    assert np.array_equal(loaded.predict(x), ridge.predict(x)), uri
    assert loaded.metadata.signature == infer_signature(x, ridge.predict(x)), uri
try:
    loaded.predict(pd.DataFrame({"wrong": [1.0]}))
    raise AssertionError("the signature was not enforced")
except MlflowException as error:
    assert "Model is missing inputs" in str(error), error
assert mlflow.models.get_model_info(logged.model_uri).flavors["python_function"]["loader_module"] == "mlflow.sklearn"
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder))
    assert (path / "MLmodel").read_text().count("python_function") >= 1
[found] = mlflow.search_logged_models(
    [experiment.experiment_id], "name = 'ridge' AND metrics.rmse < 0.2", output_format="list"
)
assert found.model_id == logged.model_id


class Scaled(mlflow.pyfunc.PythonModel):
    """Multiplies by what its artifact says, and by a parameter given at inference."""

    def load_context(self, context):
        self.factor = json.loads(pathlib.Path(context.artifacts["factor"]).read_text())["factor"]

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return model_input["v"] * self.factor * (params or {}).get("times", 1)


# A python_function of one's own, with an artifact that is a file here, then one that lies on the server.
frame = pd.DataFrame({"v": [1.0, 2.0]})
with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as active:
    file = pathlib.Path(folder) / "factor.json"
    file.write_text('{"factor": 3}')
    signature = infer_signature(frame, frame["v"], params={"times": 1})
    own = mlflow.pyfunc.log_model(
        name="scaled",
        python_model=Scaled(),
        artifacts={"factor": str(file)},
        signature=signature,
        pip_requirements=["mlflow"],
    )
    mlflow.log_dict({"factor": 5}, "given/factor.json")
    remote = mlflow.pyfunc.log_model(
        name="scaled-remote",
        python_model=Scaled(),
        artifacts={"factor": f"runs:/{active.info.run_id}/given/factor.json"},
        signature=signature,
        pip_requirements=["mlflow"],
    )
assert mlflow.pyfunc.load_model(own.model_uri).predict(frame).tolist() == [3.0, 6.0]
assert mlflow.pyfunc.load_model(remote.model_uri).predict(frame, params={"times": 2}).tolist() == [10.0, 20.0]
assert {
    client.get_logged_model(output.model_id).name for output in client.get_run(active.info.run_id).outputs.model_outputs
} == {"scaled", "scaled-remote"}

# A model outside of any run, made first and filled later; one whose logging failed.
outside = mlflow.initialize_logged_model(name="outside", tags={"stage": "new"})
assert client.get_logged_model(outside.model_id).status == "PENDING"
mlflow.finalize_logged_model(outside.model_id, "READY")
client.set_logged_model_tags(outside.model_id, {"stage": "done", "more": "é"})
client.delete_logged_model_tag(outside.model_id, "more")
ready = client.get_logged_model(outside.model_id)
assert ready.status == "READY" and ready.tags["stage"] == "done" and "more" not in ready.tags, ready
client.delete_logged_model(outside.model_id)
try:
    client.get_logged_model(outside.model_id)
    raise AssertionError("a deleted model was found")
except MlflowException as error:
    assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error


class Unpicklable(Scaled):
    def __reduce__(self):
        raise RuntimeError("never saved")


try:
    mlflow.pyfunc.log_model(name="failing", python_model=Unpicklable(), pip_requirements=["mlflow"])
    raise AssertionError("an unpicklable model was logged")
except (RuntimeError, MlflowException):
    pass
[failed] = client.search_logged_models([experiment.experiment_id], "name = 'failing'")
assert failed.status == "FAILED", failed
print(json.dumps({"ok": True, "mlflow": mlflow.__version__}))
