"""scikit-learn's autolog: a pipeline, a grid search with its child runs, metrics computed after the fit."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json

import mlflow
import numpy as np
import sklearn
import sklearn.metrics
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

client = MlflowClient()
experiment = mlflow.set_experiment("scikit-learn")
mlflow.sklearn.autolog(log_input_examples=True, max_tuning_runs=3)
x, y = load_iris(return_X_y=True, as_frame=True)

with mlflow.start_run() as active:
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=200, C=0.5))]).fit(x, y)
    predicted = pipeline.predict(x)
    f1 = sklearn.metrics.f1_score(y, predicted, average="macro")  # Recorded under the name of the data predicted on.
    pipeline.score(x, y)
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED"
assert run.data.params["classify__C"] == "0.5" and run.data.params["scale__with_mean"] == "True", run.data.params
assert run.data.params["steps"].startswith("[('scale', StandardScaler()), ('classify', LogisticRegression("), (
    run.data.params
)
assert run.data.tags["estimator_name"] == "Pipeline" and run.data.tags["estimator_class"] == "sklearn.pipeline.Pipeline"
assert run.data.metrics["training_score"] == run.data.metrics["training_accuracy_score"] == np.mean(predicted == y)
assert run.data.metrics["f1_score_x"] == f1, run.data.metrics
assert run.data.metrics["Pipeline_score_x"] == run.data.metrics["training_score"]
paths = {file.path for file in client.list_artifacts(run.info.run_id)}
assert {"estimator.html", "training_confusion_matrix.png", "metric_info.json"} <= paths, paths
assert "LogisticRegression" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/estimator.html")
# The same data, logged for training and again for evaluation, is one input.
[dataset] = run.inputs.dataset_inputs
assert dataset.dataset.name == "dataset", dataset
[output] = run.outputs.model_outputs
loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
assert np.array_equal(loaded.predict(x), predicted) and loaded.input_example.shape == (5, 4)
assert [column.name for column in loaded.metadata.signature.inputs] == list(x.columns)

with mlflow.start_run() as active:
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3, 4], "min_samples_leaf": [1, 5]}, cv=3
    )
    search.fit(x, y)
parent = client.get_run(active.info.run_id)
assert parent.data.params["best_max_depth"] == str(search.best_params_["max_depth"]), parent.data.params
assert parent.data.metrics["best_cv_score"] == search.best_score_
paths = {file.path for file in client.list_artifacts(parent.info.run_id)}
assert "cv_results.csv" in paths, paths
assert len(mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/cv_results.csv").strip().splitlines()) == 1 + 8
children = client.search_runs(
    [experiment.experiment_id],
    f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
    order_by=["metrics.mean_test_score DESC"],
)
assert len(children) == 3, [child.info.run_name for child in children]
scores = sorted(search.cv_results_["mean_test_score"], reverse=True)[:3]
assert [child.data.metrics["mean_test_score"] for child in children] == scores
assert all(child.info.status == "FINISHED" for child in children)
assert {child.data.params["min_samples_leaf"] for child in children} <= {"1", "5"}
assert {"model", "best_estimator"} == {
    client.get_logged_model(output.model_id).name for output in parent.outputs.model_outputs
}, parent.outputs
best = mlflow.sklearn.load_model(f"runs:/{parent.info.run_id}/best_estimator")
assert np.array_equal(best.predict(x), search.predict(x))
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "sklearn": sklearn.__version__}))
