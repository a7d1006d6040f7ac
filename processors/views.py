"""The view store: the tables of schema.sql in ClickHouse; chDB in this process, or a server over HTTP."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from headrace.processors import schema
from headrace.processors.chdb import Chdb
from headrace.processors.clickhouse import ClickHouse
from headrace.processors.schema import Target, statements
from headrace.processors.view_errors import (
    THROW_IF_CODE,
    UNKNOWN_DATABASE_CODE,
    Fenced,
    ViewsUnavailable,
    WrongSchema,
    guards_message,
)
from headrace.processors.views_url import BadViewsUrl, ViewsUrl, is_views_url, parse_views_url

__all__ = [
    "BadViewsUrl",
    "Engine",
    "Fenced",
    "Views",
    "ViewsUnavailable",
    "WrongSchema",
    "check",
    "create",
    "drop",
    "embedded",
    "open_views",
    "server",
    "statements",
]

_QUERY_MEMORY_BYTES_MAX = 1_500_000_000


class Engine(Protocol):
    """What executes; each method raises ViewsUnavailable. place and advice: for messages, where and what to do."""

    place: str
    advice: str

    shared: bool
    """Whether other processes may write the same tables."""

    @property
    def target(self) -> Target:
        """The database of the tables, and the cluster."""

    def define(self, sql: str) -> None:
        """Run a statement about tables or databases; the views' own need not be there."""

    def beside(self, database: str) -> Engine:
        """The same engine with tables of another database, which are made where they are missing."""

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""

    def arrow(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """The result of a query."""

    def command(self, sql: str, parameters: dict[str, Any]) -> None:
        """Run a statement, once or twice."""

    def insert(self, table: str, rows: pa.Table, guard: str | None, parameters: dict[str, Any], query_id: str) -> None:
        """Insert in one part, in one try. Raises Fenced too."""

    def settle(self, query_id: str) -> None:
        """See that a query has ended."""

    def running(self, query_ids: str) -> list[str]:
        """The ids that begin so of what runs now."""

    def kill(self, query_ids: list[str]) -> None:
        """Tell these to end."""

    def close(self) -> None:
        """Let go of everything."""


class Views:
    """Tables as schema.sql has them. Safe to share between threads, but for inserts, which are one thread's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(
        self,
        table: str,
        rows: pa.Table,
        guard: str | None = None,
        parameters: dict[str, Any] | None = None,
        query_id: str = "",
    ) -> None:
        """Insert rows as one part: all or none. In one try: after ViewsUnavailable they may be there, or come yet.

        guard: a condition the server checks as the insert begins; one that holds `throwIf(...)` refuses it. parameters:
        of the guard. query_id: names the insert for settle; two with one id cannot run at a time.
        From one thread only. Raises ViewsUnavailable; Fenced when the guard refused, and nothing was inserted.
        """
        try:
            self._engine.insert(table, rows.combine_chunks(), guard, parameters or {}, query_id)
        except ViewsUnavailable as error:
            if guard is not None and error.code == THROW_IF_CODE:
                raise Fenced(guards_message(str(error))) from error
            raise

    def settle(self, query_id: str) -> None:
        """See that an insert whose answer was lost has ended, one way or the other: it is stored, or never will be.

        Raises ViewsUnavailable when the server cannot be asked, or the insert does not end within 10 s.
        """
        self._engine.settle(query_id)

    def missing(self, table: str, rows: pa.Table) -> pa.Table:
        """What of an insert that has settled is not stored: nothing or all of it; of sharded tables any shards' part.

        No other insert has rows of the same positions. Raises ViewsUnavailable.
        """
        names = [name for name in ("topic", "partition", "offset") if name in schema.tables()[table].columns]
        offsets = rows.column("offset")
        parameters = {
            "partitions": rows.column("partition").unique().to_pylist(),
            "first": pc.min(offsets).as_py(),
            "last": pc.max(offsets).as_py(),
        }
        where = "partition IN {partitions:Array(UInt16)} AND offset BETWEEN {first:UInt64} AND {last:UInt64}"
        stored = set(self.rows(f"SELECT DISTINCT {', '.join(names)} FROM {table} WHERE {where}", parameters))
        positions = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
        return rows.filter(pa.array([position not in stored for position in positions], pa.bool_()))

    def running(self, query_ids: str) -> list[str]:
        """The ids that begin so of the inserts and queries that run now, on every server. Raises ViewsUnavailable."""
        return self._engine.running(query_ids)

    def kill(self, query_ids: Collection[str]) -> None:
        """Tell these to end; settle sees that one has. Raises ViewsUnavailable."""
        self._engine.kill(sorted(query_ids))

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query. parameters: bound by the server as `{name:Type}`. Raises ViewsUnavailable."""
        return self._engine.rows(sql, parameters or {})

    def arrow(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """The result of a query as Arrow. Raises ViewsUnavailable."""
        return self._engine.arrow(sql, parameters or {})

    def command(self, sql: str, parameters: dict[str, Any] | None = None) -> None:
        """Run a statement that answers with nothing. It may be sent twice. Raises ViewsUnavailable."""
        self._engine.command(sql, parameters or {})

    def delete(self, table: str, condition: str, parameters: dict[str, Any]) -> None:
        """Take rows out for good, whichever insert made them; what is inserted meanwhile stays.

        condition: SQL, its values bound as in rows. Where there is no such row, nothing is written. The engine removes
        the files that had them within a minute, a server within ten. Raises ViewsUnavailable.
        """
        if self.rows(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1", parameters):
            self.command(schema.delete_statement(self._engine.target, table, condition), parameters)

    # --- a second set of tables, for a rebuild ----------------------------------------------------------------------

    @property
    def database(self) -> str:
        """The database that the tables are in."""
        return self._engine.target.database

    @property
    def shared(self) -> bool:
        """Whether other processes may write the same tables."""
        return self._engine.shared

    def beside(self, database: str) -> Views:
        """Views in another database of the same engine, with tables made where they are missing; close them too."""
        return Views(self._engine.beside(database))

    def databases(self) -> set[str]:
        """The databases of the engine."""
        return {row[0] for row in self.rows("SELECT name FROM system.databases")}

    def exchange(self, other: Views, table: str) -> None:
        """Exchange what a table holds here and in views beside, at once for every reader. Raises ViewsUnavailable."""
        self._engine.define(schema.exchange_statement(self._engine.target, other._engine.target, table))

    def identity(self, table: str) -> str:
        """A text that names what a table holds: it goes with it in an exchange. Not for chDB's own default database."""
        name = table + (schema.LOCAL_SUFFIX if self._engine.target.sharded else "")
        sql = "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
        return str(self.rows(sql, {"name": name})[0][0])

    def rename_database(self, database: str, to: str) -> None:
        """Give a database of the engine another name."""
        self._engine.define(schema.rename_database_statement(replace(self._engine.target, database=database), to))

    def drop_database(self, database: str) -> None:
        """Drop a database of the engine and all in it, if it is there."""
        self._engine.define(schema.drop_database_statement(replace(self._engine.target, database=database)))

    def check_schema(self) -> None:
        """See that every table is there, as this version has it. Raises WrongSchema; ViewsUnavailable."""
        engine = self._engine
        try:
            comments = dict(self.rows("SELECT name, comment FROM system.tables WHERE database = currentDatabase()"))
        except ViewsUnavailable as error:
            if error.code == UNKNOWN_DATABASE_CODE:
                raise WrongSchema(str(error)) from error
            raise
        found: dict[str, dict[str, str]] = {name: {} for name in comments}
        columns = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY position"
        for table, name, type in self.rows(columns):
            found.setdefault(table, {})[name] = type
        for name, table in schema.tables().items():
            if name not in found:
                raise WrongSchema(f"the table {name} is missing in {engine.place}; {engine.advice}")
            if found[name] != table.columns or comments.get(name) not in ("", table.comment):
                place = f"the table {name} in {engine.place}"
                raise WrongSchema(f"{place} was made by another version of headrace; run `headrace rebuild`")

    def remake(self) -> None:
        """Drop every table and make it as this version has it, empty. Raises ViewsUnavailable."""
        for statement in (*schema.drop_statements(self._engine.target), *schema.create_statements(self._engine.target)):
            self._engine.define(statement)

    def close(self) -> None:
        """Let go of everything."""
        self._engine.close()


def embedded(folder: Path) -> Views:
    """Views on chDB in this process, kept in a folder. One process may hold a folder, and one folder a process.

    Creates the tables that are missing. Raises ViewsUnavailable.
    """
    return Views(Chdb(folder, _QUERY_MEMORY_BYTES_MAX))


def server(url: str | ViewsUrl) -> Views:
    """Views on a ClickHouse server: `clickhouse://[user[:password]@]host[:port]/[database]?option=value&...`.

    Nothing is created, and nothing is asked before the first use: the server may be down. Raises BadViewsUrl.
    """
    parsed = parse_views_url(url) if isinstance(url, str) else url
    return Views(ClickHouse(parsed, _QUERY_MEMORY_BYTES_MAX))


def open_views(url_or_folder: str | Path) -> Views:
    """Views by their URL, or in a folder. Raises BadViewsUrl; for a folder ViewsUnavailable."""
    if is_views_url(str(url_or_folder)):
        return server(str(url_or_folder))
    return embedded(Path(url_or_folder))


def create(url: ViewsUrl) -> None:
    """Make the database and every table that is not there. Raises ViewsUnavailable."""
    _define(url, schema.create_statements(url.target))


def check(url: ViewsUrl) -> None:
    """See that every table is there, as this version has it. Raises WrongSchema; ViewsUnavailable."""
    views = server(url)
    try:
        views.check_schema()
    finally:
        views.close()


def drop(url: ViewsUrl) -> None:
    """Drop every table of the views. Raises ViewsUnavailable."""
    _define(url, schema.drop_statements(url.target))


def _define(url: ViewsUrl, wanted: list[str]) -> None:
    engine = ClickHouse(url, _QUERY_MEMORY_BYTES_MAX)
    try:
        for statement in wanted:
            engine.define(statement)
    finally:
        engine.close()
