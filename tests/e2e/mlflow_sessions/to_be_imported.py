"""Fills a store of MLflow (the first argument: its URI) with what an import has to bring over; prints the run's id."""

import sys

import mlflow
import numpy as np
from mlflow import MlflowClient

uri = sys.argv[1]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
client.create_experiment("digits", tags={"team": "a"})
mlflow.set_experiment("digits")
with mlflow.start_run(run_name="first", tags={"t": "x y\nz"}) as run:
    mlflow.log_params({"lr": 0.1, "model/name": "mlp"})
    for step in range(300):
        mlflow.log_metric("loss", 1 / (step + 3), step=step)
    for step, value in enumerate((float("nan"), float("inf"), -float("inf"), -0.0, 5e-324)):
        mlflow.log_metric("odd", value, step=step)
    mlflow.log_metric("back", 1.5, step=-3)
    mlflow.log_metric("val/acc", 0.25, step=3)
    mlflow.log_text("hello", "notes/a b.txt")
    mlflow.log_input(mlflow.data.from_numpy(np.arange(10.0), name="numbers"), context="training")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("m", 2.0)
    if len(sys.argv) > 2:
        from sklearn.linear_model import LinearRegression

        mlflow.sklearn.log_model(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), name="model")
with mlflow.start_run(run_name="failed") as failed:
    mlflow.log_param("a", "1")
client.set_terminated(failed.info.run_id, "FAILED")
with mlflow.start_run(run_name="gone") as gone:
    mlflow.log_param("a", "2")
client.delete_run(gone.info.run_id)
binned = client.create_experiment("bin")
client.create_run(binned)
client.delete_experiment(binned)
registered = f"digits-{run.info.run_id[:8]}"
client.create_registered_model(registered, tags={"team": "a"}, description="Digits.")
for _ in range(3):
    client.create_model_version(registered, f"{run.info.artifact_uri}/notes", run.info.run_id, tags={"k": "v"})
client.delete_model_version(registered, "3")
client.transition_model_version_stage(registered, "1", "Production")
client.set_registered_model_alias(registered, "champion", "1")
print(run.info.run_id)
