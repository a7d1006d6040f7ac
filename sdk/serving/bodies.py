"""JSON bodies: which of MLflow's fields one has, and its value.

A body is an object with exactly one of dataframe_split, dataframe_records, instances and inputs, and beside it params;
other keys are ignored. One with messages, prompt or input, of a language model's client, is data as a whole.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from headrace.sdk.serving import faults

FIELDS = ("dataframe_split", "dataframe_records", "instances", "inputs")
LLM_FIELDS = ("messages", "prompt", "input")
_decode = msgspec.json.Decoder().decode
_FIELDS_IN_WORDS = f"{', '.join(FIELDS[:-1])} and {FIELDS[-1]}"


class Read(NamedTuple):
    """field: one of FIELDS, or "" for a language model's body. value: of that field. params: as sent, not checked."""

    field: str
    value: Any
    params: Any


def read(body: bytes) -> Read:
    """What a body holds. Raises Refused (400) when it is not JSON, or not an object with exactly one of FIELDS."""
    return sorted_out(decoded(body))


def decoded(body: bytes) -> Any:
    """JSON values; NaN and Infinity, which are no JSON, are read as MLflow reads them. Raises Refused (400)."""
    try:
        return _decode(body)
    except msgspec.DecodeError:
        pass
    except RecursionError:
        raise faults.bad_request("The body is nested too deep.") from None
    except UnicodeDecodeError:
        raise faults.bad_request("The body is not UTF-8.") from None
    if not body.strip():
        raise faults.bad_request(f"The body is empty; it must be a JSON object with one of {_FIELDS_IN_WORDS}.")
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        raise faults.bad_request("The body is not UTF-8.") from None
    except RecursionError:
        raise faults.bad_request("The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        raise faults.bad_request(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except ValueError:
        raise faults.bad_request("The body has a number with more digits than are read.") from None


def sorted_out(value: Any) -> Read:
    """What decoded JSON holds. Raises Refused (400)."""
    if not isinstance(value, dict):
        kind = {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}.get(type(value), "a number")
        raise faults.bad_request(f"The body must be a JSON object with exactly one of {_FIELDS_IN_WORDS}, not {kind}.")
    if any(name in value for name in LLM_FIELDS):
        return Read("", value, None)
    found = [name for name in FIELDS if name in value]
    if len(found) != 1:
        has = f"it has {' and '.join(found)}" if found else "it has none of them"
        raise faults.bad_request(f"The body must have exactly one of {_FIELDS_IN_WORDS}; {has}.")
    return Read(found[0], value[found[0]], value.get("params"))
