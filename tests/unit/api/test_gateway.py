"""The ingest gateway: what becomes of bodies that SDKs send."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from headrace.ingest import codec, events
from headrace.ingest.codec import encode_frame
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import experiment_id_of
from headrace.ingest.log import Partition

Server = Any  # the fixture of conftest.py
EVENTS = "/api/headrace/v1/events"


def frame(event: events.Event, subject: str = "r1", sequence: int = 1) -> bytes:
    data = codec.encode_event(event)
    return encode_frame(
        Envelope(str(sequence), codec.type_of(event), "t", subject, 5, data, writer="w", sequence=sequence)
    )


def send(server: Server, body: bytes) -> httpx.Response:
    response: httpx.Response = server.call("POST", EVENTS, content=body)
    return response


def letters(server: Server) -> list[events.EventRejected]:
    records = server.log.read(Partition("dead_letters", 0), 0, 10**6, 2**40)
    return [event for r in records if isinstance(event := codec.decode_event(r.envelope), events.EventRejected)]


def test_whole_frames_are_in_the_log_when_the_answer_comes(server: Server) -> None:
    before = server.log.end()[Partition("runs", 0)]
    response = send(server, frame(events.RunHeartbeat(), "g1", 1) + frame(events.RunHeartbeat(), "g1", 2))
    assert response.json() == {"accepted": 2, "rejected": []}
    assert server.log.end()[Partition("runs", 0)] == before + 2


def test_an_empty_body_is_fine(server: Server) -> None:
    assert send(server, b"").json() == {"accepted": 0, "rejected": []}


GOOD = frame(events.RunHeartbeat())


@pytest.mark.parametrize(
    "body",
    [
        GOOD[:-1],
        GOOD + GOOD[:5],
        GOOD + b"\0",
        b"{}",
        b"POST / HTTP/1.1\r\n\r\n",
        GOOD + GOOD[:-1] + b"!" + GOOD,
        GOOD + GOOD[:-1] + b"!",
        b"\xff" * 100,
        b"\0" * 100,
    ],
)
def test_broken_framing_is_refused_and_nothing_of_the_body_appended(server: Server, body: bytes) -> None:
    before = server.log.end()
    response = send(server, body)
    assert response.status_code == 400
    assert response.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert server.log.end() == before


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (encode_frame(Envelope("1", "t", "s", "r", "soon", b"{}")), "envelope attributes"),  # type: ignore[arg-type]
        (encode_frame(Envelope("1", "t", "s", "r", 10**30, b"{}")), "envelope attributes"),
        (encode_frame(Envelope("1", "headrace.run.ended", "s", "../r", 0, b"{}")), "is not a run id"),
        (encode_frame(Envelope("1", "headrace.metrics.logged", "s", "", 0, b"")), "is not a run id"),
        (encode_frame(Envelope("1", "headrace.experiment.deleted", "s", "", 0, b"")), "needs a subject"),
        (encode_frame(Envelope("1", "headrace.event.rejected", "s", "r", 0, b"{}")), "not for clients"),
        (encode_frame(Envelope("1", "headrace.prediction.logged", "s", "r", 0, b"{}")), "not for clients"),
    ],
)
def test_a_frame_that_is_no_event_goes_to_the_dead_letters_and_the_others_on(
    server: Server, broken: bytes, reason: str
) -> None:
    before = server.log.end()[Partition("runs", 0)]
    answer = send(server, GOOD + broken + GOOD).json()
    assert answer["accepted"] == 2
    [told] = answer["rejected"]
    assert told["index"] == 1
    assert reason in told["reason"]
    assert reason in letters(server)[-1].reason
    assert server.log.end()[Partition("runs", 0)] == before + 2


def test_data_that_no_fold_can_read_is_accepted_and_stops_nothing(server: Server) -> None:
    bodies = [
        encode_frame(Envelope("1", "headrace.run.created", "s", "g2", 0, b"\xff", writer="w", sequence=1)),
        encode_frame(Envelope("1", "headrace.metrics.logged", "s", "g2", 0, b"\xff", writer="w", sequence=1)),
        encode_frame(Envelope("1", "headrace.run.paused", "s", "g2", 0, b"{}", writer="w", sequence=2)),
        frame(events.AttributesLogged({}, {"a": "b"}), "g2", 3),
    ]
    assert send(server, b"".join(bodies)).json()["accepted"] == 4
    assert server.data("g2", "tags")["a"] == "b"


def test_what_is_sent_twice_counts_once(server: Server) -> None:
    body = frame(events.RunCreated("0", 1, params={"p": "1"}), "g3", 1) + frame(events.RunDeleted(), "g3", 2)
    restore = frame(events.RunRestored(), "g3", 3)
    for part in (body, restore, body):
        assert send(server, part).status_code == 200
    assert server.run("g3")["info"]["lifecycle_stage"] == "active"


def test_a_new_run_goes_to_the_experiment_that_has_the_name_now(server: Server) -> None:
    first = server.post("experiments/create", name="vision")["experiment_id"]
    assert first == experiment_id_of("vision")
    server.post("experiments/update", experiment_id=first, new_name="vision-old")
    second = server.post("experiments/create", name="vision")["experiment_id"]
    assert second != first
    send(server, frame(events.RunCreated(first, 1, experiment_name="vision"), "g4"))
    info = server.run("g4")["info"]
    assert info["experiment_id"] == second
    assert f"/{second}/" in info["artifact_uri"]
