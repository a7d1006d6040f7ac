"""A Keras model as one compiled function of arrays: what `keras.Model.predict` gives, without a data pipeline a call.

On TensorFlow the model is traced once, with a free number of rows, so that no number of rows traces it again.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = Any
"""An array, or arrays in the structure the model was built with: a dict by name, or a list."""

ROWS_A_CALL = 4096
"""More rows go through in parts, so that what layers hold in between stays small."""
_TRACES_MAX = 16


def compiled(model: Any) -> Callable[[Any], Arrays]:
    """A function of what pyfunc takes: arrays, lists, a dict of them, a DataFrame, to arrays in the model's structure.

    Text stays text; numbers are cast to what the model takes, as Keras does. A DataFrame is one matrix, or, where the
    model has several inputs, a column for each. The function raises ValueError when an input is missing or has another
    shape than the model's.
    """
    call, inputs = _function(model), _inputs(model)
    if inputs is None:
        return lambda data: _in_parts(call, _free(data))
    bind = _binder(inputs)
    parts = _has_free_rows(inputs)
    return lambda data: _in_parts(call, bind(data)) if parts else call(bind(data))


def input_names(model: Any) -> list[str]:
    """The names of a model's inputs, in its order; empty for a model without inputs of its own."""
    inputs = _inputs(model)
    return [] if inputs is None else [name for name, _ in _leaves(inputs)]


def _inputs(model: Any) -> Any:
    """The symbolic inputs in their structure, or None for a model that was not built from any."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    if any(kind.__name__ == "Sequential" for kind in type(model).__mro__):
        return inputs[0]  # its `input` is that of the layer it is in, if any
    return getattr(model, "input", inputs[0] if len(inputs) == 1 else list(inputs))


def _leaves(inputs: Any) -> list[tuple[str, Any]]:
    if isinstance(inputs, Mapping):
        return list(inputs.items())
    if isinstance(inputs, list | tuple):
        return [(str(one.name), one) for one in inputs]
    return [(str(inputs.name), inputs)]


def _dtype(symbol: Any) -> np.dtype[Any] | None:
    """What numbers are cast to; None for text."""
    name = getattr(symbol.dtype, "name", symbol.dtype)
    return None if name == "string" else np.dtype("float32" if name == "bfloat16" else name)


def _has_free_rows(inputs: Any) -> bool:
    return all(len(symbol.shape) > 0 and symbol.shape[0] is None for _, symbol in _leaves(inputs))


def _binder(inputs: Any) -> Callable[[Any], Arrays]:
    """From what a caller has to arrays in the model's structure."""
    leaves = _leaves(inputs)
    wanted = [(name, _dtype(symbol), tuple(symbol.shape)) for name, symbol in leaves]
    names = [name for name, _ in leaves]
    if isinstance(inputs, Mapping):
        join: Callable[[list[Any]], Arrays] = lambda arrays: dict(zip(names, arrays, strict=True))  # noqa: E731
    elif isinstance(inputs, list | tuple) and len(names) > 1:
        join = list
    else:
        join = lambda arrays: arrays[0] if not isinstance(inputs, list | tuple) else [arrays[0]]  # noqa: E731

    def bind(data: Any) -> Arrays:
        given = _given(data, names)
        return join([_fit(one, *each) for one, each in zip(given, wanted, strict=True)])

    return bind


def _given(data: Any, names: list[str]) -> list[Any]:
    """One value for each input, by name where there are names, else by place."""
    frame = type(data).__name__ == "DataFrame" and hasattr(data, "columns")
    if isinstance(data, Mapping) or (frame and (len(names) > 1 or list(data.columns) == names)):
        lacking = [name for name in names if name not in data]
        if not lacking:
            return [_column(data[name]) for name in names]
        if len(names) > 1 or frame:
            raise ValueError(f"the input lacks {', '.join(lacking)}; the model takes {', '.join(names)}")
        columns = [np.asarray(values) for values in data.values()]
        return [columns[0] if len(columns) == 1 else np.column_stack(columns)]
    if frame:
        return [data.to_numpy()]
    if len(names) == 1:
        one_in_a_list = isinstance(data, list | tuple) and len(data) == 1 and isinstance(data[0], np.ndarray)
        return [data[0] if one_in_a_list else data]
    if not isinstance(data, list | tuple) or len(data) != len(names):
        raise ValueError(f"the model takes {len(names)} inputs, {', '.join(names)}: as a dict, or a list in this order")
    return list(data)


def _column(values: Any) -> Any:
    """A column of scalars, or of lists of one length, as an array."""
    if type(values).__name__ != "Series":
        return values
    array = values.to_numpy()
    return np.array(values.to_list()) if array.dtype.kind == "O" else array


