"""Keras 3: what a fit leaves behind, and that no fault of ours reaches it."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace
import numpy as np
import pytest
from headrace.sdk.autolog import tensorflow as autologging

from tests.unit.sdk.autolog.logged import runs

pytestmark = [
    # TensorFlow and Keras are imported here, and say what they like of each other.
    pytest.mark.filterwarnings("ignore:::(tensorflow|keras|google|numpy|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
FIT_PARAMS = {
    "epochs", "batch_size", "validation_split", "shuffle", "class_weight", "sample_weight", "initial_epoch",
    "steps_per_epoch", "validation_steps", "validation_batch_size", "validation_freq",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    autologging.autolog(disable=True)


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def small(keras: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_fit_logs_its_params_metrics_summary_and_data_to_a_run_of_its_own(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False, extra_tags={"team": "a"})
    history = small(keras).fit(X, Y, epochs=3, batch_size=20, validation_data=(X[:10], Y[:10]), verbose=0)
    [run] = runs(target)
    assert run.status == "FINISHED"
    assert (run.tags["mlflow.autologging"], run.tags["team"]) == ("tensorflow", "a")
    assert run.params.keys() >= FIT_PARAMS | {"opt_name", "opt_learning_rate", "opt_beta_1"}
    assert (run.params["epochs"], run.params["batch_size"]) == ("3", "20")
    assert run.params["opt_name"].startswith("adam")  # Keras counts the optimizers of a process
    assert run.metrics == {key: list(enumerate(values)) for key, values in history.history.items()}
    assert run.metrics.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert run.files.keys() == {"model_summary.txt"}
    assert [context for context, _ in run.inputs] == ["train", "eval"]
    assert '"shape": [-1, 4]' in run.inputs[0][1].schema


def test_a_fit_in_an_active_run_logs_there_and_leaves_it_open(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False)
    with headrace.start_run():
        small(keras).fit(X, Y, verbose=0)
        assert headrace.active_run() is not None
    assert headrace.active_run() is None
    [run] = runs(target)
    assert run.metrics.keys() == {"loss", "accuracy"}
    assert "mlflow.autologging" not in run.tags


def test_exclusive_leaves_the_runs_of_the_program_alone(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False, exclusive=True)
    with headrace.start_run():
        small(keras).fit(X, Y, verbose=0)
    small(keras).fit(X, Y, verbose=0)
    first, second = runs(target)
    assert (first.metrics, first.params) == ({}, {})
    assert second.metrics.keys() == {"loss", "accuracy"}


def test_every_n_steps_alone_is_logged_at_the_iteration_and_beside_epochs_with_a_prefix(
    target: Any, keras: Any
) -> None:
    autologging.autolog(log_models=False, log_every_epoch=False, log_every_n_steps=4)
    small(keras).fit(X, Y, epochs=3, batch_size=20, verbose=0)
    autologging.autolog(log_models=False, every_n_iter=4)
    small(keras).fit(X, Y, epochs=3, batch_size=20, verbose=0)
    steps, both = runs(target)
    assert [step for step, _ in steps.metrics["loss"]] == [4, 8]
    assert [step for step, _ in both.metrics["loss"]] == [0, 1, 2]
    assert [step for step, _ in both.metrics["batch_loss"]] == [4, 8]


def test_steps_go_on_counting_in_a_second_fit_of_a_model(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False, log_every_epoch=False, log_every_n_steps=2)
    model = small(keras)
    with headrace.start_run():
        model.fit(X, Y, batch_size=20, verbose=0)
        model.fit(X, Y, batch_size=20, verbose=0)
    [run] = runs(target)
    assert [step for step, _ in run.metrics["loss"]] == [2, 4, 6]


def test_early_stopping_is_told_with_what_was_restored(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False)
    stop = keras.callbacks.EarlyStopping(monitor="loss", mode="max", patience=2, restore_best_weights=True)
    history = small(keras).fit(X, Y, epochs=20, verbose=0, callbacks=[stop])
    [run] = runs(target)
    assert (run.params["monitor"], run.params["patience"], run.params["restore_best_weights"]) == ("loss", "2", "True")
    assert run.metrics["stopped_epoch"] == [(0, 2.0)]
    assert run.metrics["restored_epoch"] == [(0, 0.0)]
    assert run.metrics["loss"][-1] == (3, history.history["loss"][0])


def test_no_callback_and_no_argument_of_the_program_is_changed(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False)
    seen: list[int] = []
    mine = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))]
    small(keras).fit(X, Y, 60, 2, 0, mine)
    small(keras).fit(X, Y, 60, 2, 0, tuple(mine))
    small(keras).fit(X, Y, 60, 2, 0, mine[0])
    assert len(mine) == 1
    assert seen == [0, 1] * 3
    assert len(runs(target)) == 3


@pytest.mark.parametrize("kind", ["keyword", "tensor", "dataset", "dict", "frame", "generator", "list"])
def test_data_of_any_kind_train_and_are_described(target: Any, keras: Any, kind: str) -> None:
    import pandas as pd
    import tensorflow as tf

    def batches() -> Iterator[Any]:
        for start in range(0, 60, 20):
            yield X[start : start + 20], Y[start : start + 20]

    model = small(keras)
    given: dict[str, Any] = {"x": X, "y": Y}
    if kind == "tensor":
        given = {"x": tf.constant(X), "y": tf.constant(Y)}
    elif kind == "dataset":
        given = {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(15)}
    elif kind == "dict":
        ends = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        model = keras.Model(list(ends), keras.layers.Dense(2, "softmax")(keras.layers.Concatenate()(list(ends))))
        model.compile("adam", "sparse_categorical_crossentropy")
        given = {"x": {"a": X[:, :2], "b": X[:, 2:]}, "y": Y}
    elif kind == "frame":
        given = {"x": pd.DataFrame(X, columns=list("abcd")), "y": pd.Series(Y)}
    elif kind == "generator":
        given = {"x": batches(), "steps_per_epoch": 3}
    elif kind == "list":
        given = {"x": [X], "y": Y}
    autologging.autolog(log_models=False)
    model.fit(**given, epochs=1, verbose=0)
    [run] = runs(target)
    assert run.status == "FINISHED"
    assert "loss" in run.metrics
    if kind != "generator":
        [(context, dataset)] = run.inputs
        assert context == "train"
        assert dataset.schema
    assert run.params["batch_size"] == {"dataset": "15", "generator": "None"}.get(kind, "32")


def test_a_fit_that_raises_ends_its_run_as_failed_and_raises_the_very_error(target: Any, keras: Any) -> None:
    autologging.autolog(log_models=False)

    class Stop(Exception):
        pass

    def stop(epoch: int, logs: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        small(keras).fit(X, Y, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    with pytest.raises(ValueError, match=r"[Cc]ardinality"):
        small(keras).fit(X, Y[:10], verbose=0)
    with headrace.start_run(), pytest.raises(Stop):
        small(keras).fit(X, Y, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert [run.status for run in runs(target)] == ["FAILED", "FAILED", "FINISHED"]


def test_without_tensorboard_the_fit_goes_on_with_one_sentence(
    target: Any, keras: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not there
    autologging.autolog(log_models=False, log_tensorboard=True)
    with caplog.at_level(logging.WARNING, "headrace"):
        small(keras).fit(X, Y, verbose=0)
        small(keras).fit(X, Y, verbose=0)
    assert [record.getMessage() for record in caplog.records] == [
        "TensorBoard's files are not written: tensorboard is not installed"
    ]
    assert all(run.status == "FINISHED" and "loss" in run.metrics for run in runs(target))


def test_tensorboards_files_and_a_checkpoint_are_logged_when_asked_for(target: Any, keras: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    autologging.autolog(log_models=False, log_tensorboard=True, checkpoint=True)
    small(keras).fit(X, Y, epochs=2, verbose=0)
    autologging.autolog(log_models=False)
    old = tmp_path / "board" / "old.txt"
    old.parent.mkdir()
    old.write_text("of another run")
    os.utime(old, (time.time() - 3600,) * 2)
    small(keras).fit(X, Y, verbose=0, callbacks=[keras.callbacks.TensorBoard(str(tmp_path / "board"))])
    asked, own = runs(target)
    assert any(path.startswith("tensorboard_logs/train/events.out") for path in asked.files)
    assert "checkpoints/latest_checkpoint.keras" in asked.files
    assert any(path.startswith("tensorboard_logs/train/events.out") for path in own.files)
    assert "tensorboard_logs/old.txt" not in own.files


def test_a_server_that_is_down_and_a_spool_that_cannot_be_written_do_not_stop_a_fit(tmp_path: Path, keras: Any) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    headrace.init("http://127.0.0.1:9", spool_dir=str(blocked), record_environment=False, exit_timeout_s=0.1)
    autologging.autolog(log_input_examples=True, checkpoint=True)
    assert len(small(keras).fit(X, Y, epochs=2, verbose=0).epoch) == 2
    from headrace.sdk.process import process

    process.close()


def test_disabled_again_keras_is_as_it_was(target: Any, keras: Any) -> None:
    held = "fit" in vars(keras.Model)
    before = keras.Model.fit
    autologging.autolog()
    assert keras.Model.fit is not before
    autologging.autolog(disable=True)
    assert keras.Model.fit is before
    assert ("fit" in vars(keras.Model)) is held
    small(keras).fit(X, Y, verbose=0)
    assert runs(target) == []


def test_a_number_of_steps_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every 1 or more steps"):
        autologging.autolog(log_every_n_steps=0)


def test_an_epoch_costs_the_loop_microseconds(target: Any, keras: Any) -> None:
    """A bound that a busy machine keeps; docs/reference/autolog.md has the figure."""
    from headrace.sdk.autolog.keras_callback import logging_callback

    with headrace.start_run() as run:
        callback = logging_callback(keras.callbacks.Callback, "tensorflow", run.info.run_id, True, None)
        logs = {"loss": 0.1, "accuracy": 0.2, "val_loss": 0.3, "val_accuracy": 0.4}
        began_s = time.process_time()
        for epoch in range(1000):
            callback.on_epoch_end(epoch, logs)
        assert time.process_time() - began_s < 1.0
