"""XGBoost's autolog: both its APIs, early stopping, importance, the model, read back through the stock client."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json

import mlflow
import numpy as np
import xgboost
from mlflow import MlflowClient

client = MlflowClient()
mlflow.set_experiment("xgboost")
mlflow.xgboost.autolog()
random = np.random.default_rng(0)
x = random.normal(size=(300, 4))
y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
names = ["a", "b", "c", "d"]

with mlflow.start_run() as active:
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "eval_metric": ["error", "logloss"], "nthread": 1},
        xgboost.DMatrix(x[:200], y[:200], feature_names=names),
        num_boost_round=40,
        evals=[
            (xgboost.DMatrix(x[:200], y[:200], feature_names=names), "train"),
            (xgboost.DMatrix(x[200:], y[200:], feature_names=names), "valid"),
        ],
        early_stopping_rounds=5,
        verbose_eval=False,
    )
run = client.get_run(active.info.run_id)
rounds = booster.num_boosted_rounds()
assert run.info.status == "FINISHED"
assert run.data.params["max_depth"] == "3" and run.data.params["num_boost_round"] == "40", run.data.params
assert run.data.params["early_stopping_rounds"] == "5" and run.data.params["objective"] == "binary:logistic"
assert run.data.metrics["best_iteration"] == booster.best_iteration
assert run.data.metrics["stopped_iteration"] == rounds - 1, (run.data.metrics, rounds)
history = client.get_metric_history(run.info.run_id, "valid-logloss")
# Autolog adds the best round's values once more, one step after the last round.
assert [point.step for point in history] == list(range(rounds + 1)), [point.step for point in history]
assert history[booster.best_iteration].value == min(point.value for point in history) == history[-1].value, history
assert {"train-logloss", "train-error", "valid-error"} <= set(run.data.metrics)
paths = {file.path for file in client.list_artifacts(run.info.run_id)}
assert {"feature_importance_weight.png", "feature_importance_weight.json"} <= paths, paths
weights = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/feature_importance_weight.json")
assert set(weights) <= set(names) and "a" in weights, weights
[dataset] = [one.dataset for one in run.inputs.dataset_inputs if one.tags[0].value == "train"]
assert dataset.digest and dataset.name
[output] = run.outputs.model_outputs
loaded = mlflow.xgboost.load_model(f"models:/{output.model_id}")
matrix = xgboost.DMatrix(x[200:], feature_names=names)
assert np.array_equal(loaded.predict(matrix), booster.predict(matrix))

with mlflow.start_run() as active:
    fitted = xgboost.XGBClassifier(n_estimators=7, max_depth=2, n_jobs=1).fit(
        x[:200], y[:200], eval_set=[(x[200:], y[200:])]
    )
run = client.get_run(active.info.run_id)
assert run.data.params["max_depth"] == "2" and run.data.params["num_boost_round"] == "7", run.data.params
assert len(client.get_metric_history(run.info.run_id, "validation_0-logloss")) == 7
[output] = run.outputs.model_outputs
model = client.get_logged_model(output.model_id)
assert model.status == "READY" and model.source_run_id == run.info.run_id and model.params["max_depth"] == "2"
served = mlflow.pyfunc.load_model(model.model_uri)
assert np.array_equal(served.predict(x[200:]), fitted.predict(x[200:]))
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "xgboost": xgboost.__version__}))
