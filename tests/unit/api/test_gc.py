"""Erasing for good: what goes, what is left, who is refused, and that a rebuild gives the very same."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headrace.api.erasing import Eraser
from headrace.api.erasing_answers import Wanted
from headrace.api.errors import unavailable
from headrace.api.stores.local import LocalStore
from headrace.api.stores.store import Entry
from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition
from headrace.ingest.verifying import verify
from headrace.processors.erasing import Sweeper

from tests.unit.api.conftest import V2, Server

GC = "/api/headrace/v1/gc"
SECRET = "sEcReT-kq8x2v9z"
DAY_MS = 86_400_000


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """An app on an empty folder, for one test."""
    made = Server(tmp_path / "data")
    yield made
    made.close()


def gc(server: Server, **asked: Any) -> Any:
    """One call that must succeed."""
    answer = server.call("POST", GC, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def full_run(server: Server, experiment_id: str = "0") -> str:
    """A run with something of everything, secrets in all."""
    run_id: str = server.post("runs/create", experiment_id=experiment_id, run_name=SECRET)["run"]["info"]["run_id"]
    server.post("runs/log-parameter", run_id=run_id, key="p", value=SECRET)
    server.post("runs/set-tag", run_id=run_id, key="t", value=SECRET)
    for step in range(3):
        server.post("runs/log-metric", run_id=run_id, key=SECRET, value=step, timestamp=step, step=step)
    put = server.call("PUT", f"/api/headrace/v1/runs/{run_id}/artifacts/a/b.txt", content=SECRET.encode())
    assert put.status_code == 200
    return run_id


def deleted_run(server: Server) -> str:
    """A full run in the bin."""
    run_id = full_run(server)
    server.post("runs/delete", run_id=run_id)
    return run_id


def with_secret(folder: Path) -> list[str]:
    """The files that hold the secret, in their content or their name."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # the engine has merged it away
                if SECRET in name or SECRET.encode() in (Path(place) / name).read_bytes():
                    found.append(name)
    return found


