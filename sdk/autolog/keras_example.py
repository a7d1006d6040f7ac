"""A few rows like those a Keras model was fitted to, and its answer to them: both tell its signature."""

from __future__ import annotations

from collections.abc import Mapping
from types import GeneratorType
from typing import Any

from headrace.sdk.autolog.inputs import is_dataset, rows_of


def example_of(x: Any, first_batch: Any, real: bool) -> Any:
    """A few rows like those the model was fitted to, or None. real: zeros will not do."""
    if isinstance(x, GeneratorType):
        return None if first_batch is None else rows_of(_features(first_batch))
    if is_dataset(x):
        if real:
            return rows_of(_features(next(iter(x.take(1)))))
        return _zeros_like(_features(x.element_spec))
    if hasattr(x, "__getitem__") and callable(getattr(x, "on_epoch_end", None)):  # keras.utils.PyDataset
        return rows_of(_features(x[0]))
    if isinstance(x, list | tuple) and x and hasattr(x[0], "shape"):
        return [rows_of(one) for one in x]
    return rows_of(x)


def _features(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) else batch


def _zeros_like(spec: Any) -> Any:
    """One batch of a tf.data.Dataset, by its spec, without drawing from it; a size that varies is 1."""
    import numpy as np

    if isinstance(spec, Mapping):
        return {str(key): _zeros_like(one) for key, one in spec.items()}
    return np.zeros([size or 1 for size in spec.shape.as_list()], spec.dtype.as_numpy_dtype)


def output_of(model: Any, example: Any) -> Any:
    """What the model answers to an example, as numpy arrays. `predict` would build a pipeline of data for it."""
    given = example.to_numpy() if hasattr(example, "to_numpy") else example
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    answer = model(given, training=False)
    if isinstance(answer, Mapping):
        return {str(key): _array(one) for key, one in answer.items()}
    if isinstance(answer, list | tuple):
        names = getattr(model, "output_names", None) or [f"output_{place}" for place in range(len(answer))]
        return {str(name): _array(one) for name, one in zip(names, answer, strict=False)}
    return _array(answer)


def _array(tensor: Any) -> Any:
    """A tensor of any of Keras's backends as a numpy array."""
    import numpy as np

    return np.asarray(tensor.detach().cpu() if hasattr(tensor, "detach") else tensor)
