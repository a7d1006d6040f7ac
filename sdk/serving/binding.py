"""A body's field bound to a model's schema: the frame, array or dict of arrays that the model's enforcement takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from headrace.sdk.models.schema import ColSpec, Schema, TensorSpec
from headrace.sdk.serving import casting, faults
from headrace.sdk.serving.bodies import Read
from headrace.sdk.serving.tabular import Table, split_table, unsigned


def bind(read: Read, schema: Schema | None) -> Any:
    """The data of a request for a model whose input has this schema, or none.

    A DataFrame for columns; an array for a tensor without a name, a dict of arrays for tensors with names. Columns that
    the schema does not know are dropped, those that it has come in its order. Raises Refused (400).
    """
    if schema is None or not read.field:
        return unsigned(read)
    if schema.is_tensor_spec():
        return _tensors(read, cast(list[TensorSpec], schema.inputs), schema.has_input_names())
    specs = cast(list[ColSpec], schema.inputs)
    table = _table(read, schema)
    return frame(table, specs) if schema.has_input_names() else _by_position(table, specs)


def frame(table: Table, specs: Sequence[ColSpec]) -> pd.DataFrame:
    """The columns that the schema names, in its order. Raises Refused (400) for one that is missing or wrong."""
    missing = [spec.name for spec in specs if spec.required and spec.name not in table.columns]
    if missing:
        expected = ", ".join(f"{spec.name!r} ({casting.expected_of(spec)})" for spec in specs)
        raise faults.not_as_signed(f"These columns are missing: {_names(missing)}. The model takes {expected}.")
    columns = {}
    for spec in specs:
        name = cast(str, spec.name)
        if name in table.columns:
            if name in table.repeated:
                raise faults.not_as_signed(f"The column {name!r} is there more than once.")
            columns[name] = casting.column(table.columns[name], spec, name)
    return _frame(columns, table)


def _by_position(table: Table, specs: Sequence[ColSpec]) -> pd.DataFrame:
    if len(table.columns) < len(specs):
        raise faults.not_as_signed(
            f"The model takes {len(specs)} columns ({', '.join(casting.expected_of(spec) for spec in specs)}), by their"
            f" place; there are {len(table.columns)}."
        )
    named = list(table.columns.items())[: len(specs)]
    return _frame(
        {name: casting.column(values, spec, name) for (name, values), spec in zip(named, specs, strict=True)}, table
    )


def _frame(columns: Mapping[Any, Any], table: Table) -> pd.DataFrame:
    made = pd.DataFrame(columns) if columns else pd.DataFrame(index=range(table.rows))
    if table.index is not None:
        made.index = pd.Index(table.index)
    return made


def _table(read: Read, schema: Schema) -> Table:
    value = read.value
    if read.field == "dataframe_split":
        return split_table(value)
    if read.field == "dataframe_records":
        if not isinstance(value, list):
            raise faults.bad_request("dataframe_records must be an array of objects, one a row.")
        return _rows(value, schema)
    if isinstance(value, list):
        if len(schema) == 1 and not any(isinstance(row, dict) for row in value):
            return Table({schema.input_names()[0]: value}, len(value))
        return _rows(value, schema)
    if isinstance(value, dict) and schema.has_input_names():
        return _columns(value, read.field)
    if isinstance(value, dict):
        raise faults.bad_request("The model's columns have no names, so the data must be an array, not an object.")
    if len(schema) == 1 and not schema.has_input_names():
        return Table({0: [value]}, 1)
    raise faults.not_as_signed(f"The model takes the columns {_names(schema.input_names())}; this is a single value.")


def _rows(rows: list[Any], schema: Schema) -> Table:
    """Rows that are objects, a gap being null; or, where columns have no names, arrays."""
    if rows and all(isinstance(row, dict) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return Table({name: [row.get(name) for row in rows] for name in names}, len(rows))
    if rows and all(isinstance(row, list) for row in rows):
        width = len(rows[0])
        if any(len(row) != width for row in rows):
            raise faults.bad_request("The rows are of several lengths.")
        return Table({index: [row[index] for row in rows] for index in range(width)}, len(rows))
    if any(isinstance(row, dict | list) for row in rows):
        raise faults.bad_request("The rows must be objects, each with a value for each column.")
    return Table({0: rows} if rows else {}, len(rows))


def _columns(value: Mapping[str, Any], field: str) -> Table:
    """Columns by name; a single value is a column of one row."""
    columns = {name: cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) > 1:
        refuse = faults.bad_request if field == "instances" else faults.not_as_signed
        raise refuse(f"The columns {_names(list(columns))} are not of one length.")
    return Table(columns, lengths.pop() if lengths else 0)


def _tensors(read: Read, specs: Sequence[TensorSpec], named: bool) -> Any:
    value = read.value
    if read.field in ("dataframe_split", "dataframe_records"):
        value = _tensors_of_table(read, specs, named)
    elif not named and isinstance(value, dict):
        raise faults.bad_request(
            "The model takes one tensor without a name, so the data must be an array, not an object."
        )
    elif named and isinstance(value, list):
        if len(specs) == 1 and not any(isinstance(item, dict) for item in value):
            value = {specs[0].name: value}
        elif value and read.field == "instances" and all(isinstance(item, dict) for item in value):
            table = _rows(value, Schema(list(specs)))
            value = dict(table.columns)
    if not named:
        return casting.tensor(value, specs[0])
    if not isinstance(value, dict):
        raise faults.not_as_signed(f"The model takes the tensors {_names([spec.name for spec in specs])}, by name.")
    found = {spec.name: casting.tensor(value[spec.name], spec) for spec in specs if spec.name in value}
    if read.field == "instances" and len({len(np.atleast_1d(array)) for array in found.values()}) > 1:
        raise faults.bad_request("The tensors of instances must have as many items each.")
    missing = [spec.name for spec in specs if spec.name not in found]
    if missing:
        expected = ", ".join(f"{spec.name!r} ({casting.expected_of(spec)})" for spec in specs)
        raise faults.not_as_signed(f"These tensors are missing: {_names(missing)}. The model takes {expected}.")
    return found


def _tensors_of_table(read: Read, specs: Sequence[TensorSpec], named: bool) -> Any:
    table = _table(read, Schema(list(specs)))
    if named:
        return dict(table.columns)
    return [list(row) for row in zip(*table.columns.values(), strict=True)]


def _names(names: Sequence[Any]) -> str:
    return ", ".join(repr(name) for name in names)
