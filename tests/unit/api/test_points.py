"""Points are read once, as of a moment, and with what a run inherits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.api.points import Cut, Link, Points
from headrace.ingest.log import Partition
from headrace.ingest.topics import METRICS
from headrace.processors import metrics
from headrace.processors.views import Views, embedded

Stored = tuple[str, str, int, float, str, int, int]
"""run_id, key, step, value, writer, partition, offset."""


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    found = embedded(Path(tmp_path_factory.mktemp("views")))
    store(found, [("parent", "loss", step, float(step), "w", 0, step) for step in range(10)])
    store(found, [("parent", "acc", 3, 0.5, "", 0, 20), ("parent", "acc", 3, 0.5, "", 0, 21)])
    store(found, [("child", "loss", 6, 60.0, "w", 1, 5), ("grandchild", "loss", 9, 90.0, "w", 1, 7)])
    yield found
    found.close()


def store(views: Views, rows: Sequence[Stored]) -> None:
    columns = {
        "run_id": [x[0] for x in rows],
        "key": [x[1] for x in rows],
        "step": [x[2] for x in rows],
        "timestamp_ms": [1_000 + x[2] for x in rows],
        "value": [x[3] for x in rows],
        "writer": [x[4] for x in rows],
        "partition": [x[5] for x in rows],
        "offset": [x[6] for x in rows],
    }
    empty: dict[pa.DataType, object] = {pa.uint64(): 0, pa.uint32(): 0}
    arrays = [pa.array(columns.get(f.name, [empty.get(f.type, "")] * len(rows))).cast(f.type) for f in metrics.SCHEMA]
    views.insert("metrics", pa.table(arrays, schema=metrics.SCHEMA))


def read(views: Views, points: Points) -> list[tuple[str, str, int, float]]:
    sql = f"SELECT run_id, key, step, value FROM {points.sql} ORDER BY ALL"
    return [(str(a), str(b), int(c), float(d)) for a, b, c, d in views.rows(sql, points.parameters)]


def test_keys_and_runs_are_chosen(views: Views) -> None:
    found = read(views, Points(["parent", "nobody"], ["loss"]))
    assert found == [("parent", "loss", step, float(step)) for step in range(10)]


def test_what_a_rest_client_sent_twice_is_one_point(views: Views) -> None:
    assert read(views, Points(["parent"], ["acc"])) == [("parent", "acc", 3, 0.5)]


def test_what_was_logged_after_the_moment_is_left_out(views: Views) -> None:
    cut = Cut({Partition(METRICS, 0): 4, Partition(METRICS, 1): 6})
    assert [x[2] for x in read(views, Points(["parent"], ["loss"], cut))] == [0, 1, 2, 3]
    assert read(views, Points(["child", "grandchild"], [], cut)) == [("child", "loss", 6, 60.0)]


def test_a_partition_that_the_moment_does_not_know_holds_nothing(views: Views) -> None:
    assert read(views, Points(["child"], [], Cut({Partition(METRICS, 0): 100}))) == []
    assert read(views, Points(["child"], [], Cut({}))) == []


def test_a_fork_has_its_sources_points_up_to_the_step_and_its_own(views: Views) -> None:
    found = read(views, Points(["child"], [], links=[Link("child", "parent", 4)]))
    assert found == [
        ("child", "acc", 3, 0.5),
        *(("child", "loss", step, float(step)) for step in range(5)),
        ("child", "loss", 6, 60.0),
    ]


def test_two_forks_of_one_run_and_a_fork_of_a_fork_have_what_is_theirs(views: Views) -> None:
    links = [Link("child", "parent", 1), Link("grandchild", "parent", 1), Link("grandchild", "child", 6)]
    found = read(views, Points(["child", "grandchild", "parent"], ["loss"], links=links))
    assert [x[2] for x in found if x[0] == "child"] == [0, 1, 6]
    assert [x[3] for x in found if x[0] == "grandchild"] == [0.0, 1.0, 60.0, 90.0]
    assert len([x for x in found if x[0] == "parent"]) == 10


def test_a_moment_cuts_what_is_inherited_too(views: Views) -> None:
    cut = Cut({Partition(METRICS, 0): 2, Partition(METRICS, 1): 100})
    found = read(views, Points(["child"], ["loss"], cut, [Link("child", "parent", 4)]))
    assert [x[2] for x in found] == [0, 1, 6]
