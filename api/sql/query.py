"""One statement from text to table: read, gated, put behind the documented views, limited, run. Blocks on I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from headrace.api.sql import gate, statement, tree
from headrace.api.sql.documented import VIEWS, with_clause
from headrace.api.sql.faults import fault, syntax_fault
from headrace.api.sql.limits import Limits
from headrace.api.sql.refusal import Refusal
from headrace.api.sql.types import projection
from headrace.api.sql.view import Sources
from headrace.processors.views import Views, ViewsUnavailable

_EXPLAIN = "EXPLAIN QUERY TREE run_passes = 0\n"
_BEFORE = "SELECT * FROM (\n"
_AFTER = "\n)"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that may run: its whole SQL, and what its parameters hold."""

    sql: str
    parameters: dict[str, Any]


def compiled(views: Views, sources: Sources, text: str, limits: Limits, tag: str) -> Query:
    """What to run for a statement. tag: names it while it runs. Raises Refusal; ViewsUnavailable.

    The statement is put in brackets, where the engine's grammar has no place for FORMAT, INTO OUTFILE or anything but
    a SELECT, and its own limits cannot be set.
    """
    read = statement.read(text)
    root = tree.parse(_explained(views, read.sql, limits))
    named = gate.views_named(root, VIEWS, _physical(views))
    ctes, parameters = with_clause(named, sources, views.database)
    settings = limits.settings(tag)
    described = Query(f"DESCRIBE TABLE (\n{ctes}{_BEFORE}{read.sql}{_AFTER}\n)\n{settings}", parameters)
    columns = [(str(name), str(kind)) for name, kind, *_ in zip(*_ran(views, described, limits).columns, strict=True)]
    selected = f"SELECT {projection(columns)} FROM (\n{read.sql}{_AFTER}"
    return Query(f"{ctes}{selected}\n{settings}", parameters)


def answer(views: Views, query: Query, limits: Limits) -> pa.Table:
    """The rows of a statement. Raises Refusal, also over the limits; ViewsUnavailable."""
    table = _ran(views, query, limits)
    _check_texts(table)
    return table


def _ran(views: Views, query: Query, limits: Limits) -> pa.Table:
    try:
        return views.arrow(query.sql, query.parameters)
    except ViewsUnavailable as error:
        raise fault(error, limits) from None


def _explained(views: Views, sql: str, limits: Limits) -> list[str]:
    try:
        table = views.arrow(f"{_EXPLAIN}{_BEFORE}{sql}{_AFTER}")
    except ViewsUnavailable as error:
        raise syntax_fault(error, limits, sql, len(_EXPLAIN + _BEFORE)) from None
    column = table.column(0).cast(pa.binary()).to_pylist()
    return b"\n".join(column).decode("utf-8", "replace").split("\n")


def _physical(views: Views) -> gate.Physical:
    sql = (
        "SELECT name, 1 FROM system.tables WHERE database = currentDatabase()"
        " UNION ALL SELECT name, 2 FROM system.databases"
    )
    found = views.rows(sql)
    return gate.Physical(
        {str(name) for name, kind in found if kind == 1}, {str(name) for name, kind in found if kind == 2}
    )


def _check_texts(table: pa.Table) -> None:
    """Arrow's texts are UTF-8, and the engine's may be any bytes."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raise Refusal(f"the column {name!r} holds text that is not UTF-8; write hex(...) around it") from None
