"""The DDL that schema.sql becomes: plain, on a cluster, and over shards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.processors import schema
from headrace.processors.schema import Target, create_statements, drop_statements, tables
from headrace.processors.views import Views, embedded

PLAIN = Target("the `db`")
REPLICATED = Target("views", "the 'cluster'")
SHARDED = Target("views", "c", sharded=True)


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    made = embedded(tmp_path / "views")
    yield made
    made.close()


def test_the_columns_we_read_in_schema_sql_are_those_the_engine_makes(views: Views) -> None:
    made: dict[str, dict[str, str]] = {}
    for table, name, type in views.rows("SELECT table, name, type FROM system.columns WHERE database = 'default'"):
        made.setdefault(table, {})[name] = type
    assert made == {name: dict(table.columns) for name, table in tables().items()}


@pytest.mark.parametrize("target", [PLAIN, REPLICATED, SHARDED], ids=["plain", "replicated", "sharded"])
def test_every_statement_is_understood_by_the_engine(views: Views, target: Target) -> None:
    for statement in create_statements(target) + drop_statements(target):
        assert views.rows(f"EXPLAIN AST {statement}")


def test_the_engine_does_not_understand_everything(views: Views) -> None:
    with pytest.raises(Exception, match="Syntax error"):
        views.rows("EXPLAIN AST CREATE TABLE a ON CLUSTERS 'c' (x Int8) ENGINE = MergeTree ORDER BY x")


def test_on_a_cluster_every_table_is_replicated() -> None:
    made = create_statements(REPLICATED)
    assert len(made) == 1 + len(tables())
    assert all(r"ON CLUSTER 'the \'cluster\''" in statement for statement in made)
    for statement in made[1:]:
        assert re.search(
            r"ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/\{uuid\}/\{shard\}', '\{replica\}'", statement
        )
    runs = next(statement for statement in made if ".runs " in statement)
    assert "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', offset)" in runs


def test_over_shards_what_belongs_together_lies_together() -> None:
    made = create_statements(SHARDED)
    assert len(made) == 1 + 2 * len(tables())
    keys = dict(re.findall(r"Distributed\('c', 'views', '(\w+)_local', cityHash64\((\w+)\)\)", "\n".join(made)))
    assert keys.keys() == tables().keys()
    assert keys["runs"] == keys["metrics"] == keys["metric_summary"] == "run_id"
    assert keys["events"] == "subject"


@pytest.mark.parametrize("target", [PLAIN, REPLICATED, SHARDED], ids=["plain", "replicated", "sharded"])
def test_every_table_that_is_made_is_dropped(target: Target) -> None:
    def named(pattern: str, statements: list[str]) -> set[str]:
        return {found[1] for statement in statements if (found := re.match(pattern, statement))}

    database = re.escape(schema.quoted(target.database))
    made = named(rf"CREATE TABLE IF NOT EXISTS {database}\.(\w+)", create_statements(target))
    assert made == named(rf"DROP TABLE IF EXISTS {database}\.(\w+)", drop_statements(target))
    assert made >= tables().keys()


def test_a_version_is_of_the_table_and_not_of_the_words_about_it() -> None:
    table = tables()["runs"]
    spaced = schema.Table("runs", table.columns, table.body.replace(" ", "  "), table.tail)
    other = schema.Table("runs", table.columns, table.body.replace("Int64", "Int32", 1), table.tail)
    sorted_otherwise = schema.Table("runs", table.columns, table.body, table.tail.replace("run_id", "name"))
    assert table.version == spaced.version
    assert len({table.version, other.version, sorted_otherwise.version}) == 3
    assert len({one.version for one in tables().values()}) == len(tables())
