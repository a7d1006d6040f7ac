"""Every registry call of the stock MLflow client. Runs in MLflow's environment. argv: "stock" for a server of MLflow's.

Prints {"ok": true, "version": of the registered model} at its end, or fails at the call whose answer is not MLflow's.
"""

import json
import pathlib
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

STOCK = sys.argv[1:] == ["stock"]
client = MlflowClient()
mlflow.set_experiment("registry")


def refused(code, call, *arguments, **named):
    """The message of a call that must be refused with this error code."""
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, error.message)
        return error.message
    raise AssertionError(f"not refused: {call.__name__} {arguments} {named}")


def numbers(found):
    return [(version.name, int(version.version)) for version in found]


folder = pathlib.Path.cwd() / "model"
(folder / "data").mkdir(parents=True)
(folder / "MLmodel").write_text("flavors: {}\n", "utf-8")
(folder / "data" / "weights.bin").write_bytes(b"\0" * 10_000)

# --- registered models
made = client.create_registered_model("iris", {"team": "flowers"}, "petals")
assert (made.name, made.tags, made.description, made.latest_versions) == ("iris", {"team": "flowers"}, "petals", [])
assert "already exists" in refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "iris")
refused("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
assert client.update_registered_model("iris", "sepals").description == "sepals"
client.set_registered_model_tag("iris", "owner", "ada")
client.set_registered_model_tag("iris", "team", "plants")
client.delete_registered_model_tag("iris", "owner")
assert client.get_registered_model("iris").tags == {"team": "plants"}
client.rename_registered_model("iris", "flowers")
refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "iris")
client.rename_registered_model("flowers", "iris")

# --- versions: of a run's artifacts, of a logged model, of a place of its own
with mlflow.start_run() as run:
    mlflow.log_artifacts(str(folder), "model")
run_id = run.info.run_id
first = mlflow.register_model(f"runs:/{run_id}/model", "iris", tags={"n": "1"})
assert (first.version, first.status, first.run_id, first.tags) in [
    (1, "READY", run_id, {"n": "1"}),
    ("1", "READY", run_id, {"n": "1"}),
]
assert first.current_stage == "None"
logged = mlflow.initialize_logged_model(name="lm", source_run_id=run_id)
client.log_model_artifacts(logged.model_id, str(folder))
client.finalize_logged_model(logged.model_id, "READY")
second = mlflow.register_model(f"models:/{logged.model_id}", "iris")
assert (int(second.version), second.status, second.source) == (2, "READY", f"models:/{logged.model_id}")
assert second.run_id == run_id
told = json.loads(client.get_logged_model(logged.model_id).tags["mlflow.modelVersions"])
assert {(one["name"], int(one["version"])) for one in told} == {("iris", 2)}, told
third = client.create_model_version(
    "iris", "s3://bucket/elsewhere", tags={"n": "3"}, run_link="http://ci/1", description="d"
)
assert (int(third.version), third.run_link, third.description, third.tags) == (3, "http://ci/1", "d", {"n": "3"})
refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, "none", "s3://bucket/elsewhere")
refused("INVALID_PARAMETER_VALUE", client.create_model_version, "iris", "file:///etc")
refused("INVALID_PARAMETER_VALUE", client.create_model_version, "iris", "mlflow-artifacts:/../etc", run_id)
got = client.get_model_version("iris", "1")
assert (got.source, got.creation_timestamp) == (first.source, first.creation_timestamp)
local = mlflow.artifacts.download_artifacts(client.get_model_version_download_uri("iris", "1"))
assert (pathlib.Path(local) / "data" / "weights.bin").read_bytes() == b"\0" * 10_000
local = mlflow.artifacts.download_artifacts("models:/iris/2")
assert (pathlib.Path(local) / "MLmodel").read_text() == "flavors: {}\n" or "registered" in str(
    list(pathlib.Path(local).iterdir())
)
refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "iris", "9")
refused("INVALID_PARAMETER_VALUE", client.get_model_version, "iris", "one")
assert client.update_model_version("iris", "1", "the first").description == "the first"
client.set_model_version_tag("iris", "1", "k", "v")
client.set_model_version_tag("iris", "1", "k", "w")
assert client.get_model_version("iris", "1").tags == {"n": "1", "k": "w"}
client.delete_model_version_tag("iris", "1", "k")
assert client.get_model_version("iris", "1").tags == {"n": "1"}

