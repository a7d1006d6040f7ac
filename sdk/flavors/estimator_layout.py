"""A Keras classifier in the layout of `tf.estimator.DNNClassifier`'s exports: a DataFrame in, a DataFrame out.

The outputs have the names that the estimator gave them: logits, probabilities, class_ids, classes (as text),
all_class_ids, all_classes. MLflow has read this layout since its first TensorFlow flavor and does so today.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headrace.sdk.flavors import keras_files
from headrace.sdk.flavors.compiled import input_names
from headrace.sdk.flavors.flavor import need


def write_estimator_layout(
    model: Any, target: Path, columns: Sequence[str] | None, classes: Sequence[Any] | None, example: Any
) -> None:
    """Write the SavedModel, its one signature named `predict`.

    model: a Keras model of one matrix, or of one column an input; its output is (rows, classes): probabilities where
    its last layer is a softmax, else logits; or (rows, 1), the probability or the logit of the second of two classes.
    columns: the features' names in order; by default those of the example, a DataFrame, else those of the inputs. The
    columns are float64, as numbers are in a DataFrame, or as the example has them. Raises ValueError.
    """
    tensorflow = need("tensorflow", ("tensorflow",))
    if not keras_files.is_keras(model):
        raise ValueError(
            "the estimator layout is made of a Keras model; a SavedModel that has it is given as SavedModel"
        )
    frame = example if hasattr(example, "columns") else None
    names = list(columns or (frame.columns if frame is not None else input_names(model)))
    specs = {}
    for name in names:
        held = frame[name].dtype if frame is not None and name in frame.columns else None
        kind = tensorflow.float64 if held is None else _dtype(tensorflow, held)
        specs[str(name)] = tensorflow.TensorSpec([None], kind, name=str(name))
    _check(model, names)
    function = tensorflow.function(_predict(tensorflow, model, names, classes), input_signature=None, autograph=False)
    module = tensorflow.Module()
    module.model = model
    module.predict = function
    tensorflow.saved_model.save(module, str(target), signatures={"predict": function.get_concrete_function(**specs)})


def _dtype(tensorflow: Any, held: Any) -> Any:
    return tensorflow.string if getattr(held, "kind", "O") not in "biuf" else tensorflow.as_dtype(held)


def _check(model: Any, names: list[Any]) -> None:
    inputs = model.inputs
    wide = inputs[0].shape[-1] if len(inputs) == 1 and len(inputs[0].shape) == 2 else len(inputs)
    if wide not in (None, len(names)):
        raise ValueError(f"the model takes {wide} features, and {len(names)} columns are named: {names}")


def _predict(tf: Any, model: Any, names: list[Any], classes: Sequence[Any] | None) -> Callable[..., dict[str, Any]]:
    """The function of named columns, each (rows,), to the estimator's outputs."""
    one_matrix = len(model.inputs) == 1

    def features(values: dict[str, Any]) -> Any:
        if one_matrix:
            return tf.stack([tf.cast(values[str(name)], model.inputs[0].dtype) for name in names], axis=1)
        columns = [tf.cast(values[str(name)], tensor.dtype) for name, tensor in zip(names, model.inputs, strict=True)]
        columns = [column[:, tf.newaxis] for column in columns]
        return dict(zip(names, columns, strict=True)) if isinstance(model.input, dict) else columns

    def predict(**values: Any) -> dict[str, Any]:
        given = model(features(values), training=False)
        logits, probabilities = _both(tf, model, given)
        count = given.shape[-1] if given.shape[-1] != 1 else 2
        labels = [str(one) for one in (classes if classes is not None else range(count))]
        if len(labels) != count:
            raise ValueError(f"the model tells {count} classes, and {len(labels)} are named: {labels}")
        ids = tf.argmax(probabilities, axis=1)[:, tf.newaxis]
        rows = tf.shape(probabilities)[0]
        texts = tf.constant(labels)
        return {
            "logits": logits,
            "probabilities": probabilities,
            "class_ids": ids,
            "classes": tf.gather(texts, ids),
            "all_class_ids": tf.tile(tf.range(count)[tf.newaxis, :], [rows, 1]),
            "all_classes": tf.tile(texts[tf.newaxis, :], [rows, 1]),
        }

    return predict


def _both(tf: Any, model: Any, given: Any) -> tuple[Any, Any]:
    """Logits and probabilities of what the last layer gives."""
    last = getattr(getattr(model.layers[-1], "activation", None), "__name__", "")
    if given.shape[-1] == 1:
        logits = tf.math.log(given) - tf.math.log1p(-given) if last == "sigmoid" else given
        second = given if last == "sigmoid" else tf.sigmoid(given)
        return logits, tf.concat([1 - second, second], axis=1)
    if last == "softmax":
        return tf.math.log(given), given
    return given, tf.nn.softmax(given)
