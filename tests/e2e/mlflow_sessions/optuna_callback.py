"""Optuna's MLflowCallback: one nested run a trial, found and ordered through the stock client's search."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json
import os
import warnings

import mlflow
import optuna
from mlflow import MlflowClient
from optuna_integration import MLflowCallback

warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
client = MlflowClient()
mlflow.set_experiment("unrelated")
callback = MLflowCallback(
    tracking_uri=os.environ["MLFLOW_TRACKING_URI"], metric_name="distance", tag_study_user_attrs=True
)


@callback.track_in_mlflow()
def objective(trial):
    """A bowl; what it logs itself lands in the trial's run."""
    x = trial.suggest_float("x", -10, 10)
    kind = trial.suggest_categorical("kind", ["flat", "deep"])
    trial.set_user_attr("note", f"trial {trial.number}")
    for step in range(3):
        mlflow.log_metric("progress", step * x, step=step)
    return (x - 2) ** 2 + (kind == "flat")


study = optuna.create_study(study_name="bowl", sampler=optuna.samplers.TPESampler(seed=0))
study.set_user_attr("owner", "water")
study.optimize(objective, n_trials=12, callbacks=[callback])
experiment = client.get_experiment_by_name("bowl")
assert experiment is not None, "the callback makes an experiment of the study's name"
runs = client.search_runs([experiment.experiment_id], order_by=["metrics.distance ASC"])
assert len(runs) == 12
assert [run.data.metrics["distance"] for run in runs] == sorted(trial.value for trial in study.trials)
best = runs[0]
assert best.data.params == {key: str(value) for key, value in study.best_params.items()}, best.data.params
assert best.info.run_name == str(study.best_trial.number) and best.info.status == "FINISHED"
assert best.data.tags["owner"] == "water" and best.data.tags["note"] == f"trial {study.best_trial.number}"
assert best.data.tags["direction"] == "MINIMIZE" and best.data.tags["state"] == "COMPLETE", best.data.tags
assert [point.step for point in client.get_metric_history(best.info.run_id, "progress")] == [0, 1, 2]
deep = client.search_runs([experiment.experiment_id], "params.kind = 'deep' AND metrics.distance < 50")
assert {run.info.run_name for run in deep} == {
    str(trial.number) for trial in study.trials if trial.params["kind"] == "deep" and trial.value < 50
}
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "optuna": optuna.__version__}))
