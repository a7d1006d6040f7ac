"""Tables that are not JSON: CSV, Parquet and Arrow in, Arrow out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from headrace.sdk.models.schema import ColSpec, DataType, Schema, TensorSpec
from headrace.sdk.serving import casting, faults
from headrace.sdk.serving.answers import NotJson, jsonable
from headrace.sdk.serving.quick import dtype_of
from headrace.sdk.serving.tabular import Table

READ_BYTES_MAX = 1 << 30
"""What a compressed Parquet body may hold, bytes."""
_READ_AS: dict[Any, Any] = {
    DataType.double: "float64", DataType.float: "float32", DataType.long: "int64", DataType.integer: "int32",
    DataType.boolean: "bool", DataType.string: "str", DataType.datetime: "str", DataType.binary: "str",
}  # fmt: skip
_ARROW_TYPES: dict[Any, pa.DataType] = {
    DataType.double: pa.float64(), DataType.float: pa.float32(), DataType.long: pa.int64(),
    DataType.integer: pa.int32(), DataType.boolean: pa.bool_(), DataType.string: pa.string(),
    DataType.datetime: pa.timestamp("ns"), DataType.binary: pa.binary(),
}  # fmt: skip


def csv(body: bytes, schema: Schema | None) -> Any:
    """The frame of a CSV body with a header, each column read as the schema says; an array for a tensor's schema.

    Raises Refused (400), which names the column that is not of its type.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise faults.bad_request("The body is not UTF-8.") from None
    specs = _columns_of(schema)
    types = {spec.name: _READ_AS.get(spec.type, "object") for spec in specs if spec.name is not None}
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=types or None)
    except Exception as error:
        if types:
            _name_the_column(text, specs)
        raise faults.bad_request(
            f"The body is no CSV with a header and as many values in each row as it has names ({type(error).__name__})."
        ) from None
    for spec in specs:
        if spec.type in (DataType.datetime, DataType.binary) and spec.name in frame:
            texts = [None if pd.isna(value) else value for value in frame[spec.name]]
            frame[spec.name] = pd.Series(casting.column(texts, spec, str(spec.name)), index=frame.index)
    return _of_tensor(frame, schema)


def parquet(body: bytes) -> pa.Table:
    """The table of a Parquet body. Raises Refused (400)."""
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(body))
        groups = range(file.metadata.num_row_groups)
        if sum(file.metadata.row_group(group).total_byte_size for group in groups) > READ_BYTES_MAX:
            raise faults.bad_request(f"The body holds more than {READ_BYTES_MAX} bytes of data; send fewer rows.")
        return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise faults.bad_request(f"The body is no Parquet file ({type(error).__name__}).") from None


def arrow(body: bytes) -> pa.Table:
    """The table of an Arrow IPC stream. Raises Refused (400)."""
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            table = reader.read_all()
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise faults.bad_request(f"The body is no Arrow stream ({type(error).__name__}).") from None


def table_columns(table: pa.Table, schema: Schema | None) -> pa.Table:
    """The columns that the schema names, in its order and types; a table as it is without such a schema.

    A column is cast where no value changes: integers to doubles, whole doubles to integers. Raises Refused (400).
    """
    specs = _columns_of(schema)
    if not specs or specs[0].name is None:
        return table
    names = table.column_names
    missing = [spec.name for spec in specs if spec.required and spec.name not in names]
    if missing:
        raise faults.not_as_signed(f"These columns are missing: {', '.join(map(repr, missing))}.")
    columns = {}
    for spec in specs:
        if spec.name not in names:
            continue
        if names.count(str(spec.name)) > 1:
            raise faults.not_as_signed(f"The column {spec.name!r} is there more than once.")
        columns[str(spec.name)] = _cast(table.column(spec.name), spec)
    return pa.table(columns)


def matrix(table: pa.Table, schema: Schema | None) -> np.ndarray[Any, Any] | None:
    """The rows for the quick way, where the schema has only doubles, or only floats: an array, a null being NaN.

    None for other schemas. Raises Refused (400) as `table_columns`.
    """
    dtype = None if schema is None or schema.is_tensor_spec() else dtype_of(schema)
    if dtype is None:
        return None
    chosen = table_columns(table, schema)
    array = np.empty((chosen.num_rows, chosen.num_columns), dtype=dtype, order="F")
    for index, column in enumerate(chosen.columns):
        array[:, index] = column.to_numpy()
    return array


