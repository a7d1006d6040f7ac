"""The search over everything: what is found, in which order, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headrace.api.find import stored_runs
from headrace.api.hits import BEGIN, EXACT, INSIDE, WORD, Asked

from tests.unit.api.conftest import Server

PATH = "/api/headrace/v1/find"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app with one or more of each kind."""
    folder: Path = tmp_path_factory.mktemp("data")
    server = Server(folder)
    server.clock.advance(1)
    kept = server.post("experiments/create", name="Churn forecasts")["experiment_id"]
    binned = server.post("experiments/create", name="Churn, old")["experiment_id"]
    server.post("runs/create", experiment_id=binned, run_name="churn-in-the-bin")
    for name in ("churn-tree", "churn", "deep churn", "unchurned", "other"):
        server.post("runs/create", experiment_id=kept, run_name=name, start_time=1_000)
        server.clock.advance(1)
    server.post("experiments/delete", experiment_id=binned)
    server.post("registered-models/create", name="churn model")
    server.post("model-versions/create", name="churn model", source="s3://bucket/model")
    server.post("registered-models/alias", name="churn model", alias="champion", version="1")
    server.call("POST", "/api/headrace/v1/endpoints", json={"name": "churn", "model": "models:/churn@champion"})
    view = {"name": "Churn by loss", "path": f"/experiments/{kept}", "query": "sort=-metrics.loss"}
    server.call("POST", "/api/headrace/v1/views", json=view)
    yield server
    server.close()


def find(server: Server, q: str, **query: Any) -> list[Any]:
    answer = server.call("GET", PATH, params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["hits"]
    return found


def test_words_find_every_kind_and_nothing_in_the_bin(filled: Server) -> None:
    found = find(filled, "CHURN")
    assert {hit["kind"] for hit in found} == {"experiment", "run", "model", "endpoint", "view"}
    assert not [hit for hit in found if "old" in hit["name"] or "bin" in hit["name"]]


def test_what_matches_best_comes_first(filled: Server) -> None:
    runs = [hit["name"] for hit in find(filled, "churn", kinds="run")]
    assert runs == ["churn", "churn-tree", "deep churn", "unchurned"]


def test_a_hit_leads_to_its_place_on_the_page(filled: Server) -> None:
    [version] = find(filled, "churn model@champion", kinds="version")
    assert (version["path"], version["detail"]) == ("/models/churn%20model/versions/1", "@champion")
    [view] = find(filled, "loss", kinds="view")
    assert view["path"].endswith(f"?sort=-metrics.loss&view={view['id']}")
    assert view["detail"] == "Churn forecasts"
    [run] = find(filled, "tree", kinds="run")
    assert run["path"].endswith(f"/runs/{run['id']}")
    assert run["detail"] == "Churn forecasts · running"


def test_a_run_is_found_by_the_beginning_of_its_id(filled: Server) -> None:
    [run] = find(filled, "other", kinds="run")
    assert [hit["id"] for hit in find(filled, run["id"][:8], kinds="run")] == [run["id"]]
    assert find(filled, run["id"][:3], kinds="run") == []


def test_a_version_is_found_by_name_and_number(filled: Server) -> None:
    for q in ("churn model 1", "churn model/1", "model 1", "churn model v1", "churn@champion", "Churn Model V1"):
        assert [hit["id"] for hit in find(filled, q, kinds="version")] == ["churn model/1"], q
    assert find(filled, "churn model 2", kinds="version") == []


def test_there_are_no_more_than_were_asked_for(filled: Server) -> None:
    answer = filled.call("GET", PATH, params={"q": "churn", "limit": 2, "kinds": "run,endpoint"}).json()
    assert [hit["kind"] for hit in answer["hits"]].count("run") == 2
    assert answer["more"] == ["run"]


def test_an_empty_question_finds_the_newest(filled: Server) -> None:
    assert [hit["name"] for hit in find(filled, "", kinds="experiment", limit=1)] == ["Churn forecasts"]


def test_runs_that_are_only_in_the_views_are_found_as_well(filled: Server) -> None:
    filled.wait(filled.services.tracking.caught_up())
    for q in ("churn", "CHURN tree", "", "nothing of this name"):
        in_memory = [hit["id"] for hit in find(filled, q, kinds="run")]
        stored = [ranked.hit.id for ranked in stored_runs(filled.services, Asked(q), 9)]
        assert set(stored) == set(in_memory)
        assert stored[:1] == in_memory[:1]


@pytest.mark.parametrize(
    ("query", "why"),
    [({"q": "x" * 201}, "200"), ({"kinds": "runs"}, "there are no 'runs'"), ({"limit": 0}, "1"), ({"limit": 51}, "50")],
)
def test_a_wrong_question_is_told_what_is_wrong(filled: Server, query: dict[str, Any], why: str) -> None:
    answer = filled.call("GET", PATH, params=query)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert why in answer.json()["message"]


@pytest.mark.parametrize(
    ("q", "name", "rank"),
    [
        ("loss", "Loss", EXACT),
        ("by l", "By loss", BEGIN),
        ("loss", "by_loss", WORD),
        ("oss", "by loss", INSIDE),
        ("loss by", "by loss", INSIDE),
        ("loss x", "by loss", None),
        ("straße", "STRASSE", EXACT),
        (".*", "anything", None),
    ],
)
def test_a_name_is_ranked_by_where_the_words_are(q: str, name: str, rank: int | None) -> None:
    assert Asked(q).rank(name) == rank
