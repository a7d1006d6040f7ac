"""MLflow's rules for what a client may log, with its words."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.api.errors import invalid
from headrace.api.mlflow.wire import absent
from headrace.ingest import limits

_TRIES = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
    " slashes (/)."
)


def check_key(key: str | None, kind: str, path: str) -> str:
    """The key of a param, metric or tag. kind: for the message. path: where it stands in the request."""
    if key is None or key == "":
        raise invalid(absent(path))
    if len(key) > limits.KEY_CHARS_MAX:
        shown = f"{key[:20]}..."
        raise invalid(
            f"'{shown}' exceeds the maximum length of {limits.KEY_CHARS_MAX} characters ({path}: {len(key)} characters)"
        )
    fault = limits.key_fault(key)
    if fault is not None:
        raise invalid(
            f"Invalid value \"{key}\" for parameter '{path}' supplied: Invalid {kind} name: {key!r}: {fault}. {_TRIES}"
        )
    return key


def check_unique_params(params: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Params as a mapping. Raises when a key comes twice."""
    found: dict[str, str] = {}
    for key, value in params:
        if key in found:
            raise invalid(
                f"Duplicate parameter keys have been submitted: ['{key}']. Please ensure the request contains only one"
                " param value per param key."
            )
        found[key] = value
    return found


def check_step(step: int, path: str) -> int:
    """An int64."""
    if not limits.INT64_MIN <= step <= limits.INT64_MAX:
        raise invalid(f"Invalid value {step} for parameter '{path}' supplied: it does not fit in 64 bits")
    return step


def check_timestamp(timestamp_ms: int, path: str) -> int:
    """An int64, not negative."""
    if timestamp_ms < 0:
        raise invalid(
            f"Invalid value {timestamp_ms} for parameter '{path}' supplied: Timestamps must be nonnegative long"
            " (64-bit integer)."
        )
    return check_step(timestamp_ms, path)


def check_experiment_name(name: str | None) -> str:
    """An experiment's name: anything a person types, but not empty and not endless."""
    if not name:
        raise invalid(absent("name"))
    if len(name) > limits.EXPERIMENT_NAME_CHARS_MAX:
        raise invalid(f"'name' exceeds the maximum length of {limits.EXPERIMENT_NAME_CHARS_MAX} characters")
    return name


def check_count(count: int, most: int, what: str) -> None:
    """How many entities a batch may hold."""
    if count > most:
        raise invalid(
            f"A batch logging request can contain at most {most} {what}. Got {count} {what}."
            f" Please split up {what} across multiple requests and try again."
        )


def check_page(max_results: int, most: int) -> None:
    """How many results a page may hold."""
    if not 1 <= max_results <= most:
        raise invalid(
            f"Invalid value {max_results} for parameter 'max_results' supplied:"
            f" It must be at least 1 and at most {most}"
        )


def cut_param(value: str) -> str:
    """A param's value, cut as MLflow's server cuts it."""
    return value[: limits.PARAM_VALUE_CHARS_MAX]


def cut_tag(value: str) -> str:
    """A tag's value, cut as MLflow's server cuts it."""
    return value[: limits.TAG_VALUE_CHARS_MAX]
