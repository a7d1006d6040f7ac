"""MLflow's registry API on registered models, their tags and aliases: as stock's store answers, by log order."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.api.conftest import V2, Server
from tests.unit.api.registry import Registry


@pytest.fixture
def registry(server: Server) -> Registry:
    """The registry of the module's server."""
    return Registry(server)


def test_a_model_is_created_with_tags_and_description_and_read_by_its_name(registry: Registry) -> None:
    made = registry.ask(
        "POST", "registered-models/create", name="made ü", description="d", tags=[{"key": "a", "value": "1"}]
    )["registered_model"]
    assert (made["name"], made["description"], made["tags"]) == ("made ü", "d", [{"key": "a", "value": "1"}])
    assert made["creation_timestamp"] == made["last_updated_timestamp"] == 1_700_000_000_000
    assert registry.model("made ü") == made


def test_a_name_that_is_taken_is_refused_until_its_model_is_deleted(registry: Registry) -> None:
    name = registry.new()
    message = registry.refused("POST", "registered-models/create", "RESOURCE_ALREADY_EXISTS", name=name)
    assert message == f"Registered Model (name={name}) already exists."
    registry.version(name)
    registry.ask("DELETE", "registered-models/delete", name=name)
    assert "not found" in registry.refused("GET", "registered-models/get", "RESOURCE_DOES_NOT_EXIST", name=name)
    registry.ask("POST", "registered-models/create", name=name)
    assert registry.version(name)["version"] == "1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Missing value for required parameter 'name'"),
        ("  ", "Missing value for required parameter 'name'"),
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Names cannot contain"),
        ("..", "names are used as paths"),
        ("x" * 257, "at most 256"),
    ],
)
def test_a_name_that_no_uri_could_name_is_refused(registry: Registry, name: str, message: str) -> None:
    assert message in registry.refused("POST", "registered-models/create", name=name)


def test_two_writers_that_race_for_a_name_get_one_winner_and_one_clear_error(registry: Registry) -> None:
    server = registry.server

    async def race() -> list[int]:
        calls = [server._client.post(f"{V2}/registered-models/create", json={"name": "raced"}) for _ in range(8)]
        return [answer.status_code for answer in await asyncio.gather(*calls)]

    assert sorted(server.wait(race())) == [200] + [400] * 7


def test_versions_that_are_made_at_once_have_one_number_each(registry: Registry) -> None:
    name, server = registry.new(), registry.server

    async def race() -> list[str]:
        body = {"name": name, "source": "s3://bucket/model"}
        calls = [server._client.post(f"{V2}/model-versions/create", json=body) for _ in range(12)]
        return [answer.json()["model_version"]["version"] for answer in await asyncio.gather(*calls)]

    assert sorted(server.wait(race()), key=int) == [str(number) for number in range(1, 13)]


def test_a_rename_takes_versions_and_aliases_along_and_is_refused_for_a_taken_name(registry: Registry) -> None:
    name, other = registry.new(), registry.new()
    registry.version(name)
    registry.ask("POST", "registered-models/alias", name=name, alias="champion", version="1")
    assert "already exists" in registry.refused(
        "POST", "registered-models/rename", "RESOURCE_ALREADY_EXISTS", name=name, new_name=other
    )
    renamed = registry.ask("POST", "registered-models/rename", name=name, new_name=f"{name}-2")["registered_model"]
    assert renamed["aliases"] == [{"alias": "champion", "version": "1"}]
    assert registry.get(f"{name}-2", "1")["name"] == f"{name}-2"
    registry.refused("GET", "model-versions/get", "RESOURCE_DOES_NOT_EXIST", name=name, version="1")
    registry.refused("POST", "registered-models/rename", name=f"{name}-2", new_name="")


def test_a_description_is_set_and_its_time_kept(registry: Registry) -> None:
    name = registry.new()
    registry.server.clock.advance(5)
    told = registry.ask("PATCH", "registered-models/update", name=name, description="new")["registered_model"]
    assert told["description"] == "new"
    assert told["last_updated_timestamp"] - told["creation_timestamp"] == 5_000
    assert "exceeds" in registry.refused("PATCH", "registered-models/update", name=name, description="x" * 100_001)


def test_tags_are_set_and_taken_away(registry: Registry) -> None:
    name = registry.new()
    for value in ("1", "2"):
        registry.ask("POST", "registered-models/set-tag", name=name, key="a b", value=value)
    assert registry.model(name)["tags"] == [{"key": "a b", "value": "2"}]
    for _ in range(2):
        registry.ask("DELETE", "registered-models/delete-tag", name=name, key="a b")
    assert "tags" not in registry.model(name)
    assert "Missing value" in registry.refused("POST", "registered-models/set-tag", name=name, value="x")
    registry.refused("POST", "registered-models/set-tag", name=name, key="k", value="x" * 100_001)
    registry.refused("POST", "registered-models/set-tag", "RESOURCE_DOES_NOT_EXIST", name="none", key="k")


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V22", "a b", "a/b", "x" * 256, ""])
def test_an_alias_that_is_reserved_or_no_name_is_refused(registry: Registry, alias: str) -> None:
    name = registry.new()
    registry.version(name)
    registry.refused("POST", "registered-models/alias", name=name, alias=alias, version="1")


