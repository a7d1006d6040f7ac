"""Registered models: made, found, renamed, described, tagged, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.sdk.reader import Moment, Reader, ReadFailed, moment
from headrace.sdk.registry.asking import V2, call, pages, pairs
from headrace.sdk.registry.types import RegisteredModel, model_of


def create_registered_model(
    name: str, tags: Mapping[str, Any] | None = None, description: str = "", *, source: Reader | None = None
) -> RegisteredModel:
    """A new registered model, without versions."""
    body = {"name": name, "description": description, "tags": pairs(tags)}
    return model_of(call(source, "POST", f"{V2}/registered-models/create", json=body)["registered_model"])


def get_registered_model(name: str, as_of: Moment | None = None, *, source: Reader | None = None) -> RegisteredModel:
    """A registered model; as_of: as it was then."""
    asked = {"name": name, "as_of": moment(as_of)}
    return model_of(call(source, "GET", f"{V2}/registered-models/get", params=asked)["registered_model"])


def search_registered_models(
    filter_string: str = "",
    max_results: int | None = None,
    order_by: Sequence[str] = (),
    as_of: Moment | None = None,
    *,
    source: Reader | None = None,
) -> list[RegisteredModel]:
    """Registered models by MLflow's filter, such as "name LIKE 'iris%' AND tags.team = 'a'"; as_of: as they were."""
    asked = {"filter": filter_string, "order_by": list(order_by), "as_of": moment(as_of)}
    found = pages(source, f"{V2}/registered-models/search", "registered_models", asked, max_results)
    return [model_of(one) for one in found]


def rename_registered_model(name: str, new_name: str, *, source: Reader | None = None) -> RegisteredModel:
    """Give a registered model another name; versions, aliases and history stay its own."""
    body = {"name": name, "new_name": new_name}
    return model_of(call(source, "POST", f"{V2}/registered-models/rename", json=body)["registered_model"])


def describe_registered_model(name: str, description: str, *, source: Reader | None = None) -> RegisteredModel:
    """Write a registered model's description, as Markdown, in place of the one it has."""
    body = {"name": name, "description": description}
    return model_of(call(source, "PATCH", f"{V2}/registered-models/update", json=body)["registered_model"])


def delete_registered_model(name: str, *, source: Reader | None = None) -> None:
    """Delete a registered model with its versions; its history stays, and the name is free."""
    call(source, "DELETE", f"{V2}/registered-models/delete", json={"name": name})


def set_registered_model_tag(name: str, key: str, value: Any, *, source: Reader | None = None) -> None:
    """Set a tag of a registered model."""
    body = {"name": name, "key": key, "value": str(value)}
    call(source, "POST", f"{V2}/registered-models/set-tag", json=body)


def delete_registered_model_tag(name: str, key: str, *, source: Reader | None = None) -> None:
    """Take a tag of a registered model away."""
    call(source, "DELETE", f"{V2}/registered-models/delete-tag", json={"name": name, "key": key})


def ensure(source: Reader, name: str) -> None:
    """Make a registered model if there is none of this name."""
    try:
        create_registered_model(name, source=source)
    except ReadFailed as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
