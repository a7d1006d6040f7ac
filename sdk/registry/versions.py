"""Versions of registered models: registered, found, copied, described, tagged, deleted, and their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.sdk.life_cycle import get_history
from headrace.sdk.reader import Moment, Reader, moment, reader
from headrace.sdk.registry.asking import V2, call, pages, pairs
from headrace.sdk.registry.models import ensure
from headrace.sdk.registry.stages import get_model_version_by_uri
from headrace.sdk.registry.types import ModelVersion, version_of

if TYPE_CHECKING:
    import pandas as pd

_OUTPUTS_MAX = 100
"""So many of the models that a run made are looked at, the last ones."""


def register_model(
    model_uri: str,
    name: str,
    tags: Mapping[str, Any] | None = None,
    description: str = "",
    *,
    source: Reader | None = None,
) -> ModelVersion:
    """Register a model under a name, which is made if there is none, and return the new version.

    model_uri: `runs:/<run id>/<path or name>`, `models:/m-<id>` of a logged model, `models:/<name>/<version>`, or where
    the files lie, such as `s3://…`.
    """
    asked = source or reader()
    ensure(asked, name)
    return create_model_version(name, _registered_uri(asked, model_uri), "", tags, description, source=asked)


def create_model_version(
    name: str,
    model_source: str,
    run_id: str = "",
    tags: Mapping[str, Any] | None = None,
    description: str = "",
    model_id: str = "",
    *,
    source: Reader | None = None,
) -> ModelVersion:
    """A new version of a registered model. model_source: a URI as `register_model` takes, or where its files lie.

    run_id, model_id: of the run and logged model that it is of, where model_source does not name them.
    """
    body = {"name": name, "source": model_source, "tags": pairs(tags), "description": description}
    body |= {key: value for key, value in (("run_id", run_id), ("model_id", model_id)) if value}
    return version_of(call(source, "POST", f"{V2}/model-versions/create", json=body)["model_version"])


def search_model_versions(
    filter_string: str = "",
    max_results: int | None = None,
    order_by: Sequence[str] = (),
    as_of: Moment | None = None,
    *,
    source: Reader | None = None,
) -> list[ModelVersion]:
    """Versions by MLflow's filter, such as "name = 'iris' AND run_id = '…'"; as_of: as they were then."""
    asked = {"filter": filter_string, "order_by": list(order_by), "as_of": moment(as_of)}
    found = pages(source, f"{V2}/model-versions/search", "model_versions", asked, max_results)
    return [version_of(one) for one in found]


def describe_model_version(
    name: str, version: int | str, description: str, *, source: Reader | None = None
) -> ModelVersion:
    """Write a version's description, as Markdown, in place of the one it has."""
    body = {"name": name, "version": str(version), "description": description}
    return version_of(call(source, "PATCH", f"{V2}/model-versions/update", json=body)["model_version"])


def delete_model_version(name: str, version: int | str, *, source: Reader | None = None) -> None:
    """Delete a version; its number is not used again."""
    call(source, "DELETE", f"{V2}/model-versions/delete", json={"name": name, "version": str(version)})


def set_model_version_tag(name: str, version: int | str, key: str, value: Any, *, source: Reader | None = None) -> None:
    """Set a tag of a version."""
    body = {"name": name, "version": str(version), "key": key, "value": str(value)}
    call(source, "POST", f"{V2}/model-versions/set-tag", json=body)


def delete_model_version_tag(name: str, version: int | str, key: str, *, source: Reader | None = None) -> None:
    """Take a tag of a version away."""
    body = {"name": name, "version": str(version), "key": key}
    call(source, "DELETE", f"{V2}/model-versions/delete-tag", json=body)


def get_model_version_download_uri(name: str, version: int | str, *, source: Reader | None = None) -> str:
    """Where a version's files lie."""
    asked = {"name": name, "version": str(version)}
    return str(call(source, "GET", f"{V2}/model-versions/get-download-uri", params=asked)["artifact_uri"])


def copy_model_version(src_model_uri: str, dst_name: str, *, source: Reader | None = None) -> ModelVersion:
    """A new version of another registered model, made if there is none, with a version's files, run and tags.

    src_model_uri: `models:/<name>/<version>`, or with an alias or stage.
    """
    asked = source or reader()
    given = get_model_version_by_uri(src_model_uri, source=asked)
    ensure(asked, dst_name)
    uri = f"models:/{given.name}/{given.version}"
    return create_model_version(dst_name, uri, tags=given.tags, description=given.description, source=asked)


def history(name: str, version: int | str | None = None) -> pd.DataFrame:
    """Each change of a registered model, or of one of its versions, as `headrace.get_history` has it.

    name: the model's, also one it had before, or its id in the log, which tells apart models that had one name.
    """
    if version is None:
        return get_history("registered_model", name)
    return get_history("model_version", f"{name}/{version}")


def _registered_uri(source: Reader, model_uri: str) -> str:
    """What names the model to the server: a logged model's id where `runs:/…` names one that its run made."""
    run_id, _, name = model_uri.removeprefix("runs:/").partition("/")
    if not model_uri.startswith("runs:/"):
        return model_uri
    run = source.call("GET", f"{V2}/runs/get", params={"run_id": run_id})["run"]
    made = [str(one["model_id"]) for one in run.get("outputs", {}).get("model_outputs", ())]
    for model_id in reversed(made[-_OUTPUTS_MAX:]):
        info = source.call("GET", f"{V2}/logged-models/{model_id}")["model"]["info"]
        if info.get("name") == name:
            return f"models:/{model_id}"
    return model_uri
