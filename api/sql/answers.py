"""A table as what was asked for: JSON, CSV, a table of text, Parquet, or an Arrow stream; piece by piece."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import math
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet
from headrace.api.arrow_stream import ARROW_STREAM, Sink, stream

Format: TypeAlias = Literal["json", "csv", "table", "parquet", "arrow"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "table": "text/plain; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": ARROW_STREAM,
}
_BATCH_ROWS = 16_384
_CELL_CHARS_MAX = 200


def pieces(table: pa.Table, format: Format) -> Iterator[bytes]:
    """The table in a format, piece by piece."""
    return _WRITERS[format](table)


def _json(table: pa.Table) -> Iterator[bytes]:
    """{"columns": [{"name", "type"}], "rows": [[...], ...]}."""
    columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
    yield b'{"columns":' + msgspec.json.encode(columns) + b',"rows":['
    first = True
    for rows in _rows(table):
        encoded = msgspec.json.encode([[plain(value) for value in row] for row in rows])[1:-1]
        if encoded:
            yield (b"" if first else b",") + encoded
            first = False
    yield b"]}\n"


def _csv(table: pa.Table) -> Iterator[bytes]:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table.column_names)
    for rows in itertools.chain([[]], _rows(table)):
        writer.writerows([cell(value) for value in row] for row in rows)
        yield sink.getvalue().encode()
        sink.seek(0)
        sink.truncate()


def _text(table: pa.Table) -> Iterator[bytes]:
    """Columns one below the other, widths by the first rows."""
    heads = [_one_line(name) for name in table.column_names]
    right = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in table.schema]
    widths: list[int] | None = None
    for rows in itertools.chain(_rows(table), [[]]):
        cells = [[_one_line(cell(value)) for value in row] for row in rows]
        if widths is None:
            widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
            lines = [_line(heads, widths, right), "  ".join("-" * width for width in widths)]
        else:
            lines = []
        lines += [_line(row, widths, right) for row in cells]
        yield "".join(f"{line}\n" for line in lines).encode()
    yield f"({table.num_rows:,} {'row' if table.num_rows == 1 else 'rows'})\n".encode()


def _parquet(table: pa.Table) -> Iterator[bytes]:
    sink = Sink()
    with pa.parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), table.schema, compression="zstd") as writer:
        for start in range(0, max(table.num_rows, 1), 4 * _BATCH_ROWS):
            writer.write_table(table.slice(start, 4 * _BATCH_ROWS))
            yield sink.taken()
    yield sink.taken()


_WRITERS: dict[Format, Callable[[pa.Table], Iterator[bytes]]] = {
    "json": _json,
    "csv": _csv,
    "table": _text,
    "parquet": _parquet,
    "arrow": stream,
}


def _rows(table: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        columns = [_values(column) for column in batch.columns]
        yield list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows


def _values(column: pa.Array) -> list[Any]:
    try:
        with warnings.catch_warnings():  # of a map that has a key twice the last one is told
            warnings.simplefilter("ignore")
            found: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
        return found
    except (OverflowError, ValueError):  # a time that no calendar of Python's has
        return column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else ["?"] * len(column)


def plain(value: Any) -> Any:
    """A value in what JSON can say: NaN and infinities as "NaN", "Infinity", "-Infinity"; times by ISO 8601; bytes by
    base64; a map as an object."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value)


def cell(value: Any) -> str:
    """A value as text: nothing for null; what has parts as JSON."""
    told = plain(value)
    if told is None:
        return ""
    if isinstance(told, str):
        return told
    return msgspec.json.encode(told).decode() if isinstance(told, dict | list | bool) else str(told)


def _one_line(text: str) -> str:
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= _CELL_CHARS_MAX else text[: _CELL_CHARS_MAX - 1] + "…"


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in text)


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = [
        " " * (width - _width(one)) + one if at_right else one + " " * (width - _width(one))
        for one, width, at_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()
