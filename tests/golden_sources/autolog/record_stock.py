"""Writes what stock MLflow's autolog logs of each training, by name, to stock.json beside this file.

Run it with the interpreter of `tests/environments.stock_mlflow` (MLflow 3.17.2 with the frameworks, tensorboard beside):
PYTHONPATH=. python tests/golden_sources/autolog/record_stock.py
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import mlflow
from trainings import TRAININGS


def told(client, run):
    """What a run holds, by name. Metrics: the steps of each."""
    files = []
    folders = [""]
    while folders:
        for one in client.list_artifacts(run.info.run_id, folders.pop()):
            (folders if one.is_dir else files).append(one.path)
    return {
        "status": run.info.status,
        "params": dict(sorted(run.data.params.items())),
        "metrics": {
            key: sorted(point.step for point in client.get_metric_history(run.info.run_id, key))
            for key in sorted(run.data.metrics)
        },
        "tags": {
            key: value
            for key, value in sorted(run.data.tags.items())
            if not key.startswith("mlflow.") or key == "mlflow.autologging"
        },
        "files": sorted(files),
        "inputs": sorted(
            next(tag.value for tag in one.tags if tag.key == "mlflow.data.context") for one in run.inputs.dataset_inputs
        ),
        "models": len(run.outputs.model_outputs) if run.outputs else 0,
    }


def main():
    found = {}
    mlflow.set_tracking_uri("sqlite:///" + os.path.join(tempfile.mkdtemp(), "mlflow.db"))
    os.chdir(tempfile.mkdtemp())
    client = mlflow.MlflowClient()
    for flavor, trainings in TRAININGS.items():
        autolog = importlib.import_module(f"mlflow.{flavor}").autolog
        for training in trainings:
            experiment = mlflow.set_experiment(training.__name__)
            autolog()
            training()
            autolog(disable=True)
            runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
            parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
            children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
            found[training.__name__] = {
                "runs": [told(client, run) for run in parents],
                "children": len(children),
                "child": told(client, children[0]) if children else None,
            }
            print(training.__name__, len(runs), flush=True)
    (HERE / "stock.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
