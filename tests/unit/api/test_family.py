"""The runs around a run: parents, children, forks."""

from __future__ import annotations

from typing import Any

from headrace.api.family import RELATIVES_MAX
from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope

from tests.unit.api.conftest import Server
from tests.unit.api.test_life_cycle import fork


def family(server: Server, run_id: str, status: int = 200) -> Any:
    response = server.call("GET", f"/api/headrace/v1/runs/{run_id}/family")
    assert response.status_code == status, response.text
    return response.json()


def nested(server: Server, parent: str, name: str, experiment_id: str = "0") -> str:
    tags = [{"key": "mlflow.parentRunId", "value": parent}]
    run = server.post("runs/create", experiment_id=experiment_id, run_name=name, tags=tags)["run"]
    server.clock.advance(1)
    found: str = run["info"]["run_id"]
    return found


def names(told: list[Any]) -> list[str]:
    return [x["run_name"] for x in told]


def ids(told: list[Any]) -> list[str]:
    return [x["run_id"] for x in told]


def test_a_run_alone_has_no_family(server: Server) -> None:
    told = family(server, server.new_run())
    assert told == {
        "ancestors": [], "children": [], "forked_from": None, "fork_step": None, "forks": [], "more": False
    }  # fmt: skip


def test_children_are_told_in_the_order_they_began_wherever_they_are(server: Server) -> None:
    elsewhere = server.post("experiments/create", name="where a child is")["experiment_id"]
    root = server.new_run()
    first, binned = nested(server, root, "first"), nested(server, root, "binned", elsewhere)
    grandchild = nested(server, first, "grandchild")
    server.post("runs/delete", run_id=binned)
    told = family(server, root)
    assert names(told["children"]) == ["first", "binned"]
    assert [x["lifecycle_stage"] for x in told["children"]] == ["active", "deleted"]
    assert told["children"][1]["experiment_id"] == elsewhere
    assert ids(family(server, grandchild)["ancestors"]) == [root, first]


def test_forks_and_their_source_name_each_other(server: Server) -> None:
    source = server.new_run()
    forked = fork(server, source, 7)
    told = family(server, forked)
    assert (told["forked_from"]["run_id"], told["fork_step"]) == (source, 7)
    [one] = family(server, source)["forks"]
    assert (one["run_id"], one["fork_step"]) == (forked, 7)


def test_a_chain_that_bites_its_tail_comes_to_an_end(server: Server) -> None:
    root = server.new_run()
    child = nested(server, root, "child")
    server.post("runs/set-tag", run_id=root, key="mlflow.parentRunId", value=child)
    assert ids(family(server, root)["ancestors"]) == [child]
    server.post("runs/set-tag", run_id=root, key="mlflow.parentRunId", value=root)
    told = family(server, root)
    assert (told["ancestors"], names(told["children"])) == ([], ["child"])


def test_parents_that_are_not_there_are_left_out(server: Server) -> None:
    assert family(server, nested(server, "gone' OR 1=1", "orphan"))["ancestors"] == []
    family(server, "nobody", 404)


def test_more_children_than_fit_are_owned_up_to(server: Server) -> None:
    root = server.new_run()
    created = events.RunCreated("0", 1, "child", tags={"mlflow.parentRunId": root})
    server.log.append(
        [
            Envelope("c", codec.type_of(created), "test", f"child-{i}", 5, codec.encode_event(created))
            for i in range(RELATIVES_MAX + 1)
        ]
    )
    told = family(server, root)
    assert (len(told["children"]), told["more"]) == (RELATIVES_MAX, True)
