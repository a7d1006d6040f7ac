"""LightGBM's autolog: both its APIs, the history of each metric, importance, the model, read back."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json

import lightgbm
import mlflow
import numpy as np
from mlflow import MlflowClient

client = MlflowClient()
mlflow.set_experiment("lightgbm")
mlflow.lightgbm.autolog()
random = np.random.default_rng(0)
x = random.normal(size=(300, 4))
y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)

with mlflow.start_run() as active:
    train = lightgbm.Dataset(x[:200], y[:200])
    booster = lightgbm.train(
        {"objective": "binary", "metric": ["binary_logloss", "auc"], "num_leaves": 7, "num_threads": 1, "verbose": -1},
        train,
        num_boost_round=12,
        valid_sets=[train, lightgbm.Dataset(x[200:], y[200:], reference=train)],
        valid_names=["train", "valid"],
    )
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED"
assert run.data.params["num_leaves"] == "7" and run.data.params["num_boost_round"] == "12", run.data.params
for key in ("train-binary_logloss", "train-auc", "valid-binary_logloss", "valid-auc"):
    assert [point.step for point in client.get_metric_history(run.info.run_id, key)] == list(range(12)), key
losses = [point.value for point in client.get_metric_history(run.info.run_id, "train-binary_logloss")]
assert losses == sorted(losses, reverse=True) and run.data.metrics["train-binary_logloss"] == losses[-1]
paths = {file.path for file in client.list_artifacts(run.info.run_id)}
assert {"feature_importance_gain.json", "feature_importance_split.json", "feature_importance_gain.png"} <= paths, paths
gain = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/feature_importance_gain.json")
assert gain == dict(zip(booster.feature_name(), booster.feature_importance("gain").tolist(), strict=True)), gain
[output] = run.outputs.model_outputs
assert np.array_equal(
    mlflow.lightgbm.load_model(f"models:/{output.model_id}").predict(x[200:]), booster.predict(x[200:])
)

with mlflow.start_run() as active:
    fitted = lightgbm.LGBMClassifier(n_estimators=5, num_leaves=5, n_jobs=1, verbose=-1).fit(x[:200], y[:200])
run = client.get_run(active.info.run_id)
assert run.data.params["num_leaves"] == "5", run.data.params
again = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
assert np.array_equal(again.predict(x[200:]), fitted.predict(x[200:]))
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "lightgbm": lightgbm.__version__}))
