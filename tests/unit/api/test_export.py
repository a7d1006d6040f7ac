"""What an export reads: every point in order, and the log's own events, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition

if TYPE_CHECKING:
    from tests.unit.api.conftest import Server

POINTS, EVENTS = "/api/headrace/v1/export/points", "/api/headrace/v1/export/events"


def points(server: Server, **asked: Any) -> list[tuple[Any, ...]]:
    """The rows of an answer."""
    answer = server.call("POST", POINTS, json=asked)
    assert answer.status_code == 200, answer.text
    with pa.ipc.open_stream(answer.content) as reader:
        return [tuple(row.values()) for row in reader.read_all().to_pylist()]


def events(server: Server, **asked: Any) -> list[Envelope]:
    """The envelopes of an answer."""
    answer = server.call("POST", EVENTS, json=asked)
    assert answer.status_code == 200, answer.text
    return [item for item, _ in codec.decode_frames(answer.content) if isinstance(item, Envelope)]


def logged(server: Server, run_id: str, *given: tuple[str, int, Any]) -> None:
    metrics = [{"key": key, "step": step, "timestamp": abs(step), "value": value} for key, step, value in given]
    server.post("runs/log-batch", run_id=run_id, metrics=metrics)


def test_points_come_by_run_key_and_step_with_nan_and_infinities(server: Server) -> None:
    runs = sorted(server.new_run() for _ in range(2))
    logged(server, runs[1], ("b", 2, 2.0), ("a", 1, "NaN"), ("b", -1, "-Infinity"))
    logged(server, runs[0], ("z", 0, 5e-324))
    logged(server, runs[0], ("z", 0, 5e-324))
    found = points(server, run_ids=[runs[1], runs[0], "unknown"])
    assert [row[:3] for row in found] == [
        (runs[0], "z", 0), (runs[1], "a", 1), (runs[1], "b", -1), (runs[1], "b", 2),
    ]  # fmt: skip
    assert str([row[4] for row in found]) == "[5e-324, nan, -inf, 2.0]"
    assert points(server, run_ids=["unknown"]) == []


def test_a_fork_has_what_it_inherits_where_that_is_asked_for(server: Server) -> None:
    source = server.new_run()
    logged(server, source, *(("m", step, float(step)) for step in range(5)))
    answer = server.call("POST", "/api/headrace/v1/runs/fork", json={"run_id": source, "step": 2})
    fork = answer.json()["run"]["info"]["run_id"]
    logged(server, fork, ("m", 9, 9.0), ("n", 1, 1.0))
    assert [row[1:3] for row in points(server, run_ids=[fork])] == [("m", 9), ("n", 1)]
    inherited = [row[1:3] for row in points(server, run_ids=[fork], inherited=True)]
    assert inherited == [("m", 0), ("m", 1), ("m", 2), ("m", 9), ("n", 1)]
    whole = {one.subject for one in events(server, run_ids=[fork], whole=True)}
    assert whole == {fork, source, "0"}


def test_events_are_those_of_the_log_byte_for_byte(server: Server) -> None:
    run_id, other = server.new_run(), server.new_run()
    logged(server, run_id, ("m", 1, 1.0))
    logged(server, other, ("m", 1, 1.0))
    server.post("runs/set-tag", run_id=run_id, key="t", value="x")
    in_log = [
        record.envelope
        for topic in ("registry", "runs", "metrics")
        for record in server.log.read(Partition(topic, 0), 0, 10**6, 2**40)
        if record.envelope.subject in (run_id, "0")
    ]
    found = events(server, run_ids=[run_id], experiment_ids=["0"])
    assert found == in_log
    assert [codec.encode_frame(one) for one in found] == [codec.encode_frame(one) for one in in_log]
    heads = events(server, run_ids=[run_id], experiment_ids=["0"], data=False)
    assert [one.attributes() for one in heads] == [one.attributes() for one in in_log]
    assert {one.data for one in heads} == {b""}
    assert events(server) == []


@pytest.mark.parametrize("path", [POINTS, EVENTS])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"run_ids": "all"}', b'{"run_ids": [1]}', b"[" * 50_000, b'{"run_ids": ["\xff"]}']
)
def test_a_wrong_request_is_refused(server: Server, path: str, body: bytes) -> None:
    answer = server.call("POST", path, content=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