# --- stages
assert client.get_model_version_stages("iris", "1") == ["None", "Staging", "Production", "Archived"]
assert client.transition_model_version_stage("iris", "1", "production").current_stage == "Production"
moved = client.transition_model_version_stage("iris", "2", "Production", archive_existing_versions=True)
assert moved.current_stage == "Production"
assert client.get_model_version("iris", "1").current_stage == "Archived"
assert "Value must be one of" in refused(
    "INVALID_PARAMETER_VALUE", client.transition_model_version_stage, "iris", "1", "Prod"
)
assert numbers(client.get_latest_versions("iris", ["Production"])) == [("iris", 2)]
assert sorted(numbers(client.get_latest_versions("iris"))) == [("iris", 1), ("iris", 2), ("iris", 3)]
assert sorted(numbers(client.get_registered_model("iris").latest_versions)) == [("iris", 1), ("iris", 2), ("iris", 3)]

# --- aliases
client.set_registered_model_alias("iris", "champion", "1")
client.set_registered_model_alias("iris", "champion", "2")
client.set_registered_model_alias("iris", "old", "1")
assert int(client.get_model_version_by_alias("iris", "champion").version) == 2
assert client.get_model_version("iris", "2").aliases == ["champion"]
assert {k: int(v) for k, v in client.get_registered_model("iris").aliases.items()} == {"champion": 2, "old": 1}
client.delete_registered_model_alias("iris", "old")
refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "iris", "old")
for alias in ("latest", "v1", "a b"):
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "iris", alias, "1")
assert int(client.get_model_version_by_alias("iris", "latest").version) == 3

# --- copies
copied = client.copy_model_version("models:/iris@champion", "iris-prod")
assert (copied.name, int(copied.version), copied.run_id, copied.source) == ("iris-prod", 1, run_id, "models:/iris/2")
assert client.get_model_version_download_uri("iris-prod", "1") == client.get_model_version_download_uri("iris", "2")

# --- search
client.create_registered_model("other", {"team": "plants"})
assert [model.name for model in client.search_registered_models()] == ["iris", "iris-prod", "other"]
assert [model.name for model in client.search_registered_models("name LIKE 'iris%'", order_by=["name DESC"])] == [
    "iris-prod",
    "iris",
]
assert [model.name for model in client.search_registered_models("tags.team = 'plants'")] == ["iris", "other"]
assert [model.name for model in client.search_registered_models("name ILIKE 'IRIS'")] == ["iris"]
page = client.search_registered_models(max_results=2)
rest = client.search_registered_models(max_results=2, page_token=page.token)
assert ([model.name for model in page], [model.name for model in rest]) == (["iris", "iris-prod"], ["other"])
assert not rest.token
assert numbers(client.search_model_versions("name = 'iris'", order_by=["version_number ASC"])) == [
    ("iris", n) for n in (1, 2, 3)
]
assert sorted(numbers(client.search_model_versions(f"run_id = '{run_id}'"))) == [
    ("iris", 1),
    ("iris", 2),
    ("iris-prod", 1),
]
assert numbers(client.search_model_versions("source_path = 's3://bucket/elsewhere'")) == [("iris", 3)]
assert numbers(client.search_model_versions("version_number = 3")) == [("iris", 3)]
assert numbers(client.search_model_versions("tags.n = '1'")) == [("iris", 1)]
assert len(client.search_model_versions(max_results=2)) == 2
refused("INVALID_PARAMETER_VALUE", client.search_model_versions, "nothing = 'x'")
refused("INVALID_PARAMETER_VALUE", client.search_registered_models, "run_id = 'x'")
refused("INVALID_PARAMETER_VALUE", client.search_registered_models, max_results=1001)

# --- prompts, which MLflow keeps in the registry too
prompt = client.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
assert (prompt.version, prompt.template) == (1, "Hello {{name}}")
client.register_prompt("greeting", "Hi {{name}}")
client.set_prompt_alias("greeting", "live", 2)
assert client.load_prompt("prompts:/greeting@live").template == "Hi {{name}}"
assert [found.name for found in client.search_prompts()] == ["greeting"]
assert "greeting" not in [model.name for model in client.search_registered_models()]
assert "greeting" not in [version.name for version in client.search_model_versions()]
refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "greeting")

# --- deleting
client.delete_model_version("iris", "2")
refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "iris", "2")
refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "iris", "champion")
assert int(client.create_model_version("iris", "s3://bucket/more").version) == 4
client.delete_registered_model("iris")
refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "iris")
refused("RESOURCE_DOES_NOT_EXIST", client.delete_registered_model, "iris")
client.create_registered_model("iris")
assert client.search_model_versions("name = 'iris'") == []
again = client.create_model_version("iris", "s3://bucket/again")
assert int(again.version) == 1
print(json.dumps({"ok": True, "version": int(again.version)}))
