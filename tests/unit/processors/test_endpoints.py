"""Endpoints and predictions in the folds: names and routes by log order; a prediction is history and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.ingest import events as e
from headrace.processors import endpoints
from headrace.processors.endpoints import Endpoint, Target
from headrace.processors.outcome import APPLIED, REFUSED

from tests.world import TABLES

World = Any  # the fixture of conftest.py
ROUTES = [e.EndpointRoute("models:/iris@champion")]


def folded(*events: tuple[str, e.Event]) -> tuple[dict[str, Endpoint], list[str | None]]:
    """Endpoints after these events, each of an endpoint's name, and why each was refused."""
    held: dict[str, Endpoint] = {}
    refusals = [
        endpoints.fold(held, endpoints.subject_of(name), 10 + i, event) for i, (name, event) in enumerate(events)
    ]
    return held, refusals


def test_the_first_to_use_a_name_gets_it_and_a_deleted_name_is_free() -> None:
    created = e.EndpointCreated(ROUTES)
    held, refusals = folded(("a", created), ("a", created), ("a", e.EndpointDeleted()), ("a", created))
    assert refusals == [None, "Endpoint 'a' already exists.", None, None]
    assert held["a"].creation_time_ms == 13


def test_an_update_changes_what_it_names_and_keeps_the_rest() -> None:
    created = e.EndpointCreated(ROUTES, "models:/iris/4", e.EndpointOptions(workers=3))
    held, refusals = folded(("a", created), ("a", e.EndpointUpdated([e.EndpointRoute("models:/iris/2")])))
    assert refusals == [None, None]
    found = held["a"]
    assert (found.uris, found.options.workers) == (["models:/iris/2", "models:/iris/4"], 3)
    assert (found.creation_time_ms, found.last_update_time_ms) == (10, 11)


@pytest.mark.parametrize(
    ("name", "event", "why"),
    [
        ("a/b", e.EndpointCreated(ROUTES), "Invalid endpoint name 'a/b'"),
        ("", e.EndpointCreated(ROUTES), "Invalid endpoint name ''"),
        ("a" * 64, e.EndpointCreated(ROUTES), "at most 63"),
        ("a", e.EndpointCreated([]), "1 to 20 routes"),
        ("a", e.EndpointCreated([e.EndpointRoute("models:/m/1", 0)]), "weight over 0"),
        ("a", e.EndpointCreated([*ROUTES, *ROUTES]), "same model"),
        ("a", e.EndpointCreated(ROUTES, "iris"), "names no model"),
        ("a", e.EndpointCreated([e.EndpointRoute("models:/iris")]), "says no version"),
        ("a", e.EndpointUpdated(ROUTES), "No endpoint 'a' exists"),
        ("a", e.EndpointDeleted(), "No endpoint 'a' exists"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_reason(name: str, event: e.Event, why: str) -> None:
    held, [refusal] = folded((name, event))
    assert why in (refusal or "")
    assert held == {}


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("models:/iris@champion", Target("iris", alias="champion")),
        ("models:/iris/Production", Target("iris", stage="Production")),
        ("models:/team/iris/3", Target("team/iris", version="3")),
        ("models:/m-0123456789abcdef0123456789abcdef", Target(model_id="m-0123456789abcdef0123456789abcdef")),
    ],
)
def test_a_uri_names_a_version_a_stage_an_alias_or_a_logged_model(uri: str, target: Target) -> None:
    assert endpoints.target_of(uri) == target


def test_the_registry_holds_endpoints_by_name(world: World) -> None:
    with world.engine() as engine:
        made = world.append(e.EndpointCreated(ROUTES), endpoints.subject_of("a"))
        again = world.append(e.EndpointCreated(ROUTES), endpoints.subject_of("a"))
        assert world.outcome(engine, made).kind == APPLIED
        assert world.outcome(engine, again).kind == REFUSED
        assert engine.registry.endpoints["a"].routes == ROUTES


def test_a_prediction_is_kept_in_the_history_and_makes_no_run(world: World) -> None:
    world.append(e.RunCreated("0", 1), "a")
    world.append(e.PredictionLogged("a", "iris", "3", status=200), endpoints.subject_of("a"))
    engine = world.settle()
    assert world.views.rows("SELECT run_id FROM runs FINAL") == [("a",)]
    kept = "SELECT subject, outcome, JSONExtractString(data, 'version') FROM events WHERE type LIKE '%prediction%'"
    assert world.views.rows(kept) == [("endpoint:a", "applied", "3")]
    assert not engine.knows(endpoints.subject_of("a"))


def test_predictions_folded_again_after_a_restart_are_kept_once(world: World) -> None:
    world.append(e.RunCreated("0", 1), "r1")
    for _ in range(3):
        world.append(e.PredictionLogged("a"), endpoints.subject_of("a"))
    world.settle()
    before = {name: world.views.rows(sql) for name, sql in TABLES.items()}
    engine = world.settle()
    assert {name: world.views.rows(sql) for name, sql in TABLES.items()} == before
    assert len(before["events"]) == 4
    assert engine.registry.endpoints == {}
