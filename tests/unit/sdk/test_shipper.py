from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from headrace.ingest.codec import decode_frames, encode_frame
from headrace.ingest.envelope import Envelope
from headrace.sdk.settings import resolve
from headrace.sdk.shipper import Backoff, Delivered, deliver
from headrace.sdk.spool import Spool
from headrace.sdk.transport import Artifact, HttpTransport, Unavailable

Answer = Callable[[httpx.Request], httpx.Response]


def frame(number: int) -> bytes:
    return encode_frame(Envelope(str(number), "headrace.run.heartbeat", "s", "r", number, b"{}"))


def transport(answer: Answer) -> HttpTransport:
    return HttpTransport("http://server", resolve({}, {}), httpx.MockTransport(answer))


def ids(request: httpx.Request) -> list[str]:
    return [item.id for item, _ in decode_frames(request.content) if isinstance(item, Envelope)]


def accept(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"accepted": len(ids(request)), "rejected": []})


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "w")
    made.create({"target": "http://server"})
    made.append(b"".join(map(frame, range(8))))
    yield made
    made.release()


def ship(spool: Spool, answer: Answer) -> Delivered:
    return deliver(spool, transport(answer), spool.end, 8 * 1024**2)


def test_frames_go_as_they_are_and_are_acknowledged(spool: Spool) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return accept(request)

    delivered = ship(spool, answer)
    assert delivered.events == 8
    assert seen[0].url.path == "/api/headrace/v1/events"
    assert seen[0].headers["content-type"] == "application/vnd.headrace.frames"
    assert seen[0].content == b"".join(map(frame, range(8)))
    assert spool.acked == spool.end


@pytest.mark.parametrize("status", [500, 502, 503, 401, 403, 404, 408, 429, 302])
def test_what_may_pass_is_tried_again_with_identical_bytes(spool: Spool, status: int) -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(status) if len(sent) == 1 else accept(request)

    with pytest.raises(Unavailable):
        ship(spool, answer)
    assert spool.acked < spool.end
    ship(spool, answer)
    assert sent[0] == sent[1]
    assert not spool.has_rejected()


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x")])
def test_a_dead_or_slow_server_is_unavailable(spool: Spool, error: Exception) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Unavailable, match=type(error).__name__):
        ship(spool, answer)


def test_an_answer_of_another_kind_of_server_is_no_acknowledgement(spool: Spool) -> None:
    with pytest.raises(Unavailable):
        ship(spool, lambda _: httpx.Response(200, text="<html>please log in</html>"))
    assert spool.acked < spool.end


def test_too_large_requests_are_halved_until_they_fit(spool: Spool) -> None:
    accepted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if len(ids(request)) > 2:
            return httpx.Response(413)
        accepted.extend(ids(request))
        return accept(request)

    assert ship(spool, answer).events == 8
    assert accepted == [str(number) for number in range(8)]


def test_a_refused_event_is_kept_with_its_reason_and_the_others_go_on(spool: Spool) -> None:
    accepted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if "5" in ids(request):
            return httpx.Response(400, text="bad frame")
        accepted.extend(ids(request))
        return accept(request)

    delivered = ship(spool, answer)
    assert delivered.refused == 1
    assert accepted == ["0", "1", "2", "3", "4", "6", "7"]
    [kept] = (spool.directory / "rejected").glob("*.frames")
    assert kept.read_bytes() == frame(5)
    assert "bad frame" in kept.with_suffix(".txt").read_text()
    assert spool.acked == spool.end


def test_frames_the_server_names_as_rejected_are_kept(spool: Spool) -> None:
    answer = httpx.Response(200, json={"accepted": 7, "rejected": [{"index": 3, "reason": "odd"}]})
    assert ship(spool, lambda _: answer).refused == 1
    [reason] = (spool.directory / "rejected").glob("*.txt")
    assert reason.read_text() == "frame 3: odd\n"


def test_an_artifact_is_streamed_with_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"hello")
    seen: list[httpx.Request] = []
    artifact = Artifact(1, "run", "0", "a b/ü.txt", "f", 5)

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200)

    transport(answer).put_artifact(artifact, file)
    assert seen[0].url.raw_path == b"/api/headrace/v1/runs/run/artifacts/a%20b/%C3%BC.txt"
    assert seen[0].headers["x-headrace-sha256"].startswith("2cf24dba")
    assert (seen[0].read(), seen[0].headers["content-length"]) == (b"hello", "5")
    with pytest.raises(Unavailable):
        transport(lambda _: httpx.Response(404, content=json.dumps({}))).put_artifact(artifact, file)


def test_pauses_double_and_are_bounded() -> None:
    backoff = Backoff(0.1, 1.0)
    pauses = [backoff.pause_s() for _ in range(10)]
    assert 0.05 <= pauses[0] <= 0.1
    assert all(pause <= 1.0 for pause in pauses)
    assert pauses[-1] >= 0.5
    backoff.reset()
    assert backoff.pause_s() <= 0.1
