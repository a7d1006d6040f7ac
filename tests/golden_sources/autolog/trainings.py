"""Small trainings of each library, that know of no logging: stock MLflow and headrace log the same ones."""

from __future__ import annotations

import numpy as np

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 4)).astype("float32")
LABELS = (X[:, 0] + 0.5 * RANDOM.normal(size=80) > 0).astype("int64")
TARGETS = X @ np.array([1.0, 2.0, 3.0, 4.0])


def keras_model():
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def keras_fit():
    keras_model().fit(X, LABELS, batch_size=20, epochs=3, validation_data=(X[:20], LABELS[:20]), verbose=0)


def keras_early_stopping():
    import keras

    stop = keras.callbacks.EarlyStopping(monitor="loss", mode="max", patience=2, restore_best_weights=True)
    keras_model().fit(X, LABELS, batch_size=20, epochs=9, callbacks=[stop], verbose=0)


def sklearn_classifier():
    from sklearn.linear_model import LogisticRegression

    LogisticRegression(C=2.0).fit(X, LABELS)


def sklearn_regressor():
    from sklearn.linear_model import LinearRegression

    LinearRegression().fit(X, TARGETS)


def sklearn_pipeline():
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS)
    X_test, y_test = X[:30].copy(), LABELS[:30]
    predicted = model.predict(X_test)
    metrics.accuracy_score(y_test, predicted)
    metrics.accuracy_score(y_test, predicted, normalize=False)
    metrics.f1_score(y_true=y_test, y_pred=predicted)
    model.score(X_test, y_test)


def sklearn_search():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0, 2.0]}, cv=2).fit(X, LABELS)


def xgboost_train():
    import xgboost

    data, held = xgboost.DMatrix(X, LABELS), xgboost.DMatrix(X[:40], 1 - LABELS[:40])
    params = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
    xgboost.train(params, data, 6, evals=[(data, "train"), (held, "held")], early_stopping_rounds=2, verbose_eval=False)


def xgboost_estimator():
    import xgboost

    xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(X, LABELS, eval_set=[(X, LABELS)], verbose=False)


def lightgbm_train():
    import lightgbm

    data = lightgbm.Dataset(X, LABELS)
    held = lightgbm.Dataset(X[:40], 1 - LABELS[:40], reference=data)
    params = {"objective": "binary", "max_depth": 2, "verbose": -1, "num_threads": 1}
    stop = lightgbm.early_stopping(2, verbose=False)
    lightgbm.train(params, data, 6, valid_sets=[held], valid_names=["held"], callbacks=[stop])


def lightgbm_estimator():
    import lightgbm

    lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1).fit(X, LABELS, eval_X=(X,), eval_y=(LABELS,))


TRAININGS = {
    "tensorflow": (keras_fit, keras_early_stopping),
    "sklearn": (sklearn_classifier, sklearn_regressor, sklearn_pipeline, sklearn_search),
    "xgboost": (xgboost_train, xgboost_estimator),
    "lightgbm": (lightgbm_train, lightgbm_estimator),
}
"""By the flavor whose autolog is on."""
