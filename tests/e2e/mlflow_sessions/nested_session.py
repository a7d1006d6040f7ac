"""One of several clients that log nested runs at once; prints its runs' ids as JSON."""

import json
import sys

import mlflow

mlflow.set_experiment("together")
ids = []
with mlflow.start_run(run_name=f"parent {sys.argv[1]}") as parent:
    ids.append(parent.info.run_id)
    for child in range(3):
        with mlflow.start_run(run_name=f"child {child}", nested=True) as run:
            ids.append(run.info.run_id)
            for step in range(100):
                mlflow.log_metric("m", float(step), step=step)
    for step in range(100):
        mlflow.log_metric("m", float(step), step=step)
print(json.dumps(ids))
