"""System metrics of a run, sampled by the stock client's own thread while the run lives."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json
import time

import mlflow
from mlflow import MlflowClient

client = MlflowClient()
mlflow.set_experiment("system metrics")
mlflow.enable_system_metrics_logging()
mlflow.set_system_metrics_sampling_interval(0.2)
mlflow.set_system_metrics_samples_before_logging(2)
with mlflow.start_run() as active:
    deadline_s = time.monotonic() + 60
    key = "system/cpu_utilization_percentage"
    while len(client.get_metric_history(active.info.run_id, key)) < 3:
        assert time.monotonic() < deadline_s, client.get_run(active.info.run_id).data.metrics
        mlflow.log_metric("loss", 1.0)
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED"
for key in (
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/disk_usage_percentage",
    "system/network_receive_megabytes",
):
    history = client.get_metric_history(run.info.run_id, key)
    assert [point.step for point in history] == list(range(len(history))) and len(history) >= 3, (key, history)
    assert [point.timestamp for point in history] == sorted(point.timestamp for point in history)
    assert run.data.metrics[key] == history[-1].value
assert run.data.metrics["system/system_memory_usage_megabytes"] > 0

# A run that goes on continues the steps; one that says no has none.
with mlflow.start_run(run_id=run.info.run_id):
    before = len(client.get_metric_history(run.info.run_id, key))
    while len(client.get_metric_history(run.info.run_id, key)) <= before:
        assert time.monotonic() < deadline_s, "no sample after the run went on"
        mlflow.log_metric("loss", 1.0)
history = client.get_metric_history(run.info.run_id, key)
assert [point.step for point in history] == list(range(len(history))), [point.step for point in history]
with mlflow.start_run(log_system_metrics=False) as active:
    mlflow.log_metric("loss", 1.0)
assert set(client.get_run(active.info.run_id).data.metrics) == {"loss"}
print(json.dumps({"ok": True, "mlflow": mlflow.__version__}))
