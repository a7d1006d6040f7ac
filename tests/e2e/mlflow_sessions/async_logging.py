"""Asynchronous logging: `synchronous=False`, futures, flushes, artifacts, and many threads at once."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT017, PT018
import json
from concurrent.futures import ThreadPoolExecutor

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

client = MlflowClient()
experiment = mlflow.set_experiment("asynchronous")
run_id = client.create_run(experiment.experiment_id).info.run_id
futures = [client.log_metric(run_id, "loss", 1 / (step + 1), step=step, synchronous=False) for step in range(500)]
futures.append(client.log_param(run_id, "lr", 0.1, synchronous=False))
futures.append(client.set_tag(run_id, "kind", "late", synchronous=False))
futures.append(
    client.log_batch(
        run_id,
        [Metric(f"m{i}", float(i), 1, 0) for i in range(1000)],
        [Param(f"p{i}", str(i)) for i in range(100)],
        [RunTag(f"t{i}", str(i)) for i in range(100)],
        synchronous=False,
    )
)
for future in futures:
    future.wait()
run = client.get_run(run_id)
assert [(m.step, m.value) for m in client.get_metric_history(run_id, "loss")] == [(s, 1 / (s + 1)) for s in range(500)]
assert run.data.params == {"lr": "0.1", **{f"p{i}": str(i) for i in range(100)}}
assert run.data.tags["kind"] == "late" and run.data.tags["t99"] == "99" and len(run.data.metrics) == 1001

# What the server refuses is raised where the caller waits, and harms nothing else.
refused = client.log_param(run_id, "lr", 0.2, synchronous=False)
try:
    refused.wait()
    raise AssertionError("a changed param was taken")
except MlflowException as error:
    assert "Changing param values is not allowed" in str(error), error
client.log_param(run_id, "after", 1, synchronous=False).wait()
assert client.get_run(run_id).data.params["lr"] == "0.1" and client.get_run(run_id).data.params["after"] == "1"

# The fluent API in that mode: the end of the run flushes; so do the explicit calls.
mlflow.config.enable_async_logging()
with mlflow.start_run() as active:
    for step in range(300):
        mlflow.log_metrics({"a": step, "b": -step}, step=step)
    mlflow.log_params({"depth": 3})
    mlflow.flush_async_logging()
    assert len(client.get_metric_history(active.info.run_id, "a")) == 300
    mlflow.log_text("asynchronous", "notes/late.txt")
    mlflow.set_tag("last", "yes")
mlflow.flush_trace_async_logging()
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED" and run.data.params["depth"] == "3", run
client_side = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "b")]
assert client_side == [(step, -step) for step in range(300)]
mlflow.flush_async_logging()
mlflow.flush_artifact_async_logging()
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/late.txt") == "asynchronous"
assert client.get_run(run.info.run_id).data.tags["last"] == "yes"
mlflow.config.enable_async_logging(False)


def train(number):
    """One of many threads, each with a run of its own."""
    own = client.create_run(experiment.experiment_id, run_name=f"thread-{number}").info.run_id
    for step in range(100):
        client.log_metric(own, "value", step * number, step=step, synchronous=False)
    last = client.log_param(own, "number", number, synchronous=False)
    last.wait()
    return own


with ThreadPoolExecutor(8) as pool:
    runs = list(pool.map(train, range(8)))
mlflow.flush_async_logging()
for number, own in enumerate(runs):
    points = client.get_metric_history(own, "value")
    assert [(point.step, point.value) for point in points] == [(step, step * number) for step in range(100)], number
print(json.dumps({"ok": True, "mlflow": mlflow.__version__}))