def test_an_alias_points_to_one_version_and_goes_with_it(registry: Registry) -> None:
    name = registry.new()
    for _ in range(2):
        registry.version(name)
    for version in ("1", "2"):
        registry.ask("POST", "registered-models/alias", name=name, alias="champion", version=version)
    found = registry.ask("GET", "registered-models/alias", name=name, alias="champion")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["champion"])
    assert "aliases" not in registry.get(name, "1")
    registry.ask("DELETE", "model-versions/delete", name=name, version="2")
    message = registry.refused("GET", "registered-models/alias", name=name, alias="champion")
    assert message == "Registered model alias champion not found."
    assert registry.ask("GET", "registered-models/alias", name=name, alias="Latest")["model_version"]["version"] == "1"
    registry.ask("DELETE", "registered-models/alias", name=name, alias="champion")
    registry.refused("POST", "registered-models/alias", "RESOURCE_DOES_NOT_EXIST", name=name, alias="a", version="9")
    registry.refused("POST", "registered-models/alias", name=name, alias="a", version="one")


def test_models_are_found_by_name_tag_and_alias_in_order_a_page_at_a_time(registry: Registry) -> None:
    names = sorted(registry.new("found") for _ in range(3))
    registry.ask("POST", "registered-models/set-tag", name=names[1], key="team", value="vision")
    registry.version(names[2])
    registry.ask("POST", "registered-models/alias", name=names[2], alias="live", version="1")

    def found(filter: str, **more: object) -> list[str]:
        answer = registry.ask("GET", "registered-models/search", filter=filter, **more)
        return [model["name"] for model in answer.get("registered_models", [])]

    assert found("name LIKE 'found-%'") == names
    assert found("name ILIKE 'FOUND-%'", order_by=["name DESC"]) == names[::-1]
    assert found("tags.team = 'vision'") == [names[1]]
    assert found(f"name IN ('{names[0]}', '{names[2]}')") == [names[0], names[2]]
    assert found("alias = 'live'") == [names[2]]
    first = registry.ask("GET", "registered-models/search", filter="name LIKE 'found-%'", max_results=2)
    token = first["next_page_token"]
    assert found("name LIKE 'found-%'", max_results=2, page_token=token) == names[2:]


@pytest.mark.parametrize(
    "asked",
    [
        {"max_results": 1001}, {"max_results": 0}, {"filter": "run_id = 'x'"}, {"filter": "name > 'a'"},
        {"order_by": ["run_id"]}, {"order_by": ["name", "name DESC"]}, {"page_token": "no token"},
        {"filter": "name = 'a' AND"},
    ],
)  # fmt: skip
def test_a_wrong_search_is_refused(registry: Registry, asked: dict[str, object]) -> None:
    registry.refused("GET", "registered-models/search", **asked)


def test_prompts_are_shown_only_to_who_asks_for_them(registry: Registry) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    registry.ask("POST", "registered-models/create", name="prompt-a", tags=tags)
    made = registry.version("prompt-a", "dummy-source", tags=tags)
    assert made["status"] == "READY"
    registry.refused("POST", "model-versions/create", name="prompt-a", source="s3://x", tags=tags)

    def found(filter: str) -> list[str]:
        answer = registry.ask("GET", "registered-models/search", filter=filter)
        return [model["name"] for model in answer.get("registered_models", [])]

    assert found("name LIKE 'prompt%'") == []
    assert found("name LIKE 'prompt%' AND tags.`mlflow.prompt.is_prompt` = 'true'") == ["prompt-a"]


def test_a_model_is_read_as_of_a_moment(registry: Registry) -> None:
    name = registry.new()
    registry.version(name)
    [end] = [offset for partition, offset in registry.server.log.end().items() if partition.topic == "registry"]
    registry.ask("POST", "registered-models/rename", name=name, new_name=f"{name}-later")
    registry.ask("DELETE", "model-versions/delete", name=f"{name}-later", version="1")
    then = {"as_of": f"registry/0/{end}"}
    assert [version["version"] for version in registry.model(name, **then)["latest_versions"]] == ["1"]
    assert registry.get(name, "1", **then)["status"] == "READY"
    versions = registry.ask("GET", "model-versions/search", filter=f"name = '{name}'", **then)["model_versions"]
    assert len(versions) == 1
    assert "not found" in registry.refused("GET", "registered-models/get", "RESOURCE_DOES_NOT_EXIST", name=name)
