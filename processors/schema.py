"""The views' tables as schema.sql has them: their columns, their version, and the DDL that makes them on a server.

From one schema.sql come three shapes: plain tables; tables replicated over a cluster; and tables replicated and
sharded, where `<name>_local` holds a shard's rows and `<name>` is the Distributed table over them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LOCAL_SUFFIX = "_local"
REPLICA_PATH = "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
"""Where replicas of a table find each other. {uuid}: so that a table may be renamed, and its name used again."""
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\s*\n\(\n(.*?)\n\)\n(.*)", re.S)
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\(([^)]*)\))?")
_NO_COLUMN = ("INDEX ", "PROJECTION ", "CONSTRAINT ", "--")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the views. columns: name to type, in order; body and tail: its DDL between and after the brackets."""

    name: str
    columns: Mapping[str, str]
    body: str
    tail: str

    @property
    def version(self) -> str:
        """Eight hex digits that change with whatever the table is made of."""
        text = " ".join(f"{self.body} {self.tail}".split())
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def comment(self) -> str:
        """What the table says of itself in system.tables."""
        return f"headrace schema {self.version}"

    @property
    def shard_key(self) -> str:
        """The first column of the sorting key: what belongs together, such as a run, lies on one shard."""
        found = re.search(r"ORDER BY \(?(\w+)", self.tail)
        assert found is not None, f"{self.name} has no ORDER BY"
        return found.group(1)


@dataclass(frozen=True, slots=True)
class Target:
    """Where tables are made. cluster: its name, '' for one server; sharded: over the cluster's shards."""

    database: str
    cluster: str = ""
    sharded: bool = False


@cache
def tables() -> Mapping[str, Table]:
    """The tables of schema.sql by name, in its order."""
    found = {}
    for part in _parts():
        match = _CREATE.search(part)
        assert match is not None, f"no table in schema.sql's statement {part!r}"
        name, body, tail = match.group(1), _without_comments(match.group(2)), _without_comments(match.group(3))
        found[name] = Table(name, _columns(body), body, tail)
    return found


def statements() -> list[str]:
    """The statements that make every table that is not there, in the database that is in use."""
    return [_create(table, table.name, "", table.tail) for table in tables().values()]


def create_statements(target: Target) -> list[str]:
    """The statements that make the database and every table that is not there."""
    database, on_cluster = quoted(target.database), _on_cluster(target)
    made = [f"CREATE DATABASE IF NOT EXISTS {database}{on_cluster}"]
    for table in tables().values():
        tail = _ENGINE.sub(_replicated, table.tail) if target.cluster else table.tail
        name = table.name + (LOCAL_SUFFIX if target.sharded else "")
        made.append(_create(table, f"{database}.{name}", on_cluster, tail))
        if target.sharded:
            place = f"{literal(target.cluster)}, {literal(target.database)}, {literal(name)}"
            made.append(
                f"CREATE TABLE IF NOT EXISTS {database}.{table.name}{on_cluster} AS {database}.{name}\n"
                f"ENGINE = Distributed({place}, cityHash64({table.shard_key}))\nCOMMENT {literal(table.comment)}"
            )
    return made


def drop_statements(target: Target) -> list[str]:
    """The statements that drop every table of the views; the database stays."""
    database, on_cluster = quoted(target.database), _on_cluster(target)
    suffixes = ("", LOCAL_SUFFIX) if target.sharded else ("",)
    return [
        f"DROP TABLE IF EXISTS {database}.{name}{suffix}{on_cluster} SYNC" for name in tables() for suffix in suffixes
    ]


def exchange_statement(one: Target, other: Target, table: str) -> str:
    """The statement that exchanges what a table holds in two databases, at once for every reader of a server."""
    name = table + (LOCAL_SUFFIX if one.sharded else "")
    return f"EXCHANGE TABLES {quoted(one.database)}.{name} AND {quoted(other.database)}.{name}{_on_cluster(one)}"


def delete_statement(target: Target, table: str, condition: str) -> str:
    """The statement that takes rows out of a table for good; it answers when every server has done it."""
    name = table + (LOCAL_SUFFIX if target.sharded else "")
    return (
        f"ALTER TABLE {quoted(target.database)}.{name}{_on_cluster(target)} DELETE WHERE {condition}"
        " SETTINGS mutations_sync = 2"
    )


def rename_database_statement(target: Target, database: str) -> str:
    """The statement that gives a database another name."""
    return f"RENAME DATABASE {quoted(target.database)} TO {quoted(database)}{_on_cluster(target)}"


def drop_database_statement(target: Target) -> str:
    """The statement that drops a database with all in it."""
    return f"DROP DATABASE IF EXISTS {quoted(target.database)}{_on_cluster(target)} SYNC"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """Text as an SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _parts() -> list[str]:
    text = (files("headrace.processors") / "schema.sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split("\n;\n") if part.strip()]


def _columns(body: str) -> dict[str, str]:
    lines = (line.strip() for line in body.splitlines())
    pairs = (line.rstrip(",").split(None, 1) for line in lines if line and not line.startswith(_NO_COLUMN))
    return {name: type.strip() for name, type in pairs}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("--"))


def _create(table: Table, name: str, on_cluster: str, tail: str) -> str:
    head = f"CREATE TABLE IF NOT EXISTS {name}{on_cluster}"
    return f"{head}\n(\n{table.body}\n)\n{tail.strip()}\nCOMMENT {literal(table.comment)}"


def _on_cluster(target: Target) -> str:
    return f" ON CLUSTER {literal(target.cluster)}" if target.cluster else ""


def _replicated(engine: re.Match[str]) -> str:
    arguments = ", ".join(filter(None, (REPLICA_PATH, engine.group(2))))
    return f"ENGINE = Replicated{engine.group(1)}({arguments})"
