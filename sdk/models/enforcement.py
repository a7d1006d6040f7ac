"""Data that come to a model, held against its signature, by a plan that is compiled once for each model.

In process (`Plan.enforce`, what `pyfunc` calls), data are taken as they are: an int64 column is no double, as in
MLflow. From a request (`Plan.from_columns`, `from_rows`, `from_records`), values come as JSON has them, and are first
cast as MLflow's server casts them: 1 is a double too, "1.5" also; 3.5 is no long, though MLflow's server cuts it to 3.

What the `from_` calls give, and `enforce` gives for the same data, is what the model's `Predictor.predict` takes; with
`array=True` they give instead what `Predictor.predict_array` takes, where the schema allows it (`Plan.array_dtype` is
not None): one 2-d array, columns in the schema's order, no pandas on the way. All raise `SchemaMismatch`, which names
the column and what was expected of it, never the data. A plan holds no state of a call: threads may share it.

    plan = Plan.of(signature)
    plan.enforce(frame)                                   # -> DataFrame | ndarray | dict of ndarray
    plan.from_columns({"a": [1, 2], "b": [0.5, None]})    # names to lists or arrays of one length
    plan.from_rows(["a", "b"], [[1, 0.5], [2, None]])     # names, or None for rows in the schema's order
    plan.from_records([{"a": 1, "b": 0.5}, {"a": 2}])
    plan.params({"threshold": 0.5})                       # -> dict with all defaults, or None without a schema
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.sdk.models.schema import ParamSchema, Schema
from headrace.sdk.models.signature import ModelSignature


class SchemaMismatch(ValueError):
    """Data or params that do not fit the model's signature; the message names the column or param, and what fits."""


class Plan:
    """How data are checked, ordered and converted for one model. Without a schema data are passed on as they are."""

    def __init__(self, inputs: Schema | None, params: ParamSchema | None) -> None:
        self.inputs = inputs
        self.params_schema = params
        self.array_dtype: Any = None

    @classmethod
    def of(cls, signature: ModelSignature | None) -> Plan:
        """The plan of a signature."""
        return cls(None, None) if signature is None else cls(signature.inputs, signature.params)

    def enforce(self, data: Any) -> Any:
        """Data as a caller in this process has them. Raises SchemaMismatch."""
        return data

    def from_columns(self, columns: Mapping[str, Any], *, array: bool = False) -> Any:
        """Columns by name, each a list or array, as a request has them. Raises SchemaMismatch."""
        import pandas

        return pandas.DataFrame(columns)

    def from_rows(self, columns: Sequence[str] | None, rows: Sequence[Sequence[Any]], *, array: bool = False) -> Any:
        """Rows, as a request has them; columns None: those of the schema in its order. Raises SchemaMismatch."""
        import pandas

        return pandas.DataFrame(list(rows), columns=None if columns is None else list(columns))

    def from_records(self, records: Sequence[Mapping[str, Any]], *, array: bool = False) -> Any:
        """Rows that name their columns, as a request has them. Raises SchemaMismatch."""
        import pandas

        return pandas.DataFrame.from_records(list(records))

    def params(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Params with all defaults. Raises SchemaMismatch."""
        return None if given is None else dict(given)
