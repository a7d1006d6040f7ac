"""A small trained model of every flavor, with the data to ask it, made alike by stock MLflow's side and by ours."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
rng = np.random.default_rng(7)
ROWS = rng.normal(3, 1, (40, 4))
LABELS = (ROWS[:, 0] + ROWS[:, 2] > 6).astype(np.int64)
FRAME = pd.DataFrame(ROWS, columns=COLUMNS)
ASKED = FRAME.head(5)


def sklearn():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(FRAME, LABELS)


def xgboost(kind):
    import xgboost

    if kind == "booster":
        return xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(FRAME, LABELS), 3)
    return xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(FRAME, LABELS)


def lightgbm(kind):
    import lightgbm

    told = {"num_leaves": 3, "min_data_in_leaf": 2, "num_threads": 1, "verbose": -1, "objective": "binary"}
    if kind == "booster":
        return lightgbm.train(told, lightgbm.Dataset(FRAME, LABELS), 3)
    return lightgbm.LGBMClassifier(n_estimators=3, num_leaves=3, n_jobs=1, verbose=-1, min_child_samples=2).fit(
        FRAME, LABELS
    )


def catboost(kind):
    import catboost

    told = {"iterations": 3, "depth": 2, "verbose": False, "thread_count": 1, "allow_writing_files": False}
    if kind == "classifier":
        return catboost.CatBoostClassifier(**told).fit(FRAME, LABELS)
    return catboost.CatBoostRegressor(**told).fit(FRAME, ROWS[:, 0])


def onnx():
    from skl2onnx import to_onnx

    return to_onnx(sklearn(), ROWS[:1].astype(np.float32), options={"zipmap": False})


def statsmodels(kind):
    if kind == "ols":
        import statsmodels.formula.api as smf

        return smf.ols("petal_width ~ sepal_length + petal_length", FRAME).fit()
    from statsmodels.tsa.arima.model import ARIMA

    return ARIMA(ROWS[:, 0], order=(1, 0, 0)).fit()


def keras(kind="plain"):
    import keras

    keras.utils.set_random_seed(7)
    if kind == "plain":
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(3, "softmax")])
    if kind == "named":
        length, width = keras.Input((1,), name="length"), keras.Input((1,), name="width")
        both = keras.layers.Concatenate()([length, width])
        return keras.Model(
            {"length": length, "width": width},
            {"area": keras.layers.Dense(1)(both), "sum": keras.layers.Dense(2)(both)},
        )
    if kind == "custom":

        class Doubled(keras.layers.Layer):
            def call(self, inputs):
                return inputs * 2

        return keras.Sequential([keras.Input((4,)), Doubled(), keras.layers.Dense(2)]), {"Doubled": Doubled}
    inputs = keras.Input((6, 6, 1))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(inputs))))


def module():
    import tensorflow as tf

    class Affine(tf.Module):
        def __init__(self):
            self.weights = tf.Variable([[2.0], [1.0], [0.5], [-1.0]])

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
        def __call__(self, rows):
            return rows @ self.weights + 1.0

    return Affine()


def asked(name):
    """What a model is asked with."""
    rows = ROWS[:5].astype(np.float32)
    if name.startswith(("keras_named", "tensorflow_named")):
        return {"length": rows[:, :1], "width": rows[:, 1:2]}
    if name.startswith(("keras_image", "tensorflow_image")):
        return np.resize(rows, (5, 6, 6, 1))
    if name.startswith(("keras", "tensorflow", "onnx")) and "estimator" not in name:
        return rows
    if name.startswith("statsmodels_series"):
        return pd.DataFrame({"start": [40], "end": [44]})
    return ASKED
