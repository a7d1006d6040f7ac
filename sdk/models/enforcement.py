"""Data that come to a model, held against its signature, by a plan that is compiled once for each model.

In process (`Plan.enforce`, what `pyfunc` calls), data are taken as they are: an int64 column is no double, as in
MLflow. From a request (`Plan.from_columns`, `from_rows`, `from_records`, `from_values`), values come as JSON has them,
and are first cast as MLflow's server casts them: 1 is a double too, "1.5" also. What would change a value is refused,
where MLflow's server changes it: 3.5 is no long, null no boolean, 2 no boolean, 3000000000 no integer.

What the `from_` calls give, and `enforce` gives for the same data, is what the model's `Predictor.predict` takes; with
`array=True` they give what `Predictor.predict_array` takes wherever they can: one 2-d ndarray, columns in the schema's
order, no pandas on the way. They can when all columns are numbers (`Plan.array_dtype` is not None) and none is missing;
otherwise, and for tensors, they give the same as without: look at the type. All raise `SchemaMismatch`, which names
the column and what was expected of it, never the data. A plan holds no state of a call: threads may share it.

    plan = Plan.of(signature)
    plan.enforce(frame)                                   # -> DataFrame | ndarray | dict of ndarray
    plan.from_columns({"a": [1, 2], "b": [0.5, None]})    # names to lists or arrays of one length
    plan.from_rows(["a", "b"], [[1, 0.5], [2, None]])     # names, or None for rows in the schema's order
    plan.from_records([{"a": 1, "b": 0.5}, {"a": 2}])
    plan.from_values([[1, 0.5]])                          # whatever `inputs` or `instances` of a request hold
    plan.params({"threshold": 0.5})                       # -> dict with all defaults, or None without a schema
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.cleaning import warn_once
from headrace.sdk.models import columns, tensors
from headrace.sdk.models.frames import frame_of
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.params import Params
from headrace.sdk.models.schema import ColSpec, DataType, ParamSchema, Schema, TensorSpec
from headrace.sdk.models.signature import ModelSignature

__all__ = ["Plan", "SchemaMismatch"]

_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)


class Plan:
    """How data are checked, ordered and converted for one model. Without a schema data are passed on as they are.

    names: of the columns or tensors, in order, numbers where they have none. array_dtype: of the array that holds all
    columns, or None where they are not all numbers. strict: refuse what MLflow refuses, nullable columns with NA.
    """

    def __init__(self, inputs: Schema | None, params: ParamSchema | None, *, strict: bool = False) -> None:
        self.inputs = inputs
        self.strict = strict
        self._params = Params(params)
        self.names: list[Any] = [] if inputs is None else inputs.input_names()
        specs = [] if inputs is None else inputs.inputs
        self._columns = [one for one in specs if isinstance(one, ColSpec)]
        self._tensors = [one for one in specs if isinstance(one, TensorSpec)]
        self._named = inputs is not None and inputs.has_input_names()
        kinds = [one.type for one in self._columns]
        numbers = [one for one in kinds if isinstance(one, DataType) and one in _NUMBERS]
        whole = bool(kinds) and len(numbers) == len(kinds)
        self.array_dtype: np.dtype[Any] | None = np.result_type(*(n.to_numpy() for n in numbers)) if whole else None
        self._floats = whole and all(one in (DataType.float, DataType.double) for one in numbers)
        self._dtypes = [one.to_pandas() if isinstance(one, DataType) else None for one in kinds]

    @classmethod
    def of(cls, signature: ModelSignature | None, *, strict: bool = False) -> Plan:
        """The plan of a signature."""
        return cls(
            None if signature is None else signature.inputs,
            None if signature is None else signature.params,
            strict=strict,
        )

    def params(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Params with all defaults, as plain Python has them. Raises SchemaMismatch."""
        return self._params.checked(given)

    # --- as a program has them ----------------------------------------------------------------------------------------

    def enforce(self, data: Any) -> Any:
        """Data as a caller in this process has them. Raises SchemaMismatch."""
        if self.inputs is None:
            return data
        if self._tensors:
            return tensors.taken(data, self._tensors)
        frame = data if isinstance(data, pd.DataFrame) else frame_of(data, self._columns)
        if self._named:
            lacking = [one.name for one in self._columns if one.required and one.name not in frame.columns]
            if lacking:
                raise self._lacking(lacking)
            if len(frame.columns) > len(self._columns):
                self._warn_of_more(frame.columns)
            present = [one for one in self._columns if one.required or one.name in frame.columns]
            names: list[Any] = [one.name for one in present]
        else:
            if len(frame.columns) < len(self._columns):
                raise SchemaMismatch(
                    f"the model takes {len(self._columns)} columns, and was given {len(frame.columns)}"
                )
            present = self._columns
            names = list(frame.columns[: len(present)])
        given = [frame[name] for name in names]
        made = [
            columns.taken(name, values, one.type, one.required, self.strict)
            for name, values, one in zip(names, given, present, strict=True)
        ]
        if len(frame.columns) == len(names) and all(map(_same, made, given)) and list(frame.columns) == names:
            return frame
        return pd.DataFrame(dict(zip(names, made, strict=True)), index=frame.index, columns=names)

    # --- as JSON has them ---------------------------------------------------------------------------------------------

    def from_rows(self, names: Sequence[str] | None, rows: Any, *, array: bool = False) -> Any:
        """Rows, lists of values, as a request has them; names None: those of the schema. Raises SchemaMismatch."""
        if self.inputs is None:
            return pd.DataFrame(list(rows), columns=None if names is None else list(names))
        if self._tensors and not self._named:
            return tensors.cast(rows, self._tensors[0])
        if names is None:
            if self._named:
                names = self.names
            elif len(rows) and not isinstance(rows[0], Sequence | np.ndarray):
                return self.from_columns({0: rows}, array=array)
        if array and self._floats and (names is self.names or list(names or self.names) == self.names):
            fast = self._matrix(rows)
            if fast is not None:
                return fast
        width = len(names) if names is not None else len(rows[0]) if len(rows) else len(self._columns)
        for index, row in enumerate(rows):
            if len(row) != width:
                raise SchemaMismatch(f"row {index} has {len(row)} values, and there are {width} columns")
        given = zip(*rows, strict=True) if len(rows) else iter([()] * width)
        return self.from_columns(dict(zip(names or range(width), map(list, given), strict=True)), array=array)

    def from_columns(self, given: Mapping[Any, Any], *, array: bool = False) -> Any:
        """Columns by name, each a list or array, as a request has them. Raises SchemaMismatch."""
        if self.inputs is None:
            return pd.DataFrame(dict(given))
        if self._tensors:
            if not self._named:
                if len(given) != 1:
                    return tensors.cast(np.column_stack(list(given.values())), self._tensors[0])
                return tensors.cast(next(iter(given.values())), self._tensors[0])
            self._check_names(given)
            return {one.name: tensors.cast(given[one.name], one) for one in self._tensors}
        if self._named:
            self._check_names(given)
            chosen = [(one.name, given[one.name], one) for one in self._columns if one.name in given]
        else:
            if len(given) < len(self._columns):
                raise SchemaMismatch(f"the model takes {len(self._columns)} columns, and was given {len(given)}")
            chosen = [(name, values, one) for (name, values), one in zip(given.items(), self._columns, strict=False)]
        lengths = {len(values) for _, values, _ in chosen}
        if len(lengths) > 1:
            raise SchemaMismatch("the columns are not of one length")
        made = {name: columns.cast(name, values, one.type, one.required) for name, values, one in chosen}
        if array and self.array_dtype is not None and len(made) == len(self._columns):
            stacked = np.empty((lengths.pop() if lengths else 0, len(made)), dtype=self.array_dtype)
            for index, values in enumerate(made.values()):
                stacked[:, index] = values
            return stacked
        return pd.DataFrame(made)

    def from_records(self, records: Sequence[Mapping[str, Any]], *, array: bool = False) -> Any:
        """Rows that name their columns, as a request has them. Raises SchemaMismatch."""
        if self.inputs is None:
            return pd.DataFrame.from_records(list(records))
        names = self.names if self._named else list(dict.fromkeys(name for one in records for name in one))
        found = {name: [one.get(name) for one in records] for name in names if any(name in one for one in records)}
        return self.from_columns(found, array=array)

    def from_values(self, values: Any, *, array: bool = False) -> Any:
        """What `inputs` or `instances` hold: columns by name, records, rows, the values of one column, or one value.

        Raises SchemaMismatch.
        """
        if self.inputs is None:
            return values
        if isinstance(values, Mapping):
            lists = all(isinstance(one, list | np.ndarray) for one in values.values())
            nested = any(not isinstance(one.type, DataType) for one in self._columns)
            if lists and not nested:
                return self.from_columns(values, array=array)
            return self.from_records([values], array=array)
        if not isinstance(values, list | np.ndarray):
            return self.from_values([values], array=array)
        if len(values) and all(isinstance(one, Mapping) for one in values):
            return self.from_records(list(values), array=array)
        if self._tensors:
            return self.from_columns({self.names[0]: values}) if self._named else self.from_rows(None, values)
        if self._named and len(self.names) > 1:
            raise SchemaMismatch(f"the model takes columns by their names: {', '.join(map(str, self.names))}")
        if len(self.names) == 1:
            return self.from_columns({self.names[0]: values}, array=array)
        return self.from_rows(None, values, array=array)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _matrix(self, rows: Any) -> np.ndarray[Any, Any] | None:
        """All rows at once, when nothing is wrong with any of them."""
        try:
            matrix = np.array(rows, dtype=self.array_dtype)
        except (TypeError, ValueError, OverflowError):
            return None
        return matrix if matrix.ndim == 2 and matrix.shape[1] == len(self._columns) else None

    def _check_names(self, given: Mapping[Any, Any]) -> None:
        assert self.inputs is not None
        lacking = [one.name for one in self.inputs.inputs if one.required and one.name not in given]
        if lacking:
            raise self._lacking(lacking)
        if len(given) > len(self.names):
            self._warn_of_more(given)

    def _lacking(self, names: Sequence[Any]) -> SchemaMismatch:
        shown = ", ".join(repr(name) for name in names[:20])
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return SchemaMismatch(f"the model needs the columns {shown}{more}, which are missing")

    def _warn_of_more(self, given: Any) -> None:
        more = ", ".join(sorted(str(name) for name in given if name not in set(self.names))[:20])
        if more:
            warn_once(f"more:{more}"[:200], "the model does not know the columns %s, and leaves them out", more)


def _same(made: Any, given: Any) -> bool:
    return made is given
