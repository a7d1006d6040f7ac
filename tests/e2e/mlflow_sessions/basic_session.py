"""What an MlflowClient of any version does by hand; prints the run's id. Works with mlflow-skinny."""

import pathlib

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

client = MlflowClient()
experiment_id = client.create_experiment("by an older client")
run_id = client.create_run(experiment_id, run_name="old").info.run_id
client.log_batch(run_id, [Metric("m", float(i), i, i) for i in range(500)], [Param("p", "1")], [RunTag("t", "2")])
pathlib.Path("note.txt").write_text("kept")
client.log_artifact(run_id, "note.txt", "notes")
client.set_terminated(run_id)
[found] = client.search_runs([experiment_id], "params.p = '1' and metrics.m > 400")
assert found.info.run_id == run_id
assert found.info.status == "FINISHED"
assert found.data.tags["t"] == "2"
assert [file.path for file in client.list_artifacts(run_id, "notes")] == ["notes/note.txt"]
pathlib.Path("back").mkdir()
assert pathlib.Path(client.download_artifacts(run_id, "notes/note.txt", "back")).read_text() == "kept"
assert len(client.get_metric_history(run_id, "m")) == 500
print(run_id)
