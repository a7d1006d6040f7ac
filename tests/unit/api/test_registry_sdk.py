"""`headrace.registry` and `headrace models` against the whole app: what people ask of the registry, now and then."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from headrace import registry
from headrace.sdk.cli.main import main
from headrace.sdk.reader import Reader, ReadFailed

from tests.through import AppTarget, reader_of
from tests.unit.api.conftest import Server

Cli = Callable[..., Result]
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "registry.md"


@pytest.fixture(scope="module")
def source(server: Server) -> Reader:
    return reader_of(server)


@pytest.fixture
def cli(server: Server) -> Cli:
    """Runs `headrace models …`, which must end with the code."""

    def run(*arguments: str, code: int = 0, input: str | None = None) -> Result:
        done = CliRunner().invoke(main, ["models", *arguments], obj=AppTarget(server), input=input)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def told(done: Result) -> Any:
    return json.loads(done.stdout)


def position(server: Server) -> str:
    """The moment behind all that was written."""
    end = server.log.end()
    return ",".join(f"{p.topic}/{p.partition}/{offset}" for p, offset in end.items())


def test_a_model_goes_through_stages_and_each_moment_is_one_question(server: Server, source: Reader) -> None:
    for number in range(3):
        made = registry.register_model(f"s3://b/{number}", "iris", {"n": number}, f"v{number}", source=source)
        assert (made.version, made.status, made.tags, made.description) == (
            number + 1,
            "READY",
            {"n": str(number)},
            f"v{number}",
        )
    moments = []
    for version in (1, 2, 1):
        registry.transition_model_version_stage("iris", version, "Production", True, f"to {version}", source=source)
        registry.set_registered_model_alias("iris", "champion", version, source=source)
        moments.append(position(server))
    at = [registry.get_versions_in_stage("iris", "production", then, source=source) for then in moments]
    assert [[(x.version, x.stage_comment) for x in found] for found in at] == [
        [(1, "to 1")],
        [(2, "to 2")],
        [(1, "to 1")],
    ]
    by_alias = [registry.get_model_version_by_alias("iris", "champion", then, source=source) for then in moments]
    assert [x.version for x in by_alias] == [1, 2, 1]
    assert [registry.get_model_version("iris", 2, then, source=source).current_stage for then in moments] == [
        "None",
        "Production",
        "Archived",
    ]
    latest = registry.get_latest_versions("iris", as_of=moments[1], source=source)
    assert {x.current_stage: x.version for x in latest} == {"None": 3, "Production": 2, "Archived": 1}
    uris = ("models:/iris/2", "models:/iris/Production", "models:/iris/latest", "models:/iris@champion")
    assert [registry.get_model_version_by_uri(uri, source=source).version for uri in uris] == [2, 1, 3, 1]
    with pytest.raises(ValueError, match="models:/name/stage"):
        registry.get_model_version_by_uri("models:/iris", source=source)


def test_a_model_that_was_renamed_is_asked_for_by_its_name_of_today(server: Server, source: Reader) -> None:
    registry.register_model("s3://b/m", "before", source=source)
    registry.transition_model_version_stage("before", 1, "Staging", source=source)
    then = position(server)
    registry.rename_registered_model("before", "after", source=source)
    assert [x.name for x in registry.get_versions_in_stage("after", "Staging", then, source=source)] == ["before"]
    assert [x.name for x in registry.get_versions_in_stage("before", "Staging", then, source=source)] == ["before"]
    with pytest.raises(ReadFailed, match="not found"):
        registry.get_versions_in_stage("before", "Staging", source=source)
    with pytest.raises(ReadFailed, match="Invalid Model Version stage: Nowhere"):
        registry.get_versions_in_stage("after", "Nowhere", source=source)


def test_models_and_versions_are_described_tagged_searched_and_deleted(source: Reader) -> None:
    made = registry.create_registered_model("notes", {"team": "a"}, "old", source=source)
    assert (made.name, made.tags, made.description, made.latest_versions) == ("notes", {"team": "a"}, "old", [])
    registry.describe_registered_model("notes", "new", source=source)
    registry.set_registered_model_tag("notes", "k", 1, source=source)
    registry.delete_registered_model_tag("notes", "team", source=source)
    version = registry.create_model_version("notes", "s3://b/m", source=source)
    registry.describe_model_version("notes", version.version, "text", source=source)
    registry.set_model_version_tag("notes", 1, "q", "v", source=source)
    registry.set_model_version_tag("notes", 1, "gone", "v", source=source)
    registry.delete_model_version_tag("notes", 1, "gone", source=source)
    [found] = registry.search_registered_models("name LIKE 'not%' AND tags.k = '1'", source=source)
    assert (found.description, found.tags, [x.version for x in found.latest_versions]) == ("new", {"k": "1"}, [1])
    [one] = registry.search_model_versions("name = 'notes' AND tags.q = 'v'", source=source)
    assert (one.description, one.tags, one.source) == ("text", {"q": "v"}, "s3://b/m")
    assert registry.get_model_version_download_uri("notes", 1, source=source) == "s3://b/m"
    copied = registry.copy_model_version("models:/notes/1", "notes 2", source=source)
    assert (copied.name, copied.version, copied.tags, copied.description) == ("notes 2", 1, {"q": "v"}, "text")
    registry.delete_model_version("notes", 1, source=source)
    registry.delete_registered_model("notes", source=source)
    with pytest.raises(ReadFailed, match="notes") as failed:
        registry.get_registered_model("notes", source=source)
    assert failed.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(ReadFailed, match="already exists"):
        registry.create_registered_model("notes 2", source=source)


def test_what_a_run_made_is_registered_by_its_name_or_path(server: Server, source: Reader) -> None:
    run_id = server.new_run()
    model = server.post("logged-models", experiment_id="0", name="clf", source_run_id=run_id)["model"]["info"]
    server.call("PATCH", f"/api/2.0/mlflow/logged-models/{model['model_id']}", json={"status": "LOGGED_MODEL_READY"})
    server.post("runs/outputs", run_id=run_id, models=[{"model_id": model["model_id"], "step": 0}])
    made = registry.register_model(f"runs:/{run_id}/clf", "made by a run", source=source)
    assert (made.run_id, made.model_id) == (run_id, model["model_id"])
    other = registry.register_model(f"runs:/{run_id}/model", "made by a run", source=source)
    assert (other.version, other.run_id, other.model_id) == (2, run_id, "")


def test_people_ask_for_transitions_comment_and_choose_stages(source: Reader) -> None:
    registry.register_model("s3://b/m", "talk", source=source)
    asked = registry.request_transition("talk", 1, "Staging", "please", source=source)
    assert registry.list_transition_requests("talk", 1, source=source) == [asked]
    granted = registry.approve_transition_request("talk", 1, "Staging", comment="yes", source=source)
    assert (granted.id, granted.state, granted.decision_comment) == (asked.id, "approved", "yes")
    assert registry.get_model_version("talk", 1, source=source).current_stage == "Staging"
    second = registry.request_transition("talk", 1, "Production", source=source)
    assert (
        registry.reject_transition_request("talk", 1, "Production", "no", second.id, source=source).state == "rejected"
    )
    registry.request_transition("talk", 1, "Archived", source=source)
    assert registry.withdraw_transition_request("talk", 1, "Archived", source=source).state == "withdrawn"
    said = registry.create_comment("talk", "good", 1, source=source)
    assert registry.update_comment(said.id, "better", source=source).comment == "better"
    whole = registry.create_comment("talk", "of the model", source=source)
    assert [(x.version, x.comment) for x in registry.list_comments("talk", source=source)] == [
        (1, "better"),
        (0, "of the model"),
    ]
    registry.delete_comment(whole.id, source=source)
    assert len(registry.list_comments("talk", 1, source=source)) == 1
    assert registry.set_stages(["Staging", "Canary", "Production"], source=source)[2] == "Canary"
    assert registry.get_stages(source=source) == ["None", "Staging", "Canary", "Production", "Archived"]


def test_the_commands_do_all_of_it(server: Server, cli: Cli) -> None:
    cli("create", "wine", "--tag", "team=a", "--description", "Wines.\nAll of them.")
    assert "version 1" in cli("register", "s3://b/1", "wine").stderr
    assert told(cli("register", "s3://b/2", "wine", "--tag", "k=v", "--json"))["version"] == 2
    cli("transition", "wine", "1", "Production", "--comment", "first")
    then = position(server)
    cli("transition", "wine", "latest", "Production", "--comment", "second", "--archive-existing")
    cli("alias", "wine", "champion", "Production")
    assert cli("alias", "wine", "champion").stdout == "2\n"
    versions = ("versions", "wine", "--stage", "Production", "--json")
    assert [x["version"] for x in told(cli(*versions))] == [2]
    assert [x["version"] for x in told(cli(*versions, "--as-of", then))] == [1]
    assert "first" in cli("show", "wine", "1", "--as-of", then, "--json").stdout
    assert told(cli("show", "wine", "@champion", "--json"))["current_stage"] == "Production"
    lines = cli("list", "--filter", "name = 'wine'").stdout.splitlines()
    assert lines[1].split("\t")[:3] == ["wine", "Archived:1 Production:2", "champion:2"]
    assert lines[1].endswith("Wines.")
    cli("tag", "wine", "q=1", "--delete", "team")
    cli("tag", "wine", "n=1", "--version", "2")
    cli("describe", "wine", "text", "--version", "2")
    assert told(cli("show", "wine", "2", "--json"))["tags"] == {"k": "v", "n": "1"}
    assert told(cli("show", "wine", "--json"))["tags"] == {"q": "1"}
    asked = cli("requests", "create", "wine", "1", "Staging", "--comment", "again").stdout.strip()
    assert asked in cli("requests", "list", "wine", "1").stdout
    cli("requests", "approve", "wine", "1", "Staging", "--comment", "ok")
    comment = cli("comment", "wine", "look here", "--version", "1").stdout.strip()
    assert comment in cli("comment", "wine").stdout
    cli("comment", "wine", "--delete", comment)
    assert told(cli("copy", "wine", "2", "cellar", "--json"))["name"] == "cellar"
    cli("rename", "wine", "wines")
    history = cli("history", "wine", "1").stdout
    assert all(
        word in history for word in ("None", "Production", "Archived", "first", "second", "Staging", "look here")
    )
    assert "aliases.champion" in cli("history", "wines").stdout
    assert "Production" in cli("stages").stdout
    cli("alias", "wines", "champion", "--delete")
    cli("delete", "wines", "2", "--yes")
    cli("delete", "cellar", input="n\n", code=1)
    cli("delete", "cellar", input="y\n")
    assert [x["version"] for x in told(cli("versions", "wines", "--json"))] == [1]


def test_the_commands_of_the_how_to_work_as_they_are_written(server: Server, source: Reader, cli: Cli) -> None:
    text = HOW_TO.read_text("utf-8")
    registry.set_stages(["Staging", "Production"], source=source)
    printed = ""
    registry.rename_registered_model("iris", "iris before", source=source)
    for _ in range(2):
        registry.register_model(f"runs:/{server.new_run()}/model", "iris", source=source)
    registry.transition_model_version_stage("iris", 1, "Production", source=source)
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            command, *arguments = shlex.split(line.replace("$(date -u +%Y-%m-%dT%H:%M:%SZ)", position(server)))
            assert command == "headrace"
            done = CliRunner().invoke(main, arguments, obj=AppTarget(server))
            assert done.exit_code == 0, (line, done.output)
            printed += done.output
    listed = [line.split("\t")[:4] for line in printed.splitlines() if line.startswith("iris\t")]
    assert listed == [
        ["iris", "2", "Production", ""],
        ["iris", "1", "Archived", ""],
        ["iris", "2", "Production", "champion"],
    ]
    assert all(word in printed for word in ("trained on October", "granted", "reviewed", "petals"))


def test_a_command_that_cannot_be_done_says_why_in_a_line(cli: Cli) -> None:
    assert "not found" in cli("show", "nobody", code=1).stderr
    cli("versions", "--stage", "Production", code=2)
    cli("alias", "x", "y", "1", "--delete", code=2)
    cli("tag", "x", code=2)
    cli("show", "x", "a/b", code=2)
