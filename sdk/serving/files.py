"""`headrace models predict`: a file is read, predicted and written in batches, so memory does not grow with it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from headrace.sdk.models.places import load_pyfunc
from headrace.sdk.models.schema import Schema
from headrace.sdk.serving import answers, tables
from headrace.sdk.serving.content import JSON
from headrace.sdk.serving.faults import Refused
from headrace.sdk.serving.prediction import Prediction

TYPES = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".json": "json"}
STDIN_BYTES_MAX = 1 << 30
Write = Callable[[Any], None]
"""Writes the prediction of one batch."""


class CannotPredict(Exception):
    """A file that cannot be read, or that the model does not take; the message says where and why."""


def predict_file(
    model_uri: str, source: Path | None, target: Path | None, content_type: str | None = None, batch_rows: int = 65_536
) -> int:
    """Predict a file (None: stdin) into another (None: stdout).

    content_type: csv, parquet, arrow or json; by the source's name when not given. What is written follows the target's
    name. A target that was there is replaced once all is written. Returns the rows predicted (0 for JSON that is no
    table). Raises CannotPredict, and what loading the model raises.
    """
    kind = content_type or TYPES.get(source.suffix.lower() if source else "", "json")
    prediction = Prediction(load_pyfunc(model_uri))
    rows = 0
    try:
        with _source(source) as file:
            if kind == "json":
                answer = prediction.of_body(JSON, _kind_of(target) != "json", _all_of(file))
                with _target(target) as out:
                    _rewritten(answer.body, _kind_of(target), out)
                return rows
            with _target(target) as out, _writer(_kind_of(target), out) as write:
                for data in _batches(kind, file, prediction.schema, batch_rows):
                    try:
                        write(prediction.predict(data))
                    except Refused as error:
                        raise CannotPredict(f"in the rows from {rows} on (from 0): {error}") from error
                    rows += len(data)
    except Refused as error:
        raise CannotPredict(str(error)) from error
    except (pa.ArrowException, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CannotPredict(f"{source or 'stdin'} is no {kind}: {error}") from error
    return rows


def _batches(kind: str, file: BinaryIO, schema: Schema | None, rows: int) -> Iterator[Any]:
    if kind == "csv":
        for text in _csv_parts(file, rows):
            yield tables.csv(text, schema)
    elif kind == "parquet":
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=rows):
            yield tables.data(pa.Table.from_batches([batch]), schema)
    else:
        with pa.ipc.open_stream(file) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, rows):
                    yield tables.data(pa.Table.from_batches([batch.slice(start, rows)]), schema)


def _csv_parts(file: BinaryIO, rows: int) -> Iterator[bytes]:
    """The CSV in parts with the header each; a newline within quotes ends no row."""
    lines = io.BufferedReader(cast(Any, file)) if not isinstance(file, io.BufferedReader) else file
    header = lines.readline()
    part, count, quotes = [header], 0, 0
    for line in lines:
        part.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            count += 1
        if count >= rows:
            yield b"".join(part)
            part, count = [header], 0
    if len(part) > 1 or not header.strip():
        yield b"".join(part)


@contextmanager
def _writer(kind: str, out: BinaryIO) -> Iterator[Write]:
    """Writes predictions one after the other. JSON is one {"predictions": […]}."""
    with ExitStack() as open_files:
        if kind == "json":
            out.write(b'{"predictions": [')
            state = {"first": True}

            def write_json(prediction: Any) -> None:
                plain = answers.jsonable(prediction)
                if not isinstance(plain, list):
                    raise CannotPredict(f"the model predicted a {type(prediction).__name__}, which has no rows")
                for item in plain:
                    out.write((b"" if state["first"] else b",\n") + answers.encoded(item))
                    state["first"] = False

            yield write_json
            out.write(b"]}\n")
            return
        writer: list[Any] = []

        def write_table(prediction: Any) -> None:
            table = tables.arrow_table(prediction)
            if not writer:
                made: Any
                if kind == "parquet":
                    made = pyarrow.parquet.ParquetWriter(out, table.schema)
                elif kind == "csv":
                    made = pyarrow.csv.CSVWriter(out, table.schema)
                else:
                    made = pa.ipc.new_stream(out, table.schema)
                writer.append(open_files.enter_context(made))
            writer[0].write_table(table.cast(writer[0].schema) if kind == "parquet" else table)

        yield write_table


def _rewritten(body: bytes, kind: str, out: BinaryIO) -> None:
    """The answer to a JSON body, as the target's name says."""
    if kind in ("json", "arrow"):
        out.write(body)
        return
    table = pa.ipc.open_stream(body).read_all()
    with _writer(kind, out) as write:
        write(table)


def _kind_of(target: Path | None) -> str:
    return TYPES.get(target.suffix.lower(), "json") if target else "json"


@contextmanager
def _source(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


@contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    """A file beside the target that takes its place at the end; nothing is left of one that was not finished."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    making = path.with_name(f".{path.name}.new")
    try:
        with making.open("wb") as file:
            yield file
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _all_of(file: BinaryIO) -> bytes:
    body = file.read(STDIN_BYTES_MAX + 1)
    if len(body) > STDIN_BYTES_MAX:
        raise CannotPredict(f"a JSON input has {STDIN_BYTES_MAX} bytes at most; write CSV, Parquet or Arrow")
    return body
