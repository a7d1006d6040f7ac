"""The seed's example on the last TensorFlow with estimators, and its Keras twin on today's, against one server."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris

from tests.e2e.conftest import Server
from tests.environments import tensorflow_2_15

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EXAMPLES = Path(__file__).parents[2] / "examples"
ANSWER = "answers with all_class_ids all_classes class_ids classes logits probabilities"
SCALARS = {f"dnn/{layer}/fraction_of_zero_values" for layer in ("hiddenlayer_0", "hiddenlayer_1", "logits")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("autolog") / "data").start()
    yield server
    server.close()


def run_example(server: Server, python: Path | str, name: str, home: Path, *arguments: str) -> tuple[str, Any]:
    """What an example printed, and the one run it made in an experiment of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_", "PYTHON", "VIRTUAL_"))}
    told = {
        "HEADRACE_TRACKING_URI": server.url,
        "HEADRACE_EXPERIMENT_NAME": name,
        "HEADRACE_SPOOL_DIR": str(home / "spool"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [str(python), "train_predict.py", *arguments],
        cwd=EXAMPLES / name,
        env={**kept, **told},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-6000:])
    assert "was not logged" not in done.stderr, done.stderr[-6000:]
    experiment = server.get("/api/2.0/mlflow/experiments/get-by-name", experiment_name=name)["experiment"]
    [run] = server.post("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    return done.stdout, run


def steps(server: Server, run: Any, key: str) -> list[int]:
    """The steps of a metric."""
    found = server.get("/api/2.0/mlflow/metrics/get-history", run_id=run["info"]["run_id"], metric_key=key)
    return [int(point["step"]) for point in found["metrics"]]


def files(server: Server, run: Any) -> set[str]:
    """The files and folders at the top of the run's artifacts."""
    found = server.get("/api/2.0/mlflow/artifacts/list", run_id=run["info"]["run_id"])
    return {one["path"] for one in found.get("files", ())}


def iris_below(home: Path) -> None:
    """The two files that TensorFlow's tutorial downloads, where its cache looks for them."""
    data = load_iris()
    rows = [",".join(map(str, [*map(float, x), y])) for x, y in zip(data.data, data.target, strict=True)]
    random.Random(0).shuffle(rows)
    folder = home / ".keras" / "datasets"
    folder.mkdir(parents=True)
    for name, part in (("iris_training", rows[:120]), ("iris_test", rows[120:])):
        lines = [f"{len(part)},4,setosa,versicolor,virginica", *part]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def test_the_estimator_logs_what_mlflow_1_logged_and_loads_back(
    place: Server, tmp_path: Path, missing: Callable[[str], None]
) -> None:
    python = tensorflow_2_15(missing)
    iris_below(tmp_path)
    printed, run = run_example(place, python, "tensorflow_estimator", tmp_path, "--train_steps=250")
    assert run["info"]["status"] == "FINISHED"
    params = {one["key"]: one["value"] for one in run["data"]["params"]}
    assert {"batch_size": "100", "train_steps": "250", "steps": "250"}.items() <= params.items()
    for key in SCALARS:
        assert steps(place, run, key) == [1, 101, 201]
    assert steps(place, run, "loss") == [1, 101, 201, 250]
    assert steps(place, run, "global_step/sec") == [101, 201]
    assert steps(place, run, "accuracy") == steps(place, run, "average_loss") == [250]
    assert "tensorboard_logs" in files(place, run)
    assert ANSWER in printed
    pairs = [line.split() for line in printed.splitlines() if line.startswith("Original prediction")]
    assert len(pairs) == 3
    assert all(words[3].rstrip(",") == words[-1] for words in pairs)
    [output] = run["outputs"]["model_outputs"]
    model = place.get(f"/api/2.0/mlflow/logged-models/{output['model_id']}")["model"]
    assert (model["info"]["name"], model["info"]["status"]) == ("model", "LOGGED_MODEL_READY")


def test_the_keras_twin_logs_its_fit_and_answers_as_an_estimator_does(place: Server, tmp_path: Path) -> None:
    printed, run = run_example(place, sys.executable, "tensorflow_keras", tmp_path, "--train_steps=100")
    assert run["info"]["status"] == "FINISHED"
    params = {one["key"]: one["value"] for one in run["data"]["params"]}
    assert {"epochs": "50", "batch_size": "100", "opt_name": "adam"}.items() <= params.items()
    assert steps(place, run, "loss") == list(range(50))
    assert steps(place, run, "batch_loss") == [100]
    assert "model_summary.txt" in files(place, run)
    assert ANSWER in printed
    pairs = [line.split() for line in printed.splitlines() if line.startswith("Original prediction")]
    assert len(pairs) == 3
    assert all(words[3].rstrip(",") == words[-1] for words in pairs)
    assert len(run["outputs"]["model_outputs"]) == 2


KERAS_2 = """
import sys
import numpy as np, headrace, headrace.pyfunc, headrace.tensorflow
headrace.init(sys.argv[1], spool_dir=sys.argv[2], record_environment=False)
headrace.tensorflow.autolog()
import tensorflow as tf
X, Y = np.eye(4, dtype="float32"), np.arange(4) % 2
model = tf.keras.Sequential([tf.keras.layers.Dense(2, "softmax", input_shape=(4,))])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x=X, y=Y, epochs=3, verbose=0)
headrace.flush()
[folder] = __import__("pathlib").Path(sys.argv[1]).glob("artifacts/*/models/*/artifacts")
difference = abs(headrace.pyfunc.load_model(folder).predict(X) - model.predict(X, verbose=0)).max()
assert difference < 1e-6, difference
"""


def test_keras_2_of_that_tensorflow_is_logged_too(tmp_path: Path, missing: Callable[[str], None]) -> None:
    done = subprocess.run(
        [str(tensorflow_2_15(missing)), "-c", KERAS_2, str(tmp_path / "data"), str(tmp_path / "spool")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert "was not logged" not in done.stderr