def _fit(value: Any, name: str, dtype: np.dtype[Any] | None, shape: tuple[int | None, ...]) -> Any:
    """An array of the input's dtype and shape. Raises ValueError."""
    array = np.asarray(value)
    if dtype is not None and array.dtype != dtype:
        try:
            array = array.astype(dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the input {name} is of {dtype}, and cannot be made of {array.dtype}: {error}") from None
    if array.ndim == len(shape) - 1 and shape[-1] in (1, None):
        array = array[..., np.newaxis]
    elif array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != len(shape) or any(want not in (None, has) for want, has in zip(shape, array.shape, strict=True)):
        said = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"the input {name} has the shape {array.shape}; the model takes ({said})")
    return array


def _free(data: Any) -> Arrays:
    """Data for a model that says nothing of its inputs: fractions as Keras takes them, all else as it is."""
    if type(data).__name__ == "DataFrame" and hasattr(data, "columns"):
        data = data.to_numpy()
    if isinstance(data, Mapping):
        return {name: _free(_column(one)) for name, one in data.items()}
    if isinstance(data, list | tuple) and any(isinstance(one, np.ndarray) for one in data):
        return [_free(one) for one in data]
    array = np.asarray(data)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _in_parts(call: Callable[[Arrays], Arrays], data: Arrays) -> Arrays:
    rows = _rows(data)
    if rows <= ROWS_A_CALL:
        return call(data)
    starts = range(0, rows, ROWS_A_CALL)
    return _joined([call(_map(data, operator.itemgetter(slice(at, at + ROWS_A_CALL)))) for at in starts])


def _rows(data: Arrays) -> int:
    if isinstance(data, Mapping):
        data = next(iter(data.values()))
    elif isinstance(data, list | tuple):
        data = data[0]
    return len(data) if getattr(data, "ndim", 0) else 1


def _joined(parts: list[Arrays]) -> Arrays:
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, list | tuple):
        return [_joined([part[at] for part in parts]) for at in range(len(first))]
    return np.concatenate(parts)


def _map(data: Arrays, function: Callable[[Any], Any]) -> Arrays:
    if isinstance(data, Mapping):
        return {name: _map(one, function) for name, one in data.items()}
    if isinstance(data, list | tuple):
        return [_map(one, function) for one in data]
    return function(data)


def _function(model: Any) -> Callable[[Arrays], Arrays]:
    """The model, of arrays in its structure and already cast."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not _runs_on_tensorflow():
        return lambda arrays: model.predict(arrays, verbose=0)
    traced = _Traced(tensorflow, model)
    inputs = _inputs(model)
    if inputs is not None:
        traced.warm(inputs)
    return traced


def _runs_on_tensorflow() -> bool:
    keras = sys.modules.get("keras")
    return keras is None or not hasattr(keras, "backend") or keras.backend.backend() == "tensorflow"


class _Traced:
    """The model as concrete functions: one for each kind of input; a model with inputs of its own has one kind."""

    def __init__(self, tensorflow: Any, model: Any) -> None:
        self._tf = tensorflow
        self._model = model
        self._functions: dict[Any, Callable[[Any], Any]] = {}

    def __call__(self, arrays: Arrays) -> Arrays:
        tensors = _map(arrays, self._tf.constant)
        kind = _kind(arrays)
        function = self._functions.get(kind)
        if function is None:
            function = self._trace(_map(arrays, lambda one: self._spec(one.shape, one.dtype)), kind)
        return _map(function(tensors), _numpy)

    def warm(self, inputs: Any) -> None:
        """Trace and run it on one row of zeros, so that the first request does not wait."""

        def zero(symbol: Any) -> Any:
            dtype = _dtype(symbol)
            return (
                np.zeros([length or 1 for length in symbol.shape], dtype or object)
                if dtype
                else np.full([length or 1 for length in symbol.shape], "")
            )

        try:
            self(_map(inputs, zero))
        except self._tf.errors.OpError:
            pass  # zeros are no input of this model's; what is, will tell

    def _spec(self, shape: tuple[int, ...], dtype: Any) -> Any:
        kind = self._tf.string if dtype.kind in "USO" else self._tf.as_dtype(dtype)
        return self._tf.TensorSpec((None, *shape[1:]) if shape else (), kind)

    def _trace(self, specs: Any, kind: Any) -> Callable[[Any], Any]:
        model = self._model
        made: Callable[[Any], Any]
        function = self._tf.function(lambda inputs: model(inputs, training=False), autograph=False)
        try:
            made = function.get_concrete_function(specs)
        except Exception:  # a layer that is Python code: it runs as it is
            made = lambda inputs: model(inputs, training=False)  # noqa: E731
        if len(self._functions) >= _TRACES_MAX:
            self._functions.pop(next(iter(self._functions)))
        self._functions[kind] = made
        return made


def _kind(arrays: Arrays) -> Any:
    if isinstance(arrays, Mapping):
        return tuple((name, _kind(one)) for name, one in arrays.items())
    if isinstance(arrays, list | tuple):
        return tuple(_kind(one) for one in arrays)
    return arrays.dtype.kind if arrays.dtype.kind in "USO" else arrays.dtype.str, arrays.shape[1:]


def _numpy(tensor: Any) -> Any:
    return tensor.numpy() if hasattr(tensor, "numpy") else tensor
