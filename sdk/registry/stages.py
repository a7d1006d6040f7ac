"""Stages and aliases: which version is in one or has one, now or at a moment, and moving them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from headrace.sdk.reader import Moment, Reader, ReadFailed, moment
from headrace.sdk.registry.asking import OURS, V2, call
from headrace.sdk.registry.types import ModelVersion, version_of


def get_model_version(
    name: str, version: int | str, as_of: Moment | None = None, *, source: Reader | None = None
) -> ModelVersion:
    """A version; as_of: as it was then."""
    asked = {"name": name, "version": str(version), "as_of": moment(as_of)}
    return version_of(call(source, "GET", f"{V2}/model-versions/get", params=asked)["model_version"])


def get_model_version_by_uri(
    model_uri: str, as_of: Moment | None = None, *, source: Reader | None = None
) -> ModelVersion:
    """The version of `models:/<name>/<version>`, `models:/<name>/<stage>`, `…/latest` or `models:/<name>@<alias>`.

    as_of: the version that it named then. Raises ValueError for another URI.
    """
    name, at, alias = model_uri.removeprefix("models:/").partition("@")
    if model_uri.startswith("models:/") and at and name and alias:
        return get_model_version_by_alias(name, alias, as_of, source=source)
    name, _, which = name.partition("/")
    if not model_uri.startswith("models:/") or not name or not which or "/" in which or at:
        raise ValueError(f"{model_uri!r} is none of models:/name/version, models:/name/stage, models:/name@alias")
    if which.isdecimal():
        return get_model_version(name, which, as_of, source=source)
    found = get_latest_versions(name, () if which == "latest" else (which,), as_of, source=source)
    if not found:
        raise ReadFailed(f"no version of {name} is in the stage {which}", 404, "RESOURCE_DOES_NOT_EXIST")
    return max(found, key=lambda one: one.version)


def get_latest_versions(
    name: str, stages: Sequence[str] = (), as_of: Moment | None = None, *, source: Reader | None = None
) -> list[ModelVersion]:
    """The newest version in each of these stages, in each that has one if none are named; as_of: at that moment."""
    body = {"name": name, "stages": list(stages), "as_of": moment(as_of)}
    answer = call(source, "POST", f"{V2}/registered-models/get-latest-versions", json=body)
    return [version_of(one) for one in answer.get("model_versions", ())]


def get_versions_in_stage(
    name: str, stage: str, as_of: Moment | None = None, *, source: Reader | None = None
) -> list[ModelVersion]:
    """Every version that is in a stage, or was at a moment, the newest first: which was Production on day D.

    name: the model's name, now or at that moment.
    """
    path = f"{OURS}/models/{quote(name, safe='')}/stages/{quote(stage, safe='')}"
    answer = call(source, "GET", path, params={"as_of": moment(as_of)})
    return [version_of(one) for one in answer["model_versions"]]


def transition_model_version_stage(
    name: str,
    version: int | str,
    stage: str,
    archive_existing_versions: bool = False,
    comment: str = "",
    *,
    source: Reader | None = None,
) -> ModelVersion:
    """Put a version into a stage. archive_existing_versions: those that are in it are Archived at the same moment."""
    body = {
        "name": name,
        "version": str(version),
        "stage": stage,
        "archive_existing_versions": archive_existing_versions,
        "comment": comment,
    }
    return version_of(call(source, "POST", f"{V2}/model-versions/transition-stage", json=body)["model_version"])


def set_registered_model_alias(name: str, alias: str, version: int | str, *, source: Reader | None = None) -> None:
    """Point an alias to a version, whatever it pointed to before."""
    body = {"name": name, "alias": alias, "version": str(version)}
    call(source, "POST", f"{V2}/registered-models/alias", json=body)


def delete_registered_model_alias(name: str, alias: str, *, source: Reader | None = None) -> None:
    """Take an alias away."""
    call(source, "DELETE", f"{V2}/registered-models/alias", json={"name": name, "alias": alias})


def get_model_version_by_alias(
    name: str, alias: str, as_of: Moment | None = None, *, source: Reader | None = None
) -> ModelVersion:
    """The version an alias points to; as_of: pointed to then. name: the model's, now or at that moment."""
    path = f"{OURS}/models/{quote(name, safe='')}/aliases/{quote(alias, safe='')}"
    return version_of(call(source, "GET", path, params={"as_of": moment(as_of)})["model_version"])