def data(table: pa.Table, schema: Schema | None) -> Any:
    """A frame of the table; an array for a tensor's schema. Raises Refused (400)."""
    frame = table_columns(table, schema).to_pandas()
    for spec in _columns_of(schema):
        if spec.type is DataType.datetime and spec.name in frame:
            frame[spec.name] = frame[spec.name].astype("datetime64[ns]")
    return _of_tensor(frame, schema)


def stream(prediction: Any) -> bytes:
    """A prediction as an Arrow IPC stream.

    A frame's columns keep their names; a Series has its own, or "0"; an array is the column "predictions", of lists
    when it has two dimensions; a dict of arrays has its keys. Raises Refused (400) for what is no table.
    """
    try:
        table = arrow_table(prediction)
    except (pa.ArrowException, ValueError, TypeError, NotJson):
        raise faults.bad_request(
            f"The model predicted a {type(prediction).__name__}, which is no table; ask for application/json."
        ) from None
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow_table(prediction: Any) -> pa.Table:
    """A prediction as a table, as `stream` says. Raises what is no table: ArrowException, ValueError, TypeError."""
    if isinstance(prediction, pa.Table):
        return prediction
    if isinstance(prediction, pd.Series):
        prediction = pd.DataFrame(prediction)
    if isinstance(prediction, pd.DataFrame):
        named = prediction.set_axis([str(name) for name in prediction.columns], axis=1)
        return pa.Table.from_pandas(named, preserve_index=False)
    if isinstance(prediction, dict):
        return pa.table({str(name): _arrow_array(values) for name, values in prediction.items()})
    return pa.table({"predictions": _arrow_array(prediction)})


def _arrow_array(values: Any) -> pa.Array:
    if not isinstance(values, np.ndarray | list) or (isinstance(values, np.ndarray) and values.ndim == 0):
        raise TypeError
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiubUSM":
        return pa.array(jsonable(values))
    array = pa.array(values.reshape(-1))
    for length in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


def _cast(column: pa.ChunkedArray, spec: ColSpec) -> pa.ChunkedArray:
    wanted = _ARROW_TYPES.get(spec.type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if wanted is None or column.type == wanted:
        cast_column = column
    else:
        try:
            if pa.types.is_boolean(wanted) and not pa.types.is_boolean(column.type):
                raise pa.ArrowInvalid("a number is no boolean")
            # A long beyond 2**53 as a double is what every reader of JSON makes of it too.
            options = pa.compute.CastOptions(target_type=wanted, allow_float_truncate=False, allow_int_overflow=False)
            cast_column = column.cast(options=options)
        except (pa.ArrowException, ValueError):
            raise faults.not_as_signed(
                f"The column {spec.name!r} must be a {casting.expected_of(spec)}; it is {column.type}, and some value"
                " would change."
            ) from None
    if cast_column.null_count and spec.type in (DataType.long, DataType.integer, DataType.boolean):
        raise faults.not_as_signed(f"The column {spec.name!r} must be a {casting.expected_of(spec)}; it has nulls.")
    return cast_column


def _columns_of(schema: Schema | None) -> Sequence[ColSpec]:
    return [] if schema is None or schema.is_tensor_spec() else cast(list[ColSpec], schema.inputs)


def _of_tensor(frame: pd.DataFrame, schema: Schema | None) -> Any:
    """Rows of numbers for a tensor's schema; tensors with names are made of the columns of their names."""
    if schema is None or not schema.is_tensor_spec():
        return frame
    specs = cast(list[TensorSpec], schema.inputs)
    if not schema.has_input_names():
        return casting.tensor(frame.to_numpy().tolist(), specs[0])
    missing = [spec.name for spec in specs if spec.name not in frame]
    if missing:
        raise faults.not_as_signed(f"These columns are missing: {', '.join(map(repr, missing))}.")
    return {spec.name: casting.tensor([_plain(cell) for cell in frame[spec.name]], spec) for spec in specs}


def _plain(cell: Any) -> Any:
    return cell.tolist() if isinstance(cell, np.ndarray) else cell


def _name_the_column(text: str, specs: Sequence[ColSpec]) -> None:
    """Raise Refused (400) for the first column of a CSV that is not of its type, if that is what is wrong."""
    try:
        frame = pd.read_csv(io.StringIO(text), dtype="str")
    except Exception:
        return
    texts = {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame.columns}
    table = Table(texts, len(frame))
    for spec in specs:
        if spec.name in table.columns:
            casting.column(table.columns[spec.name], spec, cast(str, spec.name))
