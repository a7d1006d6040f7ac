"""Between a RunState and a row of the view `runs`; events and rows of the view `events`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sys import intern
from typing import Any

import msgspec
import pyarrow as pa
from headrace.ingest import events as e
from headrace.ingest.log import Record
from headrace.processors.outcome import Outcome
from headrace.processors.runs import RunState

_MAP = pa.map_(pa.string(), pa.string())
RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("created", pa.bool_()),
        ("experiment_id", pa.string()),
        ("name", pa.string()),
        ("user_id", pa.string()),
        ("status", pa.string()),
        ("status_reason", pa.string()),
        ("start_time_ms", pa.int64()),
        ("end_time_ms", pa.int64()),
        ("lifecycle", pa.string()),
        ("deleted_time_ms", pa.int64()),
        ("artifact_uri", pa.string()),
        ("forked_from", pa.string()),
        ("fork_step", pa.int64()),
        ("heartbeat_interval_s", pa.float64()),
        ("heartbeat_ms", pa.int64()),
        ("params", _MAP),
        ("tags", _MAP),
        ("inputs", pa.string()),
        ("outputs", pa.string()),
        ("writers", pa.map_(pa.string(), pa.uint64())),
        ("partition", pa.uint16()),
        ("offset", pa.uint64()),
    ]
)
EVENTS = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.uint16()),
        ("offset", pa.uint64()),
        ("subject", pa.string()),
        ("type", pa.string()),
        ("time_ms", pa.int64()),
        ("logged_ms", pa.int64()),
        ("actor", pa.string()),
        ("source", pa.string()),
        ("id", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("data", pa.string()),
    ]
)

_MAPS = {"params", "tags", "writers"}
_JSON: dict[str, type[e.Event]] = {"inputs": e.InputsLogged, "outputs": e.OutputsLogged}
COLUMNS = ", ".join(RUNS.names)
"""The columns `run_of` expects, in order."""


def runs_table(states: Iterable[RunState]) -> pa.Table:
    """Rows of the view `runs`. Maps are in key order, so that equal states give equal rows."""
    states = list(states)
    columns: dict[str, Any] = {}
    for name in RUNS.names:
        values: list[Any] = [getattr(state, name) for state in states]
        if name in _MAPS:
            values = [sorted(value.items()) for value in values]
        elif name in _JSON:
            values = [msgspec.json.encode(value).decode() for value in values]
        columns[name] = values
    return pa.table(columns, schema=RUNS)


def run_of(row: Sequence[Any]) -> RunState:
    """The state that a row of COLUMNS holds."""
    fields = dict(zip(RUNS.names, row, strict=True))
    for name in ("params", "tags"):
        fields[name] = {intern(key): value for key, value in fields[name].items()}
    for name, kind in _JSON.items():
        fields[name] = msgspec.json.decode(fields[name], type=kind)
    return RunState(**fields)


def events_table(folded: Sequence[tuple[Record, Outcome]]) -> pa.Table:
    """Rows of the view `events`."""
    return pa.Table.from_pylist(
        [
            {
                "topic": record.position.topic,
                "partition": record.position.partition,
                "offset": record.position.offset,
                "subject": record.envelope.subject,
                "type": record.envelope.type,
                "time_ms": record.envelope.time_ms,
                "logged_ms": record.timestamp_ms,
                "actor": record.envelope.actor,
                "source": record.envelope.source,
                "id": record.envelope.id,
                "outcome": outcome.kind,
                "reason": outcome.reason,
                "data": record.envelope.data.decode("utf-8", "replace"),
            }
            for record, outcome in folded
        ],
        schema=EVENTS,
    )
