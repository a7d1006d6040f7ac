"""Keras 3 on TensorFlow: autolog's params, history by epoch, the model; a model logged by hand in each flavor."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import mlflow
import numpy as np
import tensorflow as tf
from mlflow import MlflowClient
from mlflow.models import infer_signature

client = MlflowClient()
mlflow.set_experiment("keras")
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
x = random.normal(size=(128, 4)).astype("float32")
y = (x[:, 0] > 0).astype("float32")


def build():
    """A network of two layers, compiled."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    return model


mlflow.tensorflow.autolog()
with mlflow.start_run() as active:
    model = build()
    model.fit(x, y, batch_size=32, epochs=4, validation_split=0.25, verbose=0)
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED"
assert run.data.params["epochs"] == "4" and run.data.params["batch_size"] == "32", run.data.params
for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
    key = key if key in run.data.metrics else f"validation_{key.removeprefix('val_')}"
    assert [point.step for point in client.get_metric_history(run.info.run_id, key)] == [0, 1, 2, 3], key
paths = {file.path for file in client.list_artifacts(run.info.run_id)}
assert "model_summary.txt" in paths, paths
assert "Total params" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/model_summary.txt")
[output] = run.outputs.model_outputs
loaded = mlflow.tensorflow.load_model(f"models:/{output.model_id}")
assert np.allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
assert np.allclose(mlflow.pyfunc.load_model(f"models:/{output.model_id}").predict(x), model.predict(x, verbose=0))
mlflow.tensorflow.autolog(disable=True)

# Keras' own callback, every two batches.
with mlflow.start_run() as active:
    build().fit(
        x,
        y,
        batch_size=16,
        epochs=2,
        verbose=0,
        callbacks=[mlflow.keras.MlflowCallback(log_every_epoch=False, log_every_n_steps=2)],
    )
run = client.get_run(active.info.run_id)
steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
assert len(steps) == 8 and steps == sorted(set(steps)), steps
assert float(run.data.params["optimizer_learning_rate"]) == np.float32(0.01), run.data.params


class Doubling(tf.Module):
    """A SavedModel without Keras."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def __call__(self, values):
        return values * 2.0


with mlflow.start_run():
    given = np.array([[1.0, 2.0]], dtype="float32")
    saved = mlflow.tensorflow.log_model(Doubling(), name="doubling", signature=infer_signature(given, given * 2))
answer = mlflow.pyfunc.load_model(saved.model_uri).predict(given)
assert np.asarray(answer).tolist() == [[2.0, 4.0]], answer
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}))
