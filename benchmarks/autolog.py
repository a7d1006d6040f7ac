"""What autolog costs a Keras fit: `python -m benchmarks.autolog`. All figures are processor time, in seconds.

The callback's share of the loop is measured in its own thread; the fits beside it, with autolog and without, tell
whether anything else costs. Iris, two layers of ten, batches of 32, validation each epoch, 200 epochs.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.update({"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"})

import headrace
import keras
from headrace.sdk.autolog.keras_callback import logging_callback
from headrace.sdk.autolog.keras_example import output_of
from headrace.sdk.autolog.session import Options
from headrace.sdk.autolog.trained import log_trained
from sklearn.datasets import load_iris

EPOCHS = 200
X, Y = load_iris(return_X_y=True)


def classifier() -> Any:
    """A classifier that has been fitted once, so that nothing is compiled while it is measured."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(10, "relu"), keras.layers.Dense(10, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted(model, epochs=1)
    return model


def fitted(model: Any, epochs: int = EPOCHS, **more: Any) -> float:
    """What a fit took."""
    began_s = time.process_time()
    model.fit(X, Y, epochs=epochs, batch_size=32, verbose=0, validation_data=(X, Y), **more)
    return time.process_time() - began_s


def timed(callback: Any, spent_s: list[float]) -> Any:
    """The callback; what its methods take is added to the first of spent_s."""

    def around(method: Callable[..., None]) -> Callable[..., None]:
        def measured(*args: Any, **kwargs: Any) -> None:
            began_s = time.thread_time()
            method(*args, **kwargs)
            spent_s[0] += time.thread_time() - began_s

        return measured

    for name in ("on_epoch_begin", "on_train_batch_end", "on_epoch_end"):
        setattr(callback, name, around(getattr(callback, name)))
    return callback


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        headrace.init(f"{folder}/data", spool_dir=f"{folder}/spool", record_environment=False)
        model = classifier()
        plain_s = fitted(model)
        with headrace.start_run() as run:
            spent_s = [0.0]
            callback = logging_callback(keras.callbacks.Callback, "tensorflow", run.info.run_id, True, 100)
            fitted(model, callbacks=[timed(callback, spent_s)])
            logged_s = []
            for _ in range(3):
                began_s = time.process_time()
                output = output_of(model, X[:5])
                log_trained(model, "tensorflow", run.info.run_id, Options(), example=X[:5], output=output)
                logged_s.append(time.process_time() - began_s)
        headrace.autolog()
        whole_s = fitted(model)
        headrace.autolog(disable=True)
        print(f"fit without logging {plain_s:.2f}; with autolog, the model included, {whole_s:.2f}")
        print(f"the callback in the loop {spent_s[0]:.3f}, {spent_s[0] / plain_s:.2%} of the fit")
        print("logging the model", ", ".join(f"{one:.2f}" for one in logged_s))
        headrace.flush()


if __name__ == "__main__":
    main()