def test_nothing_is_left_of_an_erased_run_but_its_tombstone(fresh: Server) -> None:
    run_id, other = deleted_run(fresh), fresh.new_run()
    before = fresh.run(other)
    assert gc(fresh)["runs"] == []
    fresh.clock.advance(31 * DAY_MS / 1000)
    dry = gc(fresh, dry_run=True)
    assert [(x["run_id"], x["files"], x["points"]) for x in dry["runs"]] == [(run_id, 1, 3)]
    done = gc(fresh)
    assert [x | {"late": False} for x in done["runs"]] == dry["runs"]
    assert (done["left"], done["more"]) == ([], False)
    message = fresh.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()
    assert message["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "erased at 2023-12-15" in message["message"]
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        found = fresh.post("runs/search", experiment_ids=["0"], run_view_type=view).get("runs", [])
        assert run_id not in [run["info"]["run_id"] for run in found]
    told = fresh.call("GET", "/api/headrace/v1/history", params={"kind": "run", "id": run_id}).json()["entries"]
    assert [x["type"].rsplit(".", 1)[1] for x in told] == ["deleted", "erasing", "erased"]
    assert fresh.run(other) == before
    assert not (fresh.folder / "artifacts" / "0" / run_id / "artifacts" / "a").exists()
    assert gc(fresh)["runs"] == []
    deadline_s = time.monotonic() + 120
    while (held := with_secret(fresh.folder)) and time.monotonic() < deadline_s:
        time.sleep(0.5)  # the engine removes files of its own accord
    assert held == []


def logged(server: Server, topic: str) -> str:
    """The records of a topic."""
    return repr(server.log.read(Partition(topic, 0), 0, 1000, 2**30))


def rebuilt_equal(server: Server) -> bool:
    """Whether the log, folded from its start, gives the views there are."""
    path = "/api/headrace/v1/rebuild"
    assert server.call("POST", path, json={"exchange": False}).status_code == 202
    deadline_s = time.monotonic() + 60
    while (state := server.call("GET", path).json())["state"] == "running":
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert state["state"] == "done", state
    return bool(state["equal"])


def sent(server: Server, *envelopes: Envelope) -> Any:
    """What the gateway answers to frames."""
    body = b"".join(codec.encode_frame(x) for x in envelopes)
    return server.call("POST", "/api/headrace/v1/events", content=body).json()


def sdk(event: events.Event, run_id: str, sequence: int) -> Envelope:
    """An event as a trainer sends it."""
    return Envelope(f"w:{sequence}", codec.type_of(event), "sdk", run_id, 5, codec.encode_event(event), writer="w",
                    sequence=sequence)  # fmt: skip


def test_a_rebuild_after_gc_gives_the_very_same_views(fresh: Server) -> None:
    kept = full_run(fresh)
    experiment = fresh.post("experiments/create", name="old")["experiment_id"]
    inside = full_run(fresh, experiment)
    sent(fresh, sdk(events.AttributesLogged({"x": "1"}), inside, 1), sdk(events.RunHeartbeat(), inside, 2))
    taken = fresh.post("experiments/create", name="other")["experiment_id"]
    fresh.post("experiments/update", experiment_id=experiment, new_name="older")
    fresh.refused("experiments/update", "RESOURCE_ALREADY_EXISTS", experiment_id=taken, new_name="older")
    sent(fresh, sdk(events.ExperimentCreated("older", if_absent=True), "123456789012345678", 1))
    fresh.post("experiments/delete", experiment_id=experiment)
    deleted_run(fresh)
    deleted = gc(fresh, older_than="0s")
    assert (len(deleted["runs"]), deleted["experiments"], deleted["left"]) == (2, [experiment], [])
    full_run(fresh)
    assert rebuilt_equal(fresh)
    assert verify(fresh.log).faults == []
    assert fresh.data(kept, "params") == {"p": SECRET}
    told = fresh.call("GET", f"{V2}/experiments/get", params={"experiment_id": experiment}).json()["message"]
    assert "it was erased at" in told


def test_the_name_of_an_erased_experiment_is_free_and_what_comes_of_it_begins_anew(fresh: Server) -> None:
    first = fresh.post("experiments/create", name="x", tags=[{"key": "t", "value": SECRET}])["experiment_id"]
    fresh.post("experiments/delete", experiment_id=first)
    fresh.refused("experiments/create", "RESOURCE_ALREADY_EXISTS", name="x")
    assert gc(fresh, experiment_ids=[first])["experiments"] == [first]
    again = fresh.post("experiments/create", name="x")["experiment_id"]
    found = fresh.call("GET", f"{V2}/experiments/get", params={"experiment_id": again}).json()["experiment"]
    assert "tags" not in found
    assert gc(fresh, older_than="0s")["experiments"] == []
    assert rebuilt_equal(fresh)
    assert SECRET not in logged(fresh, "registry")


def test_a_trainer_that_comes_back_after_its_run_was_erased_is_told_so_and_changes_nothing(fresh: Server) -> None:
    run_id = full_run(fresh)
    sent(fresh, sdk(events.AttributesLogged({"x": "1"}), run_id, 1))
    fresh.post("runs/delete", run_id=run_id)
    gc(fresh, run_ids=[run_id])
    late = sdk(events.AttributesLogged({"x": SECRET}), run_id, 2)
    points = Envelope("w:3", events.METRICS_LOGGED, "sdk", run_id, 5, b"?", writer="w", sequence=1)
    answer = sent(fresh, late, points, sdk(events.RunHeartbeat(), fresh.new_run(), 1))
    assert answer["accepted"] == 1
    assert [x["index"] for x in answer["rejected"]] == [0, 1]
    assert "was erased" in answer["rejected"][0]["reason"]
    for path, body in (
        ("runs/log-metric", {"key": "k", "value": 1, "timestamp": 1}),
        ("runs/set-tag", {"key": "k", "value": "v"}),
        ("runs/restore", {}),
        ("runs/delete", {}),
        ("runs/update", {"run_name": "n"}),
    ):
        fresh.refused(path, "RESOURCE_DOES_NOT_EXIST", 404, run_id=run_id, **body)
    for place in (
        f"/api/headrace/v1/runs/{run_id}/artifacts/a",
        f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/a",
    ):
        assert fresh.call("PUT", place, content=b"x").status_code in (400, 404)
    assert rebuilt_equal(fresh)


def test_what_came_past_the_gateway_is_erased_by_the_next_gc(fresh: Server) -> None:
    run_id = deleted_run(fresh)
    gc(fresh, run_ids=[run_id])
    fresh.log.append([sdk(events.AttributesLogged({"x": SECRET}), run_id, 9)])
    done = gc(fresh)
    assert [(x["run_id"], x["late"], x["records"]) for x in done["runs"]] == [(run_id, True, 1)]
    assert gc(fresh)["runs"] == []
    assert SECRET not in logged(fresh, "runs")
    assert rebuilt_equal(fresh)


def test_a_run_that_others_were_forked_from_stays_until_they_go_too(fresh: Server) -> None:
    source = full_run(fresh)
    fork = fresh.call("POST", "/api/headrace/v1/runs/fork", json={"run_id": source, "step": 1}).json()
    fork_id = fork["run"]["info"]["run_id"] if "run" in fork else fork["run_id"]
    fresh.post("runs/delete", run_id=source)
    refused = gc(fresh, older_than="0s")
    assert refused["runs"] == []
    assert [x["id"] for x in refused["left"]] == [source]
    assert fork_id in refused["left"][0]["reason"]
    fresh.post("runs/delete", run_id=fork_id)
    assert [x["run_id"] for x in gc(fresh, older_than="0s")["runs"]] == [fork_id, source]


def test_only_what_lies_in_the_bin_is_erased(fresh: Server) -> None:
    run_id = full_run(fresh)
    left = gc(fresh, run_ids=[run_id, "nope"], experiment_ids=["0", "77"])["left"]
    assert [(x["id"], x["reason"]) for x in left] == [
        ("0", "it is not in the bin; delete it first"),
        ("77", "there is no such experiment"),
        (run_id, "it is not in the bin; delete it first"),
        ("nope", "there is no such run"),
    ]
    assert fresh.data(run_id, "params") == {"p": SECRET}


def test_runs_older_than_their_experiments_retention_are_put_in_the_bin_and_erased_after_the_grace(
    fresh: Server,
) -> None:
    experiment = fresh.post("experiments/create", name="kept for a while")["experiment_id"]
    fresh.post("experiments/set-experiment-tag", experiment_id=experiment, key="headrace.retention", value="90d")
    ended, running = full_run(fresh, experiment), full_run(fresh, experiment)
    fresh.post("runs/update", run_id=ended, status="FINISHED", end_time=fresh.clock.time_ms())
    fresh.clock.advance(89 * DAY_MS / 1000)
    assert gc(fresh)["binned"] == []
    fresh.clock.advance(2 * DAY_MS / 1000)
    assert gc(fresh, dry_run=True)["binned"] == [ended]
    assert gc(fresh)["binned"] == [ended]
    assert fresh.run(ended)["info"]["lifecycle_stage"] == "deleted"
    fresh.clock.advance(31 * DAY_MS / 1000)
    assert [x["run_id"] for x in gc(fresh)["runs"]] == [ended]
    assert fresh.run(running)["info"]["lifecycle_stage"] == "active"
    fresh.post("experiments/set-experiment-tag", experiment_id=experiment, key="headrace.retention", value="soon")
    assert "no duration" in gc(fresh)["left"][0]["reason"]


def test_a_logged_model_in_the_bin_is_erased_with_its_files(fresh: Server) -> None:
    made = fresh.post("logged-models", experiment_id="0", name="m", params=[{"key": "p", "value": SECRET}])["model"]
    model_id, uri = made["info"]["model_id"], made["info"]["artifact_uri"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{uri.removeprefix('mlflow-artifacts:/')}/model.bin"
    assert fresh.call("PUT", path, content=SECRET.encode()).status_code == 200
    assert fresh.call("DELETE", f"{V2}/logged-models/{model_id}").status_code == 200
    assert gc(fresh, older_than="0s")["logged_models"] == [model_id]
    assert "was erased" in fresh.call("GET", f"{V2}/logged-models/{model_id}").json()["message"]
    assert not list((fresh.folder / "artifacts").rglob("model.bin"))
    assert SECRET not in logged(fresh, "registry")
    assert rebuilt_equal(fresh)


def test_the_past_of_an_erased_run_is_gone_too(fresh: Server) -> None:
    run_id = full_run(fresh)
    fresh.clock.advance(10)
    moment = str(fresh.clock.time_ms())
    fresh.clock.advance(DAY_MS / 1000)
    fresh.post("runs/delete", run_id=run_id)
    asked = {"experiment_ids": ["0"], "run_view_type": "ALL", "as_of": moment}
    assert len(fresh.post("runs/search", **asked)["runs"]) == 1
    gc(fresh, run_ids=[run_id])
    assert fresh.post("runs/search", **asked).get("runs", []) == []
    for as_of in (moment, "runs/0/3"):
        assert fresh.call("GET", f"{V2}/runs/get", params={"run_id": run_id, "as_of": as_of}).status_code == 404


def test_wrong_requests_of_gc_are_refused_with_a_sentence(fresh: Server) -> None:
    for asked in (
        {"older_than": "soon"},
        {"older_than": "-1d"},
        {"older_than": "30"},
        {"older_than": ""},
        {"run_ids": "r"},
        {"run_ids": [1]},
    ):
        answer = fresh.call("POST", GC, json=asked)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), asked
    assert fresh.call("POST", GC, content=b"\xff").status_code == 400


class Down(LocalStore):
    """A store that does not answer now."""

    def list(self, path: str) -> list[Entry]:
        raise unavailable("the store is down")


def test_a_run_whose_artifacts_cannot_be_deleted_now_is_closed_reported_and_finished_later(fresh: Server) -> None:
    run_id = deleted_run(fresh)
    s = fresh.services
    store = Down(fresh.folder / "artifacts")
    eraser = Eraser(Sweeper(s.log, s.views), s.views, s.engine, s.tracking, s.past, store, s.clock)
    done = fresh.wait(eraser.erase(Wanted(run_ids=[run_id]), dry_run=False))
    assert (done.runs, [x.id for x in done.left]) == ([], [run_id])
    assert "store is down" in done.left[0].reason
    fresh.refused("runs/restore", "RESOURCE_DOES_NOT_EXIST", 404, run_id=run_id)
    assert "being erased since" in fresh.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()["message"]
    assert [(x["run_id"], x["files"]) for x in gc(fresh)["runs"]] == [(run_id, 1)]
    assert rebuilt_equal(fresh)


def test_a_restart_remembers_which_runs_were_erased(tmp_path: Path) -> None:
    before = Server(tmp_path / "data")
    run_id = deleted_run(before)
    gc(before, run_ids=[run_id])
    before.close()
    after = Server(tmp_path / "data")
    answer = sent(after, sdk(events.AttributesLogged({"x": SECRET}), run_id, 7))
    assert (answer["accepted"], len(answer["rejected"])) == (0, 1)
    assert "erased at" in after.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()["message"]
    assert after.post("runs/search", experiment_ids=["0"], run_view_type="ALL").get("runs", []) == []
    after.close()


def test_a_time_longer_than_any_is_taken_as_it_is(fresh: Server) -> None:
    deleted_run(fresh)
    assert gc(fresh, older_than=f"{'9' * 50}w")["runs"] == []
    fresh.post("experiments/set-experiment-tag", experiment_id="0", key="headrace.retention", value=f"{'9' * 50}w")
    assert gc(fresh)["binned"] == []


def test_a_tombstone_says_who_erased_and_who_had_deleted(fresh: Server) -> None:
    run_id = full_run(fresh)
    who = {"headers": {"X-Headrace-Actor": "ada"}}
    fresh.call("POST", f"{V2}/runs/delete", json={"run_id": run_id}, **who)
    assert fresh.call("POST", GC, json={"run_ids": [run_id]}, headers={"X-Headrace-Actor": "bob"}).status_code == 200
    message = fresh.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()["message"]
    assert message.endswith("by bob")
    told = fresh.call("GET", "/api/headrace/v1/history", params={"kind": "run", "id": run_id}).json()["entries"]
    assert [x["actor"] for x in told] == ["ada", "bob", "bob"]


def test_no_client_can_say_that_a_run_is_erased(fresh: Server) -> None:
    run_id = deleted_run(fresh)
    answer = sent(fresh, sdk(events.RunErasing("0"), run_id, 1), sdk(events.RunErased(), run_id, 2))
    assert (answer["accepted"], len(answer["rejected"])) == (0, 2)
    assert fresh.data(run_id, "params") == {"p": SECRET}
