"""Searching runs in a real engine, and experiments in memory, by rows made for each rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import clickhouse_connect
import pytest
from headrace.api.filter import parse, parse_order_by
from headrace.api.search import (
    View,
    decode_page_token,
    encode_page_token,
    experiments_match,
    runs_query,
    sort_experiments,
)

HOSTILE = 'it\'s \\ "{p:String}" \t\n\0 %_ é`; DROP TABLE runs'
NAN, INF = math.nan, math.inf


def run(run_id: str, experiment: str = "1", **columns: Any) -> dict[str, Any]:
    return {"run_id": run_id, "experiment_id": experiment, "lifecycle": "active", "status": "FINISHED", **columns}


def datasets(*inputs: tuple[str, str, str | None]) -> str:
    return json.dumps(
        {
            "datasets": [
                {"dataset": {"name": n, "digest": d}, **({"tags": {"mlflow.data.context": c}} if c else {})}
                for n, d, c in inputs
            ]
        }
    )


# Written in this order, each row at its own offset: the later of two rows of a run is the one that counts.
RUNS = [
    run("a", status="RUNNING", start_time_ms=1, offset=1),
    run("a", name="Alpha", start_time_ms=10, end_time_ms=20, params={"p": "1", "q": HOSTILE}, tags={"t": "Ünï\nx"}),
    run("b", name="beta", start_time_ms=20, params={"p": "2", HOSTILE: "x"}, inputs=datasets(("d1", "x", "train"))),
    run("c", name="c%", start_time_ms=20, end_time_ms=5, params={"p": ""}, user_id="me", status="FAILED"),
    run("d", name="c\\", start_time_ms=30, inputs=datasets(("d1", "y", None), ("d2", "z", "eval")), tags={"t": "abc"}),
    run("e", start_time_ms=40, lifecycle="deleted", params={"p": "1"}),
    run("f", "2", start_time_ms=50, artifact_uri="s3://x"),
    run("g", "3", start_time_ms=60),
]
METRICS = [
    ("a", "m", 9.0),
    ("a", "m", 1.0),
    ("b", "m", NAN),
    ("c", "m", -INF),
    ("d", "m", INF),
    ("a", "n", 5.0),
    ("b", "n", 0.0),
    ("b", HOSTILE, 2.0),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """An engine in memory that holds the rows above."""
    client = clickhouse_connect.get_client(interface="chdb", path=":memory:")
    schema = files("headrace.processors").joinpath("schema.sql").read_text()
    for statement in re.split(r"^;\s*$", schema, flags=re.MULTILINE):
        if statement.strip():
            client.command(statement)
    for offset, row in enumerate(RUNS):
        columns = {**row, "offset": offset}
        client.insert("runs", [list(columns.values())], column_names=list(columns))
    client.insert(
        "metric_summary",
        [[*metric, offset] for offset, metric in enumerate(METRICS)],
        column_names=["run_id", "key", "last_value", "offset"],
    )
    yield client
    for table in ("runs", "metric_summary", "metrics", "events"):
        client.command(f"DROP TABLE IF EXISTS {table}")
    client.close()


def search(
    client: Any,
    text: str = "",
    *order: str,
    experiments: tuple[str, ...] = ("1", "2", "3"),
    deleted: tuple[str, ...] = ("3",),
    view: View = "ACTIVE_ONLY",
    limit: int = 100,
    offset: int = 0,
) -> str:
    """The run ids found, joined."""
    query = runs_query(
        experiment_ids=experiments,
        deleted_experiment_ids=deleted,
        view=view,
        expression=parse(text, "runs"),
        order=parse_order_by(list(order), "runs"),
        limit=limit,
        offset=offset,
    )
    return "".join(row[0] for row in client.query(query.sql, parameters=query.parameters).result_rows)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "abcdf"),
        ("metrics.m > 0", "ad"),
        ("metrics.m = 1", "a"),  # the latest row counts, not 9
        ("metrics.m != 1", "bcd"),  # NaN differs from everything
        ("metrics.m = nan", ""),
        ("metrics.m <= inf", "acd"),  # NaN is not ordered
        ("metrics.m = -inf", "c"),
        ("metrics.m < 2 and metrics.n >= 5", "a"),
        ("metrics.m > 0 or metrics.n = 0", "abd"),
        ("metrics.none != 1", ""),
        ("not metrics.m > 0", "bcf"),
        (f"metrics.{quoted(HOSTILE)} = 2", "b"),
        ("params.p = '1'", "a"),
        ("params.p != '1'", "bc"),  # what lacks the key does not differ
        ("not params.p = '1'", "bcdf"),  # but NOT is the complement
        ("params.p = ''", "c"),
        ("params.p IS NULL", "df"),
        ("params.p IS NOT NULL", "abc"),
        (f"params.q = {quoted(HOSTILE)}", "a"),
        (f"params.q LIKE {quoted(HOSTILE)}", "a"),
        (f"params.{quoted(HOSTILE)} = 'x'", "b"),
        (f"run_id IN ({quoted(HOSTILE)}, 'b')", "b"),
        ("tags.t LIKE 'Ü__%x'", "a"),
        ("tags.t LIKE 'ü%'", ""),
        ("tags.t ILIKE 'ünÏ%'", "a"),
        ("tags.t LIKE 'b'", ""),
        ("tags.t LIKE '%b%'", "d"),
        ("attributes.status = 'FAILED'", "c"),
        ("status != 'FINISHED'", "c"),
        ("run_name ILIKE 'a%'", "a"),
        ("run_name LIKE '%\\'", "d"),
        ("`run name` = 'c%'", "c"),
        ("run_id NOT IN ('a', 'b')", "cdf"),
        ("user_id = 'me'", "c"),
        ("artifact_uri LIKE 's3:%'", "f"),
        ("experiment_id IN ('2', '3')", "f"),
        ("lifecycle_stage = 'deleted'", ""),
        ("start_time >= 20 and Created < 3e1", "bc"),
        ("start_time < 99999999999999999999", "abcdf"),
        ("start_time > -9223372036854775808", "abcdf"),
        ("end_time < 100", "ac"),  # a run that goes on has no end
        ("end_time != 20", "c"),
        ("dataset.name = 'd1'", "bd"),
        ("dataset.name != 'd1'", "d"),
        ("dataset.digest IN ('x', 'z')", "bd"),
        ("dataset.name NOT IN ('d1', 'd2')", ""),
        ("dataset.context LIKE 'tr%'", "b"),
        ("dataset.context != 'train'", "d"),
        ("(status = 'FAILED' or params.p = '1') and not metrics.n = 5", "c"),
    ],
)
def test_a_filter_finds(client: Any, text: str, expected: str) -> None:
    assert search(client, text, "run_id") == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([], "fdbca"),  # newest first, then by id
        (["start_time"], "abcdf"),
        (["metrics.m"], "cadbf"),  # numbers, NaN, missing
        (["metrics.m DESC"], "dacbf"),
        (["metrics.m", "metrics.n DESC"], "cadbf"),
        (["metrics.n DESC"], "abfdc"),
        (["params.p"], "cabfd"),
        (["params.p DESC"], "bacfd"),
        (["tags.t DESC"], "adfbc"),
        (["end_time"], "cafdb"),
        (["end_time DESC"], "acfdb"),
        (["status", "run_id DESC"], "cfdba"),
        (["experiment_id DESC", "start_time"], "fabcd"),
        (["lifecycle_stage DESC", "run_id"], "abcdf"),
        ([f"metrics.{quoted(HOSTILE)}"], "bfdca"),
    ],
)
def test_runs_are_ordered(client: Any, order: list[str], expected: str) -> None:
    assert search(client, "", *order) == expected


def test_a_run_is_deleted_when_it_or_its_experiment_is(client: Any) -> None:
    assert search(client, "", view="ACTIVE_ONLY") == "fdbca"
    assert search(client, "", view="DELETED_ONLY") == "ge"
    assert search(client, "", view="ALL") == "gfedbca"
    assert search(client, "", deleted=(), view="DELETED_ONLY") == "e"
    assert search(client, "lifecycle_stage = 'deleted'", "run_id", view="ALL") == "eg"


def test_only_the_given_experiments_are_searched(client: Any) -> None:
    assert search(client, experiments=("2",)) == "f"
    assert search(client, experiments=("nope",)) == ""
    assert search(client, experiments=()) == ""


def test_pages_meet_without_a_gap(client: Any) -> None:
    assert [search(client, "", "metrics.m", limit=2, offset=x) for x in (0, 2, 4, 6)] == ["ca", "db", "f", ""]


def test_nothing_of_the_request_becomes_sql() -> None:
    text = f"params.{quoted(HOSTILE)} = {quoted(HOSTILE)} and tags.secret LIKE 'secret' and metrics.secret > 12345"
    query = runs_query(
        experiment_ids=["secret"],
        deleted_experiment_ids=["secret"],
        view="ALL",
        expression=parse(text, "runs"),
        order=parse_order_by(["tags.secret"], "runs"),
        limit=12345,
        offset=12345,
    )
    assert not re.search(r"secret|12345|DROP", query.sql)
    assert set(re.findall(r"\{(\w+):", query.sql)) == set(query.parameters)


@dataclass(frozen=True)
class Experiment:
    experiment_id: str
    name: str = ""
    creation_time_ms: int = 0
    last_update_time_ms: int = 0
    tags: dict[str, str] = field(default_factory=dict)


EXPERIMENTS = [
    Experiment("0", "Default", 10, 50),
    Experiment("9", "vision/A%", 30, 30, {"team": "Blue\nSky"}),
    Experiment("10", "vision/b", 30, 40, {"team": "red"}),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["0", "9", "10"]),
        ("name = 'Default'", ["0"]),
        ("attribute.name != 'Default'", ["9", "10"]),
        ("name LIKE 'vision/_'", ["10"]),
        ("name LIKE 'vision/__'", ["9"]),
        ("name LIKE 'VISION%'", []),
        ("name ILIKE 'VISION%'", ["9", "10"]),
        ("name LIKE '%i%i%n%'", ["9", "10"]),
        ("name LIKE 'De%De%'", []),
        ("name LIKE '%lt%t'", []),
        ("tags.team LIKE 'B%S%y'", ["9"]),
        ("tags.team != 'red'", ["9"]),
        ("not tags.team = 'red'", ["0", "9"]),
        ("tags.team IS NULL", ["0"]),
        ("tag.team IS NOT NULL", ["9", "10"]),
        ("creation_time > 10 and last_update_time <= 30.5", ["9"]),
        ("creation_time = 10 or creation_time != 30", ["0"]),
        ("creation_time < 30", ["0"]),
        ("last_update_time >= 40", ["0", "10"]),
        ("experiment_id IN ('0', '10')", ["0", "10"]),
        ("experiment_id NOT IN ('0', '10')", ["9"]),
    ],
)
def test_a_filter_finds_experiments(text: str, expected: list[str]) -> None:
    expression = parse(text, "experiments")
    assert [x.experiment_id for x in EXPERIMENTS if experiments_match(expression, x)] == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([], ["9", "10", "0"]),
        (["creation_time DESC"], ["10", "9", "0"]),
        (["experiment_id"], ["0", "9", "10"]),
        (["name DESC"], ["10", "9", "0"]),
        (["creation_time", "last_update_time"], ["0", "9", "10"]),
    ],
)
def test_experiments_are_ordered(order: list[str], expected: list[str]) -> None:
    ordered = sort_experiments(parse_order_by(order, "experiments"), EXPERIMENTS)
    assert [x.experiment_id for x in ordered] == expected


def test_a_like_pattern_cannot_make_matching_slow() -> None:
    expression = parse(f"name LIKE '{'%a' * 60}%b'", "experiments")
    assert not experiments_match(expression, Experiment("1", "a" * 500))


def test_page_tokens_round_trip() -> None:
    assert [decode_page_token(encode_page_token(x)) for x in (0, 1, 10_000, 2**53)] == [0, 1, 10_000, 2**53]
    assert decode_page_token("") == 0


@pytest.mark.parametrize("token", ["x", "é", "b2Zmc2V0Oi0x", "e30=", "b2Zmc2V0Og==", encode_page_token(10**15) + "="])
def test_a_foreign_page_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="Invalid page token"):
        decode_page_token(token)
