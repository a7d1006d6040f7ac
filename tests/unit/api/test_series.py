"""Series and history read what the metrics view holds, faithfully."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from headrace.api.arrow_stream import stream
from headrace.api.errors import ApiError
from headrace.api.metric_history import HISTORY, history
from headrace.api.points import Points
from headrace.api.series import BUCKETS_MAX, Source
from headrace.api.series_answers import Series, each
from headrace.api.series_points import Axis, Extents, Wanted
from headrace.processors import metrics
from headrace.processors.views import Views, embedded

NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    found = embedded(Path(tmp_path_factory.mktemp("views")))
    yield found
    found.close()


def log(views: Views, run_id: str, points: list[tuple[int, int, float]], writer: str = "w", key: str = "loss") -> None:
    n = len(points)
    columns = {
        "run_id": [run_id] * n,
        "key": [key] * n,
        "step": [step for step, _, _ in points],
        "timestamp_ms": [timestamp_ms for _, timestamp_ms, _ in points],
        "value": [value for _, _, value in points],
        "model_id": [""] * n,
        "dataset_name": [""] * n,
        "dataset_digest": [""] * n,
        "writer": [writer] * n,
        "sequence": [1] * n,
        "partition": [0] * n,
        "offset": [0] * n,
        "item": list(range(n)),
    }
    views.insert(
        "metrics",
        pa.table(
            [pa.array(v).cast(f.type) for v, f in zip(columns.values(), metrics.SCHEMA, strict=True)],
            schema=metrics.SCHEMA,
        ),
    )


def many(
    views: Views,
    run_ids: list[str],
    key: str = "loss",
    *,
    x: Axis = "step",
    buckets: int = 500,
    range: tuple[int, int] | None = None,
    held: int = 1_000_000,
) -> list[Series]:
    """held: the most points that are in memory; 0 leaves it all to the engine."""
    wanted = Wanted(Points(run_ids, [key]), x, range)
    source = Source(views, wanted, held)
    return each(wanted, source.buckets(buckets), source.extents, buckets)


def one(views: Views, run_id: str, **asked: Any) -> Series:
    [found] = many(views, [run_id], **asked)
    assert many(views, [run_id], **asked, held=0) == [found], "the engine's buckets differ from numpy's"
    return found


def test_few_points_come_one_by_one_in_order(views: Views) -> None:
    log(views, "few", [(3, 30, 0.3), (-1, 10, 0.1), (3, 20, 0.2)])
    found = one(views, "few")
    assert (found.points, found.bucketed) == (3, False)
    assert found.x == [-1, 3, 3]
    assert found.last == [0.1, 0.2, 0.3]


def test_a_bucket_keeps_first_last_min_and_max_exactly(views: Views) -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=10_000)
    log(views, "many", [(i, 1000 + i, v) for i, v in enumerate(values.tolist())])
    found = one(views, "many", buckets=100)
    assert (found.points, found.bucketed, len(found.x)) == (10_000, True, 100)
    assert sum(found.count) == 10_000
    for i, (first, last) in enumerate(zip(found.x, found.x_last, strict=True)):
        held = values[first : last + 1]
        assert len(held) == found.count[i]
        assert (found.first[i], found.last[i], found.min[i], found.max[i]) == (
            held[0],
            held[-1],
            held.min(),
            held.max(),
        )


def test_the_same_request_has_the_same_answer_whatever_else_is_asked_for(views: Views) -> None:
    log(views, "a", [(i, i, math.sin(i)) for i in range(700)])
    log(views, "b", [(i * 9, i, math.cos(i)) for i in range(900)])
    both = many(views, ["b", "a"], buckets=50)
    assert [s.run_id for s in both] == ["b", "a"]
    assert both[1] == one(views, "a", buckets=50) == one(views, "a", buckets=50)


def test_nan_is_counted_and_left_out_of_min_and_max(views: Views) -> None:
    log(views, "nan", [(i, i, NAN if i % 2 else float(i)) for i in range(10)] + [(10, 10, NAN)] * 1)
    found = one(views, "nan", buckets=2)
    assert sum(found.nan) == 6
    assert found.min == [0.0, 6.0]
    assert found.max == [4.0, 8.0]
    assert found.last == [4.0, "NaN"]


def test_special_values_are_valid_json(views: Views) -> None:
    log(views, "special", [(0, 0, NAN), (1, 1, INF), (2, 2, -INF), (3, 3, 1.0)])
    found = json.loads(msgspec.json.encode(one(views, "special")), parse_constant=lambda name: pytest.fail(name))
    assert found["last"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert found["min"] == [None, "Infinity", "-Infinity", 1.0]


def test_points_of_one_step_are_ordered_by_time_then_value_with_nan_last(views: Views) -> None:
    log(views, "ties", [(5, 2, -1.0), (5, 2, NAN), (5, 1, 9.0), (5, 1, -9.0), (6, 0, 0.0)] + [(5, 1, 0.5)] * 5)
    found = one(views, "ties", buckets=2)
    assert found.x == [5, 6]
    assert (found.first[0], found.last[0], found.count[0], found.nan[0]) == (-9.0, "NaN", 9, 1)


def test_what_rest_sent_twice_is_one_point_and_what_the_sdk_sent_twice_is_two(views: Views) -> None:
    log(views, "rest", [(1, 1, 0.5), (1, 1, 0.5), (1, 1, NAN), (1, 1, NAN)], writer="")
    log(views, "sdk", [(1, 1, 0.5), (1, 1, 0.5)])
    assert one(views, "rest").points == 2
    assert one(views, "sdk").points == 2
    assert history(views, Points(["rest"], ["loss"])).num_rows == 2
    assert history(views, Points(["sdk"], ["loss"])).num_rows == 2


def test_a_range_leaves_out_what_lies_beyond_it(views: Views) -> None:
    log(views, "range", [(i, i * 10, float(i)) for i in range(100)])
    assert one(views, "range", range=(10, 12)).x == [10, 11, 12]
    assert one(views, "range", range=(200, 300)).points == 0
    assert one(views, "range", x="time", range=(20, 40)).x == [20, 30, 40]


def test_extreme_steps_keep_their_place(views: Views) -> None:
    edge = 2**63 - 1
    log(views, "edges", [(-edge, 0, 1.0), (0, 0, 2.0), (edge, 0, 3.0)])
    assert one(views, "edges", buckets=2).last == [1.0, 3.0]
    assert one(views, "edges").x == [-edge, 0, edge]
    assert one(views, "edges", range=(-(2**63), 2**63 - 1)).points == 3


def test_relative_time_counts_from_the_start_of_the_run(views: Views) -> None:
    views.command("INSERT INTO runs (run_id, start_time_ms, offset) VALUES ('rel', 1000, 1), ('rel', 2000, 2)")
    log(views, "rel", [(0, 2500, 1.0), (1, 4000, 2.0)])
    assert one(views, "rel", x="relative").x == [500, 2000]


def test_an_unknown_run_or_metric_has_no_points_and_names_are_only_data(views: Views) -> None:
    log(views, "it's", [(0, 0, 1.0)], key="l'oss\\ {x:String} ü")
    found = many(views, ["it's", "none", "') OR 1=1 --"], "l'oss\\ {x:String} ü")
    assert [s.points for s in found] == [1, 0, 0]


def test_history_streams_every_point_as_arrow(views: Views) -> None:
    log(views, "history", [(i % 70_000, i, float(i)) for i in range(140_000)])
    table = history(views, Points(["history"], ["loss"]))
    read = pa.ipc.open_stream(b"".join(stream(table))).read_all()
    assert read.equals(table)
    assert read.schema == HISTORY
    assert read.column("step").to_pylist()[:3] == [0, 0, 1]


def test_more_points_or_buckets_than_one_answer_takes_are_refused_with_a_way_to_ask_for_less(views: Views) -> None:
    log(views, "wide", [(i, i, float(i)) for i in range(30)])
    wanted = Wanted(Points(["wide"], ["loss"]), "step")
    for source in (Source(views, wanted), Source(views, wanted, 10)):
        with pytest.raises(ApiError, match=r"30 points, and 20 can be answered .* ask for a range"):
            source.points(20)
    assert len(Source(views, wanted).points(30)) == 30
    # As many series of the same points as it takes.
    reach = Source(views, wanted).extents
    many_series = np.arange(BUCKETS_MAX // 20 + 1)
    source = Source(views, wanted)
    source.extents = Extents(*(np.repeat(column, len(many_series)) for column in astuple(reach)))
    with pytest.raises(ApiError, match=r"buckets, and 500,000 are the most: .* fewer buckets"):
        source.buckets(20)


@pytest.mark.parametrize("told", [(1000, 0, 999), (1001, 0, 999), (1000, 5, 999), (1000, 0, 700)])
def test_what_summaries_tell_changes_no_bucket_where_it_is_wrong(views: Views, told: tuple[int, int, int]) -> None:
    run_id = f"told {told}"
    log(views, run_id, [(i, i * 7 % 1000, float(i % 13)) for i in range(1000)])
    points, first, last = told
    columns = {"run_id": [run_id], "key": ["loss"], "points": [points], "first_step": [first], "last_step": [last]}
    columns |= {"first_timestamp_ms": [first], "last_timestamp_ms": [last * 7 % 1000], "offset": [1], "partition": [0]}
    views.insert("metric_summary", pa.table(columns))
    axes: tuple[Axis, ...] = ("step", "time")
    for x in axes:
        assert one(views, run_id, buckets=50, x=x).points == 1000
    wanted = Wanted(Points([run_id], ["loss"]), "step")
    assert len(Source(views, wanted, 1000).points(1000)) == 1000
