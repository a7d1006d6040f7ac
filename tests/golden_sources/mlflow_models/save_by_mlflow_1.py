"""Run by MLflow 1.30.1 with TensorFlow 2.15.1 (Python 3.11, setuptools<66, scikit-learn<1.3): what tests/golden/models holds.

save_by_mlflow_1.py FOLDER: saves each model below the folder, with what it was asked and answered in JSON
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import mlflow
import numpy as np
import pandas as pd
import tensorflow as tf

FOLDER = Path(sys.argv[1]).absolute()
COLUMNS = ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"]
rng = np.random.default_rng(7)
ROWS = rng.normal(3, 1, (40, 4))
LABELS = (ROWS[:, 0] + ROWS[:, 2] > 6).astype(np.int64)
FRAME = pd.DataFrame(ROWS, columns=COLUMNS)
ASKED = FRAME.head(3)


def plain(value):
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, np.ndarray)):
        return [plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def asked(name):
    given = mlflow.pyfunc.load_model(str(FOLDER / name)).predict(ASKED)
    if isinstance(given, pd.DataFrame):
        answer = {str(column): plain(given[column].to_list()) for column in given.columns}
    else:
        answer = plain(given)
    said = {"asked": ASKED.to_dict(orient="list"), "answered": answer}
    (FOLDER / f"{name}.json").write_text(json.dumps(said, indent=1) + "\n")
    for file in ("conda.yaml", "python_env.yaml"):
        (FOLDER / name / file).unlink(missing_ok=True)
    print(name, type(given).__name__, sum(one.stat().st_size for one in (FOLDER / name).rglob("*") if one.is_file()))


def estimator():
    """As in MLflow's example of TensorFlow 2.0: autolog sees the export and logs it."""
    mlflow.tensorflow.autolog(log_model_signatures=False)
    features = [tf.feature_column.numeric_column(name) for name in COLUMNS]
    made = tf.estimator.DNNClassifier(
        hidden_units=[3], feature_columns=features, n_classes=3, model_dir=tempfile.mkdtemp()
    )
    with mlflow.start_run() as run:
        made.train(lambda: tf.data.Dataset.from_tensor_slices((dict(FRAME), LABELS)).batch(10).repeat(), steps=3)
        spec = {name: tf.Variable([], dtype=tf.float64, name=name, shape=tf.TensorShape(None)) for name in COLUMNS}
        made.export_saved_model(tempfile.mkdtemp(), tf.estimator.export.build_raw_serving_input_receiver_fn(spec))
    uri = f"runs:/{run.info.run_id}/model"
    shutil.copytree(mlflow.artifacts.download_artifacts(uri), FOLDER / "estimator")
    mlflow.tensorflow.autolog(disable=True)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"{tempfile.mkdtemp()}/mlruns")
    from sklearn.linear_model import LogisticRegression

    nothing = {"pip_requirements": ["pandas"]}
    mlflow.sklearn.save_model(LogisticRegression().fit(FRAME, LABELS), str(FOLDER / "sklearn"), **nothing)
    asked("sklearn")

    tf.keras.utils.set_random_seed(7)
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "mse")
    importlib.import_module("tensorflow.keras").__version__ = tf.__version__  # as it was in TensorFlow's of MLflow 1.30
    mlflow.keras.save_model(model, str(FOLDER / "keras_h5"), save_format="h5", **nothing)
    asked("keras_h5")
    mlflow.keras.save_model(model, str(FOLDER / "keras_saved_model"), **nothing)
    asked("keras_saved_model")

    class Tripled(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):
            return model_input.sum(axis=1).to_numpy() * 3

    mlflow.pyfunc.save_model(str(FOLDER / "python_function"), python_model=Tripled(), **nothing)
    asked("python_function")

    import xgboost

    trained = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(FRAME, LABELS), 2)
    mlflow.xgboost.save_model(trained, str(FOLDER / "xgboost"), **nothing)
    asked("xgboost")
    estimator()
    asked("estimator")


main()
