"""MLflow's rules for what a client may register, with its words."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.api.errors import invalid
from headrace.api.mlflow import validate
from headrace.api.mlflow.wire import Tag, required
from headrace.ingest import model_names


def check_name(name: str, parameter: str = "name") -> str:
    """The name of a registered model that is there or is to be."""
    if not required(name, parameter).strip():
        required("", parameter)
    if "/" in name or ":" in name:
        raise invalid(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    fault = model_names.model_name_fault(name)
    if fault is not None:
        raise invalid(f"Invalid value {name!r} for parameter '{parameter}' supplied: {fault}")
    return name


def check_version(version: str) -> int:
    """The number of a version, from its text."""
    text = required(version, "version")
    if not text.isdecimal() or len(text) > 18:
        raise invalid(f"Parameter 'version' must be an integer, got '{text}'.")
    return int(text)


def check_alias(alias: str, reserved: bool = True) -> str:
    """An alias. reserved: whether the names that are reserved are refused."""
    if not alias:
        raise invalid("Registered model alias name cannot be empty.")
    fault = model_names.alias_fault(alias)
    if fault is None or (not reserved and "reserved" in fault):
        return alias
    if alias.lower() == model_names.LATEST:
        raise invalid("'latest' alias name (case insensitive) is reserved.")
    if "reserved" in fault:
        raise invalid(f"Version alias name '{alias}' is reserved.")
    raise invalid(f"Invalid alias name: '{alias}'. {fault[0].upper()}{fault[1:]}.")


def check_tags(tags: Sequence[Tag]) -> dict[str, str]:
    """Tags as a mapping, the last of a key."""
    return {validate.check_key(t.key, "tag", f"tags[{i}].key"): check_tag_value(t.value) for i, t in enumerate(tags)}


def check_tag_value(value: str) -> str:
    """A tag's value."""
    return check_length(value, "value", model_names.TAG_VALUE_CHARS_MAX)


def check_description(description: str) -> str:
    """A description."""
    return check_length(description, "description", model_names.DESCRIPTION_CHARS_MAX)


def check_comment(comment: str) -> str:
    """A comment."""
    return check_length(comment, "comment", model_names.COMMENT_CHARS_MAX)


def check_length(text: str, parameter: str, most: int) -> str:
    """A text of at most so many characters."""
    if len(text) > most:
        raise invalid(f"'{parameter}' exceeds the maximum length of {most} characters")
    return text
