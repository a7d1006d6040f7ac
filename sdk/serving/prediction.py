"""From what was read of requests to the bytes of their answers: binding, the model, and its answer's encoding."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from headrace.sdk.flavors import known
from headrace.sdk.models.enforcement import SchemaMismatch
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.models.schema import TensorSpec
from headrace.sdk.serving import answers, binding, bodies, content, faults, tables
from headrace.sdk.serving.faults import Answer, Refused
from headrace.sdk.serving.quick import Rows, check_shape, reader

logger = logging.getLogger("headrace.serving")

_JSON = (faults.JSON_TYPE,)
_NOT_ROW_WISE = ("statsmodels",)
"""A time series is asked for by one row that says from when to when."""
_ARROW = ((b"content-type", content.ARROW.encode()),)


class Bound(NamedTuple):
    """Data as the model takes them. params: as they were sent. encode: writes the answer."""

    data: Any
    params: dict[str, Any] | None
    encode: Callable[[Any], Answer]


class Prediction:
    """A model and what is known of its input. Its calls may come from any thread, one at a time."""

    def __init__(self, model: PyFuncModel) -> None:
        self.model = model
        self.typed = model.metadata.is_signature_from_type_hint
        self.schema = None if self.typed else model.metadata.get_input_schema()
        loader = model.loader_module if "python_function" in model.metadata.flavors else ""
        flavor = known.of_loader(loader)
        self.of_a_framework = flavor is not None and flavor.NAME != "python_function"
        self.row_wise = self.of_a_framework and flavor is not None and flavor.NAME not in _NOT_ROW_WISE
        self._read = reader(model.plan, model.predictor.predict_array is not None, _answer)
        self._array = model.predictor.predict_array
        self._is_tensor = self.schema is not None and self.schema.is_tensor_spec()
        self._names = [] if self.schema is None else self.schema.input_names()

    def quick(self, body: bytes) -> Rows | None:
        """A small JSON body's rows, if it is for the quick way. Raises Refused."""
        return None if self._read is None else self._read(body)

    def of_rows(self, items: Sequence[Rows]) -> list[Answer]:
        """The answers to requests with equal params, predicted together. Raises Refused, or what keeps them apart."""
        first = items[0]
        stacked = first.array if len(items) == 1 else np.concatenate([item.array for item in items])
        prediction = self._of_array(stacked, self._params(first.params))
        if len(items) == 1:
            return [first.encode(prediction)]
        parts = answers.split(prediction, [len(item.array) for item in items])
        return [item.encode(part) for item, part in zip(items, parts, strict=True)]

    def of_body(self, media_type: str, arrow: bool, body: bytes) -> Answer:
        """The answer to one request, from its bytes. Raises Refused."""
        wrapped = True
        params = None
        if media_type == content.JSON:
            read = bodies.read(body)
            wrapped = bool(read.field)
            data, params = self._bound(read)
        elif media_type == content.CSV:
            data = tables.csv(body, self.schema)
        else:
            table = tables.parquet(body) if media_type == content.PARQUET else tables.arrow(body)
            array = tables.matrix(table, self.schema)
            if array is not None:
                return self._encoded(self._of_array(array, self._params(None)), arrow)
            data = tables.data(table, self.schema)
        prediction = self.predict(data, params)
        return self._encoded(prediction, arrow, wrapped)

    def predict(self, data: Any, params: Any = None) -> Any:
        """The model's prediction for data in its own types, enforced. Raises Refused."""
        checked = self._params(params)
        try:
            enforced = self.model.plan.enforce(data)
        except SchemaMismatch as error:
            raise faults.not_as_signed(f"{error}.") from error
        try:
            return self.model.predictor.predict(enforced, checked)
        except Exception as error:
            raise _of_model(error) from error

    def warm(self) -> None:
        """Predict the input example, if there is one. Raises what the model raises."""
        if self.model.input_example is not None:
            self.model.predict(self.model.input_example)

    def _of_array(self, array: np.ndarray[Any, Any], params: dict[str, Any] | None) -> Any:
        """The prediction for rows in the schema's order, or a tensor, of the right type and shape. Raises Refused."""
        try:
            if self._is_tensor:
                return self.model.predictor.predict(array, params)
            if self._array is not None:
                return self._array(array, params)
            return self.model.predictor.predict(pd.DataFrame(array, columns=self._names), params)
        except Exception as error:
            raise _of_model(error) from error

    def _encoded(self, prediction: Any, arrow: bool, wrapped: bool = True) -> Answer:
        return Answer(200, _ARROW, tables.stream(prediction)) if arrow else _answer(prediction, wrapped)

    def _bound(self, read: bodies.Read) -> tuple[Any, Any]:
        if not read.field:
            schema = self.model.metadata.get_params_schema()
            names = {spec.name for spec in schema} if schema else set()
            data = {name: value for name, value in read.value.items() if name not in names}
            return data, {name: value for name, value in read.value.items() if name in names}
        if self.typed:
            if read.field != "inputs":
                raise faults.not_as_signed("The model's input has a type hint, so the body must have inputs.")
            return read.value, read.params
        data = binding.bind(read, self.schema)
        if self._is_tensor and self.schema is not None:
            for spec in cast(list[TensorSpec], self.schema.inputs):
                check_shape(data if spec.name is None else data[spec.name], spec)
        return data, read.params

    def _params(self, params: Any) -> dict[str, Any] | None:
        try:
            return self.model.plan.params(params)
        except SchemaMismatch as error:
            raise faults.wrong_param(f"{error}.") from error


def _answer(prediction: Any, wrapped: bool = True) -> Answer:
    try:
        return Answer(200, _JSON, answers.body(prediction, wrapped))
    except answers.NotJson as error:
        raise Refused(500, "INTERNAL_ERROR", str(error)) from error


def _of_model(error: Exception) -> Refused:
    """What a client learns of an error in the model: its kind; the log has the rest, which may hold the data."""
    logger.info("the model failed on a request", exc_info=error)
    return faults.bad_request(
        f"The model failed on this data with {type(error).__name__}; the server's log says where."
        " Values that the model does not take (as null) are the usual cause."
    )
